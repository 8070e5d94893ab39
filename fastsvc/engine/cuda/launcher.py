"""Launchers of kernels: the engine's own compiled kernels, or Triton, which compiles on first use."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from fastsvc import kernels
from fastsvc.engine.cuda.driver import Driver, LoadedKernel
from fastsvc.engine.cuda.kernel_list import LIST, parse
from fastsvc.errors import EngineError, MissingPackageError
from fastsvc.kernels import occupancy
from fastsvc.kernels.launch import Launch
from fastsvc.kernels.tiles import PROCESSORS, architecture


def key(spec: dict) -> str:
    """The name of a compiled kernel: a hash of everything that compilation depends on (``Launch.spec()``)."""
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:24]


def sources() -> str:
    """A hash of the kernels' source, of all its folders: code compiled from other sources is not used."""
    digest, root = hashlib.sha256(), Path(kernels.__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


class Jit:
    """Starts kernels through Triton, which compiles each on first use."""

    how = "kernels compiled by Triton when first used"

    def bind(self, launch: Launch) -> Callable[[], None]:
        return launch.run

    def bind_chain(self, launches: Sequence[Launch]) -> list[Callable[[], None]]:
        return [self.bind(launch) for launch in launches]


class Cubins:
    """Starts an engine's compiled kernels for one architecture.

    ``listing``: as kernel_list.parse returns it; ``read``: a listed file's verified bytes; ``fallback``: for kernels
    that are not in the listing.
    """

    def __init__(self, listing: dict, read: Callable[[str], bytes | None], driver: Driver, fallback: Jit | None):
        self.entries, self.arch = listing["kernels"], listing["arch"]
        self.read, self.driver, self.fallback = read, driver, fallback
        self.loaded: dict[str, LoadedKernel] = {}
        self.how = f"{len(self.entries)} kernels compiled ahead of time, started by cuda-bindings"

    def bind_chain(self, launches: Sequence[Launch]) -> list[Callable[[], None]]:
        """:meth:`bind` of launches that follow one another, which all ask for one division of a multiprocessor's memory
        into shared memory and L1 cache: dividing it anew waits until the kernel before has left it."""
        entries = [(self.entries.get(key(launch.spec())), launch.grid) for launch in launches]
        least = max((_carve_out(entry, grid, self.arch) for entry, grid in entries if entry), default=0)
        return [self.bind(launch, least) for launch in launches]

    def bind(self, launch: Launch, carve_out: int | None = None) -> Callable[[], None]:
        """A call that starts this launch. Raises EngineError where neither its kernel nor Triton is available."""
        spec = launch.spec()
        name = key(spec)
        entry = self.entries.get(name)
        if entry is None:
            return self._fall_back(
                launch, f"the engine has no compiled {spec['kernel'].partition(':')[2]} for this shape"
            )
        if name not in self.loaded:
            code = self.read(entry["file"])
            if code is None:
                return self._fall_back(launch, f"the compiled kernel {entry['file']} is missing, or another user's")
            about = entry["name"], entry["warps"], entry["shared"], entry["parameters"]
            self.loaded[name] = self.driver.load(code, *about)
        how = launch.early, carve_out, launch.cooperative
        return self.driver.bind(self.loaded[name], launch.grid, launch.arguments, *how)

    def _fall_back(self, launch: Launch, reason: str) -> Callable[[], None]:
        if self.fallback is None:
            raise EngineError(reason, "build the engine again, or install Triton with pip install triton")
        warnings.warn(f"{reason}: Triton compiles it now", stacklevel=3)
        return self.fallback.bind(launch)


def _carve_out(entry: dict, grid: tuple[int, ...], arch: int) -> int:
    """Percent of a multiprocessor's memory that the programs of a listed kernel share, as many as run there at once."""
    held = occupancy.programs(entry["shared"], entry["registers"], entry["warps"], arch)
    programs = min(max(1, held), -(-math.prod(grid) // PROCESSORS[architecture(arch)]))
    used = programs * (entry["shared"] + occupancy.SYSTEM_BYTES)
    return min(100, -(-100 * used // occupancy.processor_bytes(arch)))


def choose(part, arch: int) -> tuple[Jit | Cubins | None, str]:
    """(the launcher for an engine's :class:`~fastsvc.artifact.device_part.DevicePart` of sm_``arch``, or None; one line
    with the choice and its reason)."""
    jit = Jit() if importlib.util.find_spec("triton") is not None else None
    listing, why = usable_listing(part, arch)
    if listing is not None:
        try:
            cubins = Cubins(listing, part.read, Driver(), jit)
            return cubins, cubins.how
        except MissingPackageError as error:
            why = error.message
    if jit is not None:
        return jit, f"{jit.how} ({why})"
    return None, f"{why}, and triton is not installed"


def usable_listing(part, arch: int) -> tuple[dict | None, str]:
    """(the content of :data:`LIST` if its kernels can be used, else None; the reason why they cannot)."""
    content = part.read(LIST)
    if content is None and part.has(LIST):
        return None, f"its kernels for sm_{arch} were not made by this user"
    if content is None:
        return None, f"it has no kernels compiled for sm_{arch}"
    listing, fault = parse(content, arch)
    if listing is None:
        return None, f"its list of kernels for sm_{arch} {fault}"
    if listing["sources"] != sources():
        return None, f"its kernels for sm_{arch} are of another version of fastsvc"
    return listing, ""
