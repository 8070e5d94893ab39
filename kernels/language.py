"""Triton where it is installed; elsewhere just enough to import the kernels' files."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeAlias

from fastsvc.errors import MissingPackageError

try:
    import triton
    from triton import language
except ImportError:
    triton, language = None, SimpleNamespace(constexpr=object)

if TYPE_CHECKING:
    # A kernel's body is Triton's language in Python's syntax. Triton's own types refuse what its compiler accepts: a
    # constexpr in arithmetic, a plain number in place of a constexpr, a loop over tl.range.
    class _Anything(type):
        def __getattr__(cls, name: str) -> Any: ...

    class tl(metaclass=_Anything):
        constexpr: TypeAlias = Any
else:
    tl = language

__all__ = ["constant", "jit", "require", "tl"]


def jit(function=None, **options):
    """`triton.jit`, with or without options; without Triton the plain function, which cannot be started."""
    if function is None:
        return lambda decorated: jit(decorated, **options)
    return function if triton is None else triton.jit(function, **options)


def constant(value) -> Any:
    """A module's number as a constexpr, for kernels to read; without Triton the plain number."""
    return value if triton is None else language.constexpr(value)


def require() -> None:
    """Raises MissingPackageError where there is no Triton."""
    if triton is None:
        raise MissingPackageError("triton", "running kernels", "gpu")
