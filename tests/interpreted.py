"""The GPU backend on a CPU: kernels in Triton's interpreter, nothing captured, large blocks to take seconds only."""

from fastsvc.artifact import engine_folder
from fastsvc.engine import backends
from fastsvc.engine.cuda import denoiser as cuda_denoiser
from fastsvc.engine.cuda import gpu_parts
from fastsvc.engine.engine import Engine
from fastsvc.kernels.denoiser.network import Tiles
from fastsvc.kernels.tiles import Tile
from fastsvc.kernels.vocoder import source

BLOCK = Tile(64, 64, 64, 4, 2)


def big_tiles(weights, batch, frames, arch):
    """The interpreter's time goes by operations, not by elements."""
    mel = len(weights.scale)
    wide, deep, last = Tile(64, 128, 64, 4, 2), Tile(64, 64, mel, 4, 1), Tile(64, mel, 64, 4, 2)
    return Tiles(BLOCK, deep, wide, BLOCK, BLOCK, last)


def prepare(monkeypatch):
    """From now on the device "cuda" of the engine is the interpreter."""
    monkeypatch.setattr(cuda_denoiser.Tiles, "of", big_tiles)
    monkeypatch.setattr(source, "tile", lambda channels: (4096, 4))

    def assemble(model, precision="auto", vocoder_backend="auto"):
        return gpu_parts.assemble(model, precision, "cpu", vocoder_backend)

    monkeypatch.setitem(backends.BACKENDS, "cuda", assemble)


def engine(path, precision="fp32", vocoder_backend="auto") -> Engine:
    return Engine(engine_folder.Artifact(path), "cuda", precision, vocoder_backend)
