"""The generator through onnxruntime on the processor, called as fastsvc.engine.cpu.vocoder.Vocoder is."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import torch
from torch import Tensor

from fastsvc.artifact.onnx import vocoder_graph
from fastsvc.config import AnyVocoderConfig, VocoderConfig
from fastsvc.engine.cpu.vocoder import mixed_excitation
from fastsvc.errors import EngineError, MissingPackageError
from fastsvc.model import vocoders


class OnnxGenerator:
    """Log-mel and excitation → audio in float32, by the graph of a vocoder's tensors (artifact/onnx/vocoder_graph.py).

    It uses PyTorch's number of threads at construction. Raises MissingPackageError without onnxruntime or onnx,
    EngineError where onnxruntime cannot run the vocoder.
    """

    name = "onnxruntime"

    def __init__(self, tensors: dict[str, Tensor], config: AnyVocoderConfig):
        runtime = require()
        self.config, self.halo_frames = config, vocoders.halo_frames(config)
        graph = vocoder_graph.graph_of_tensors(tensors, config)
        self.linear: tuple[Tensor, Tensor] | None = None
        if "m_source.l_linear.weight" in tensors:
            weight, bias = (tensors[f"m_source.l_linear.{part}"].float() for part in ("weight", "bias"))
            self.linear = weight, bias
        self.how = f"onnxruntime {runtime.__version__}"
        outside = ("m_source.", vocoders.SPEAKERS)
        graph_tensors = {name: value for name, value in tensors.items() if not name.startswith(outside)}
        try:
            self.weights = {
                name: value.contiguous().numpy() for name, value in graph_tensors.items()
            }  # the session's memory
            options = _options(runtime)
            values = [runtime.OrtValue.ortvalue_from_numpy(value) for value in self.weights.values()]
            options.add_external_initializers(list(self.weights), values)
            self.session = runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exception classes have no common base
            reason = f"onnxruntime cannot run the vocoder: {' '.join(str(error).split())[:300]}"
            raise EngineError(reason, "build the engine again, or use another vocoder backend") from error

    def source(self, excitation: Tensor | None) -> Tensor | None:
        """Excitation [B, T·source_hop_samples, source_channels] → as the graph takes it; None → None."""
        if isinstance(self.config, VocoderConfig):
            return mixed_excitation(excitation, self.linear, self.config)
        return excitation

    def __call__(self, mel: Tensor, source: Tensor | None, extra: Tensor | None = None) -> Tensor:
        """mel [B, T, M], ``source`` from :meth:`source`, ``extra`` (fastsvc/model/vocoders.py), or what broadcasts to
        it → audio [B, T·hop]."""
        inputs, name = {"mel": mel}, vocoders.extra_name(self.config)
        if source is not None:
            inputs["source"] = source
        if name is not None:
            shape = vocoders.shapes(self.config, *mel.shape[:2])[name]
            inputs[name] = mel.new_zeros(shape) if extra is None else extra.expand(shape)
        arrays = {name: value.detach().float().contiguous().numpy() for name, value in inputs.items()}
        return torch.from_numpy(self.session.run(["audio"], arrays)[0])


def require() -> ModuleType:
    """onnxruntime, or MissingPackageError."""
    if importlib.util.find_spec("onnxruntime") is None:
        raise MissingPackageError("onnxruntime", "the vocoder in onnxruntime", "onnx")
    import onnxruntime

    return onnxruntime


def _options(runtime: ModuleType):
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    # PyTorch's threads have work of their own between two runs
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_mem_pattern = False  # lengths differ from run to run
    options.log_severity_level = 3
    return options
