"""fastsvc: a compiler and inference engine for diffusion-distilled singing voice conversion."""

import os
import sys

from fastsvc.version import VERSION as __version__

__all__ = ["__version__", "load"]

_root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# `python -m fastsvc…` puts the current folder before Python's own library, where a random.py would be taken for the
# real one. So the folder leaves the path before anything else is imported, unless fastsvc itself lies there.
_started = sys.argv[:1] == ["-m"] and any(w.partition(".")[0] in ("fastsvc", "-mfastsvc") for w in sys.orig_argv)
if _started and not getattr(sys.flags, "safe_path", False) and os.path.realpath(sys.path[0]) != os.path.realpath(_root):
    del sys.path[0]

# kernels/ and build/ lie inside this folder when installed; in the repository they lie beside it, with links here.
# Without links (core.symlinks=false, an unpacked sdist) these two packages, and no others, are found beside the folder.
_beside = [f"fastsvc.{name}" for name in ("kernels", "build") if not os.path.isdir(os.path.join(__path__[0], name))]
if _beside:
    from importlib.machinery import PathFinder

    class _Beside:
        @staticmethod
        def find_spec(name, path=None, target=None):
            return PathFinder.find_spec(name, [_root]) if name in _beside else None

    sys.meta_path.insert(0, _Beside)


def load(path=None, device="auto", precision="auto"):
    """Open an engine folder (``NAME.fsvc``) and return its :class:`fastsvc.engine.Engine`.

    ``path``: None or "voices" for the bundled voices. ``device`` is "auto", "cpu", "cuda", "cuda:1" or a torch.device;
    ``precision``: of its arithmetic, one of :data:`arguments.PRECISIONS` (see Engine.open). Raises
    :class:`fastsvc.errors.EngineError` when the folder is missing, damaged or made for something this machine lacks.
    """
    from fastsvc.artifact import bundled
    from fastsvc.engine import Engine

    return Engine.open(bundled.engine_path(path), device=device, precision=precision)
