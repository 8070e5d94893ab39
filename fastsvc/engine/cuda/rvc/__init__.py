"""The acoustic part of RVC's voices on a GPU: text encoder, draw and flow in CUDA graphs of prepared shapes.

Matrix products are cuBLAS's, through PyTorch: the encoder is 1.5 % and the flow 0.9 % of a conversion's arithmetic, the
generator 79 % (its kernels: fastsvc/kernels/vocoder). The gated convolution of fastsvc/kernels/denoiser would not come
for free: it has three taps, a condition by frame and the residual's 1/√2, where the flow has five taps, a constant
vector and no factor.
``device`` may be the CPU, for tests; then nothing is captured.
"""

from fastsvc.engine.cuda.rvc.sampler import CudaRvcSampler

__all__ = ["CudaRvcSampler"]
