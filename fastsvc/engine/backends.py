"""Where an engine runs: one backend per device, all giving the same parts; which is chosen, and why not another."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fastsvc import arguments
from fastsvc.artifact import folder as artifact
from fastsvc.artifact import lowered
from fastsvc.config import CONTENT_CONFIGS, AcousticConfig, VocoderConfig, from_dict
from fastsvc.engine.cpu import generators as cpu_generators
from fastsvc.engine.cpu import sampler as runtime
from fastsvc.engine.speakers import Speakers
from fastsvc.errors import EngineError
from fastsvc.kernels.tiles import OLDEST

DEVICES = ("auto", "cpu", "cuda")
GATE = "tests/test_gpu.py"  # what must have passed on a GPU; tests/test_gpu_engine.py runs in the interpreter alone
CUDA_BY_DEFAULT = False  # until GATE has


@dataclass(frozen=True)
class Model:
    """An engine folder with its configurations; None where it has no such part."""

    folder: artifact.Artifact
    acoustic: AcousticConfig
    vocoder: VocoderConfig | None
    content_kind: str | None
    content: Any
    speakers: Speakers | None = None

    @classmethod
    def of(cls, folder: artifact.Artifact) -> Model:
        """What the manifest says. It was checked when the folder was opened (artifact/manifest.py), so that whatever
        fails from here on is no damage of it."""
        manifest = folder.manifest
        vocoder, content = manifest.get("vocoder"), manifest.get("content")
        acoustic = from_dict(AcousticConfig, manifest["acoustic"], "acoustic")
        vocoder_config = vocoder and from_dict(VocoderConfig, vocoder["config"], "vocoder")
        kind = content and content.get("kind", "recogniser")  # older engines have no other
        content_config = content and from_dict(CONTENT_CONFIGS[kind], content["config"], "content")
        speakers = Speakers.of(manifest, acoustic.condition.speakers)
        return cls(folder, acoustic, vocoder_config, kind, content_config, speakers)

    def weights(self) -> dict[str, Tensor]:
        """The lowered tensors, with exactly the names and shapes that the manifest's configuration needs."""
        tensors = self.folder.tensors(artifact.WEIGHTS)
        expected = lowered.shapes(self.acoustic, len(self.folder.manifest["levels"]))
        found = {name: tuple(value.shape) for name, value in tensors.items()}
        unlike = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
        if unlike:
            names = ", ".join(unlike)
            raise EngineError(f"{self.folder.path}: {artifact.WEIGHTS} does not fit: {names}", "build it again")
        return tensors

    def generator(self) -> dict[str, Tensor]:
        """The vocoder's tensors."""
        return self._part(artifact.VOCODER, "vocoder", self.vocoder)

    def encoder(self, device, dtype: torch.dtype | None = None):
        """The content encoder on a device, or None. ``dtype``: in a GPU's form that computes in it."""
        if not self.content:
            return None
        from fastsvc.features.content import RecogniserEncoder
        from fastsvc.features.hubert import HubertEncoder

        kinds = {"recogniser": RecogniserEncoder, "hubert": HubertEncoder}
        tensors = self._part(artifact.CONTENT, self.content_kind, self.content)
        if dtype is not None:
            from fastsvc.engine.cuda import encoders as cuda_content

            return cuda_content.encoder(self.content_kind, self.content, tensors, dtype, device)
        return kinds[self.content_kind](self.content, tensors, device)

    def _part(self, name: str, kind: str, config) -> dict[str, Tensor]:
        """The tensors of a file, with exactly the names and shapes that its configuration needs."""
        from fastsvc.model.keys import skeleton
        from fastsvc.model.modules import module

        tensors = self.folder.tensors(name)
        expected = {key: value.shape for key, value in skeleton(lambda: module(kind, config)).state_dict().items()}
        if {key: value.shape for key, value in tensors.items()} != expected:
            raise EngineError(f"{self.folder.path}: {name} does not fit its configuration", "build it again")
        return tensors


@dataclass(frozen=True)
class Parts:
    """What does the work: mels from features, audio from mels, units from audio. ``how`` is a line for people.

    ``sampler`` and ``synthesiser`` are called as those of fastsvc.engine.cpu.sampler are. ``yin``: the device's own, or
    None, for fastsvc.engine.hearing.
    """

    device: torch.device
    precision: str
    how: str
    sampler: Any
    synthesiser: Any
    encoder: Any
    yin: Any = None


def cpu(model: Model, precision: str = "auto", vocoder_backend: str = "auto") -> Parts:
    """The lowered form on the processor."""
    manifest, synthesiser = model.folder.manifest, None
    built = manifest.get("precision", "fp32")
    mels = runtime.MelSampler(model.weights(), model.acoustic, manifest)
    if model.vocoder:
        make = cpu_generators.maker(model, vocoder_backend)
        synthesiser = runtime.Synthesiser(model.generator(), model.vocoder, model.acoustic.mel.log_base, make)
    computes = "bf16" if mels.denoiser.gated_type == torch.bfloat16 else "fp32"
    if precision not in ("auto", computes, built):
        warnings.warn(f"on a CPU this engine computes in {computes}, not {precision}", stacklevel=3)
    encoder = model.encoder("cpu")
    return Parts(torch.device("cpu"), computes, "the lowered form on the processor", mels, synthesiser, encoder)


def cuda(model: Model, precision: str = "auto", vocoder_backend: str = "auto") -> Parts:
    """Kernels and CUDA graphs on an NVIDIA GPU."""
    from fastsvc.engine.cuda import parts as backend

    return backend.parts(model, precision, vocoder_backend=vocoder_backend)


BACKENDS = {"cpu": cpu, "cuda": cuda}


def choose(device: str) -> str:
    """cpu or cuda for auto, cpu or cuda; a GPU that is there but cannot be used is named.

    Raises ConfigError for another word, EngineError for a device that cannot run, with the reason.
    """
    if arguments.one_of("device", device, DEVICES) == "cpu":
        return "cpu"
    why = why_no_cuda()
    if why is None and (device == "cuda" or CUDA_BY_DEFAULT):
        return "cuda"
    why = why or "its backend is new and has not been run on a GPU yet (--device cuda tries it)"
    if device == "cuda":
        raise EngineError(f"the device cuda cannot be used: {why}", "use auto or cpu")
    if torch.cuda.is_available():
        warnings.warn(f"the GPU is not used: {why}; running on the CPU", stacklevel=2)
    return "cpu"


def why_no_cuda() -> str | None:
    """Why nothing runs on an NVIDIA GPU here; None if it does."""
    if torch.version.cuda is None:
        rocm = "this is PyTorch's build for ROCm, and the kernels are for NVIDIA GPUs"
        return rocm if torch.version.hip else "this is a CPU build of PyTorch"
    if not torch.cuda.is_available():
        return f"PyTorch finds no usable GPU: {_says()}"
    return too_old(architecture())


def architecture(device: torch.device | None = None) -> int:
    """90 for an sm_90."""
    major, minor = torch.cuda.get_device_capability(device)
    return 10 * major + minor


def too_old(arch: int) -> str | None:
    """Why GPUs of this architecture run nothing; None if they do."""
    return f"the GPU is sm_{arch}, the kernels need sm_{OLDEST} or newer" if arch < OLDEST else None


def _says() -> str:
    """PyTorch's own reason why it cannot use a GPU: no driver, one that is too old, no device."""
    try:
        torch.cuda.init()
    except Exception as error:  # whatever it is, it is the answer
        return (str(error).strip().splitlines() or ["it does not say why"])[0][:200]
    return "it does not say why"
