"""The generator through TensorRT: its plan is read from the engine's device part, or built and stored there."""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fastsvc.artifact import engine_folder
from fastsvc.artifact.onnx import vocoder_graph
from fastsvc.config import AnyVocoderConfig
from fastsvc.engine.tensorrt import plan_files, trt_packages
from fastsvc.engine.tensorrt.trt_runner import Runner
from fastsvc.errors import EngineError
from fastsvc.model import vocoders

if TYPE_CHECKING:
    from fastsvc.engine.cuda.vocoder import VocoderInputs

KERNELS, TIMINGS = ".kernels", ".timings"  # beside plans: tensorrt_rtx's compiled kernels, tensorrt's measurements
Read = Callable[[str], bytes | None]  # a file of the device part, if it exists and this program wrote it
Store = Callable[[dict[str, bytes]], None]


def graph_hash(folder: engine_folder.Artifact, graph: bytes) -> str:
    """The hash of a graph and of the weights that it names."""
    return plan_files.joint_hash(hashlib.sha256(graph).hexdigest(), folder.files[engine_folder.VOCODER]["sha256"])


class TensorRTGenerator:
    """Mel, excitation and the third input → audio on one GPU, by `tensorrt` or `tensorrt_rtx`, whichever serves it.

    ``arch``: 89 for sm_89; ``graph``: one of fastsvc.artifact.engine_folder.GRAPHS. ``read`` and ``store``: the files
    of the engine's folder for this architecture; without them the plan is built each time. Raises FastsvcError without
    package or device, or with TensorRT's own words.
    """

    def __init__(
        self,
        config: AnyVocoderConfig,
        folder: engine_folder.Artifact,
        device,
        arch: int,
        *,
        graph: str = engine_folder.GRAPHS[True],
        package: str | None = None,
        read: Read = lambda name: None,
        store: Store = lambda files: None,
    ):
        self.config, self.folder, self.device, self.store = config, folder, torch.device(device), store
        chosen = trt_packages.choose(arch, package)
        trt_packages.require_device(chosen)
        self.module, self.name, self.graph = trt_packages.load(chosen), chosen.module, graph
        self.ahead = arch if chosen is trt_packages.RTX else None  # as `fastsvc build --target` makes it
        gpu = torch.cuda.get_device_name(self.device)
        self.content = vocoder_graph.graph_of_folder(folder, config, self.graph)
        self.origin = plan_files.origin(self.module, arch, graph_hash(folder, self.content), gpu)
        with torch.cuda.device(self.device):
            plan, how_made = self._plan(read)
            self.runner = Runner(self.module, plan.code, self.device, self._kernels(read))
        size = f"a plan of {len(plan.code) / 1e6:.0f} MB"
        self.how = f"{chosen.title} {self.module.__version__}: {self.graph}, {size} {how_made}"

    def bind(self, inputs: VocoderInputs) -> Callable[[], None]:
        """A call that computes ``inputs.audio`` from the others; it can be captured in a CUDA graph.

        Raises EngineError with the reason.
        """
        tensors: dict[str, Tensor] = {"mel": inputs.mel}
        if inputs.excitation is not None:
            tensors["source"] = inputs.excitation
        name = vocoders.extra_name(self.config)
        if name is not None:
            tensors[name] = getattr(inputs, name)
        with torch.cuda.device(self.device):
            run = self.runner.bind(tensors, {"audio": inputs.audio})
            self._store_kernels()
        return run

    def release(self) -> None:
        """Forget contexts, their memory and bound buffers; calls from :meth:`bind` must not run any more."""
        self.runner.release()

    def _plan(self, read: Read) -> tuple[plan_files.TensorRTPlan, str]:
        """(the stored plan, or a new one; the words "built before" or "built now …")."""
        name = self.origin.name + plan_files.SUFFIX
        content = read(name)
        if content is not None:
            try:
                return plan_files.read(content, self.origin), "built before"
            except EngineError as error:
                warnings.warn(f"{name} is not used: {error}", stacklevel=4)
        timings = self._timings()
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / self.graph
            file.write_bytes(self.content)
            weights = self.folder.bytes(engine_folder.VOCODER)  # verified; the graph names this file
            (file.parent / engine_folder.VOCODER).write_bytes(weights)
            request = self.module, file, self.config, self.origin
            plan, cache = plan_files.build(*request, ahead=self.ahead, cache=read(timings) or b"")
        self.store({name: plan.content(), **({timings: cache} if cache else {})})
        return plan, f"built now in {plan.seconds:.1f} s"

    def _timings(self) -> str:
        """The name of the timing cache, which all graphs share, for one version and one GPU."""
        device = hashlib.sha256(self.origin.device.encode()).hexdigest()[:8]
        return f"{self.name}_{self.module.__version__}_{device}{TIMINGS}"

    def _kernels(self, read: Read) -> bytes:
        self.stored_kernels = read(self.origin.name + KERNELS) or b""
        return self.stored_kernels

    def _store_kernels(self) -> None:
        """Store the kernels that tensorrt_rtx compiled for new shapes, so that the next process need not."""
        compiled = self.runner.cache()
        if compiled != self.stored_kernels:
            self.stored_kernels = compiled
            self.store({self.origin.name + KERNELS: compiled})
