"""Triton kernels of the denoiser and of the vocoder, one operation a file, each in four parts in this order:

`reference()`, plain PyTorch and the meaning of the operation; the kernel; `tile()`, which block sizes it gets, a pure
function of shape, dtype and architecture; `launch()`, a :class:`fastsvc.kernels.launch.Launch` with its grid and
arguments, and `run()`, which makes one and starts it through Triton's own compiler.

Sequences are rows [B, T, C]. The denoiser's lengths differ: rows at or beyond ``lengths[b]`` are read as zeros and
written as zeros. The vocoder's have all rows. Without Triton everything here imports, and only starting a kernel fails.
"""
