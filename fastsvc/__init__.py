"""fastsvc: a compiler and inference engine for diffusion-distilled singing voice conversion."""

from pathlib import Path

__version__ = "0.1.0"
__all__ = ["load", "__version__"]

_here = Path(__file__).parent
if not (_here / "kernels").is_dir():  # source tree: kernels/ and build/ lie beside us, not inside
    __path__.append(str(_here.parent))


def load(path, device="auto"):
    """Open an engine folder (``NAME.fsvc``) and return its :class:`fastsvc.engine.Engine`.

    ``device`` is "auto", "cpu" or "cuda". Raises :class:`fastsvc.errors.EngineError` when the folder
    is missing, damaged or made for something this machine lacks.
    """
    from fastsvc.engine import Engine

    return Engine.open(path, device=device)
