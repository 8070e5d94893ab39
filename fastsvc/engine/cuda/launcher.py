"""How kernels are started: from the engine's own compiled ones, or through Triton, which compiles as it goes."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import warnings
from collections.abc import Callable
from pathlib import Path

from fastsvc import kernels
from fastsvc.engine.cuda.driver import Driver, Function
from fastsvc.engine.cuda.kernel_list import LIST, parse
from fastsvc.errors import EngineError, MissingPackageError
from fastsvc.kernels.launch import Launch


def key(spec: dict) -> str:
    """The name of a compiled kernel: a hash of everything that compiling depends on (``Launch.spec()``)."""
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:24]


def sources() -> str:
    """A hash of the kernels' source: code compiled from another is not used."""
    digest = hashlib.sha256()
    for path in sorted(Path(kernels.__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


class Jit:
    """Triton compiles each kernel when it is first used."""

    how = "kernels compiled by Triton when first used"

    def bind(self, launch: Launch) -> Callable[[], None]:
        return launch.run


class Cubins:
    """Kernels that an engine has for one architecture; ``read`` gives a listed file's verified bytes."""

    def __init__(self, listed: dict, read: Callable[[str], bytes | None], driver: Driver, otherwise: Jit | None):
        self.listed, self.read, self.driver, self.otherwise = listed["kernels"], read, driver, otherwise
        self.loaded: dict[str, Function] = {}
        self.how = f"{len(self.listed)} kernels compiled ahead of time, started by cuda-bindings"

    def bind(self, launch: Launch) -> Callable[[], None]:
        """A call that starts this launch. Raises EngineError where it is not there and Triton is not either."""
        spec = launch.spec()
        name = key(spec)
        entry = self.listed.get(name)
        if entry is None:
            return self._otherwise(
                launch, f"the engine has no compiled {spec['kernel'].partition(':')[2]} for this shape"
            )
        if name not in self.loaded:
            code = self.read(entry["file"])
            if code is None:
                return self._otherwise(launch, f"the compiled kernel {entry['file']} is missing, or another user's")
            given = entry["name"], entry["warps"], entry["shared"], entry["parameters"]
            self.loaded[name] = self.driver.load(code, *given)
        return self.driver.bind(self.loaded[name], launch.grid, launch.arguments, launch.early)

    def _otherwise(self, launch: Launch, what: str) -> Callable[[], None]:
        if self.otherwise is None:
            raise EngineError(what, "build the engine again, or install Triton with pip install triton")
        warnings.warn(f"{what}: Triton compiles it now", stacklevel=3)
        return self.otherwise.bind(launch)


def choose(part, arch: int) -> tuple[Jit | Cubins | None, str]:
    """(the launcher for an engine's :class:`~fastsvc.artifact.device_part.DevicePart` of sm_``arch``, or None; one line
    that says which and why)."""
    jit = Jit() if importlib.util.find_spec("triton") is not None else None
    found, why = listed(part, arch)
    if found is not None:
        try:
            cubins = Cubins(found, part.read, Driver(), jit)
            return cubins, cubins.how
        except MissingPackageError as error:
            why = error.message
    if jit is not None:
        return jit, f"{jit.how} ({why})"
    return None, f"{why}, and triton is not installed"


def listed(part, arch: int) -> tuple[dict | None, str]:
    """(what :data:`LIST` says of the kernels that can be used, or None; why there are none)."""
    content = part.read(LIST)
    if content is None and part.has(LIST):
        return None, f"its kernels for sm_{arch} were not made by this user"
    if content is None:
        return None, f"it has no kernels compiled for sm_{arch}"
    found, wrong = parse(content, arch)
    if found is None:
        return None, f"its list of kernels for sm_{arch} {wrong}"
    if found["sources"] != sources():
        return None, f"its kernels for sm_{arch} are of another version of fastsvc"
    return found, ""
