from tempfile import TemporaryDirectory

from setuptools import find_packages, setup

# `kernels/` and `build/` stand at the top of the repository and install as fastsvc.kernels and fastsvc.build.
PACKAGES = (
    find_packages(include=["fastsvc", "fastsvc.*"])
    + ["fastsvc.kernels", "fastsvc.build"]
    + ["fastsvc.kernels." + name for name in find_packages("kernels")]
    + ["fastsvc.build." + name for name in find_packages("build")]
)

# setuptools keeps its scratch files in `build/`, which here is the compiler's source: send them elsewhere.
with TemporaryDirectory() as scratch:
    setup(
        name="fastsvc",
        version="0.1.0",
        description="Compiler and inference engine for diffusion-distilled singing voice conversion",
        license="MIT",
        python_requires=">=3.10",
        package_dir={"fastsvc": "fastsvc", "fastsvc.kernels": "kernels", "fastsvc.build": "build"},
        packages=PACKAGES,
        package_data={"fastsvc": ["demo/*.fsvc/*", "demo/*.fsvc/*/*"]},
        install_requires=[
            "torch>=2.11",
            "numpy",
            "soundfile>=0.12",
            "librosa>=0.10",
            "soxr",
            "click>=8.1",
            "pyyaml",
            "safetensors",
            "tqdm",
            "filelock>=3.20.3",
        ],
        extras_require={
            "train": ["tensorboard", "matplotlib"],
            # pyworld imports pkg_resources, which newer setuptools no longer carry. Not here are torchcrepe and
            # torchfcpe, of which only the weights are read: an extra cannot leave out their torchaudio, which may
            # replace PyTorch by another build. docs/f0.md and `fastsvc doctor` say: pip install --no-deps torchcrepe …
            "f0": ["pyworld", "setuptools<81"],
            "gpu": ["triton>=3.6", "cuda-bindings", "nvtx"],
            # The vocoder's graph: onnx writes it when an engine is built, onnxruntime runs it on a CPU.
            "onnx": ["onnx>=1.16", "onnxruntime>=1.18"],
            # Which of the two serves a GPU: docs/gpu.md, or `fastsvc doctor`.
            "tensorrt": ["tensorrt>=10", "onnx>=1.16"],
            "tensorrt-rtx": ["tensorrt-rtx-cu13>=1.4", "onnx>=1.16"],
            "bench": ["pesq"],
            # Our HuBERT is held against transformers'. Triton runs kernels in its interpreter, and compiles for any
            # GPU without one. The calls that start compiled kernels are checked against cuda-bindings, the vocoder's
            # graphs through onnxruntime, plans for other GPUs by TensorRT for RTX.
            "test": [
                "pytest",
                "pytest-timeout",
                "pytest-xdist",
                "hypothesis",
                "ruff",
                "matplotlib",
                "transformers",
                "triton>=3.7; platform_system == 'Linux'",
                "cuda-bindings; platform_system == 'Linux'",
                "onnx>=1.16",
                "onnxruntime>=1.18",
                # 96 MB; builds plans without a GPU
                "tensorrt-rtx-cu13>=1.4; platform_system == 'Linux' and platform_machine == 'x86_64'",
            ],
        },
        entry_points={"console_scripts": ["fastsvc=fastsvc.__main__:main"]},
        options={"build": {"build_base": scratch}},
    )
