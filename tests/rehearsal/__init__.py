"""A machine with a GPU, played by a CPU, for rehearsals of bench/gpu.sh: docs/performance.md, "A rehearsal".

Every Python process that finds start/ on PYTHONPATH begins as sitecustomize.py there says: packages that a lent machine
lacks are not found, and PyTorch, once imported, has one GPU. Its tensors are of the device cuda:0 and lie in this
machine's memory, so that a tensor left on the wrong device is an error as on a GPU. The CPU computes PyTorch's
operations; the PTX interpreter (tests/ptx) runs compiled kernels, the engine's and Triton's.
"""

NAME = "stand-in, not a GPU"
SAID = "a rehearsal over a stand-in device: every time is an interpreter's, nothing here was measured on a GPU"
ARCH = 90
FOLDER = "FASTSVC_REHEARSAL"  # in the environment: where compiled kernels are kept
