"""A run's state on the disk: what was asked for, which stages are done, and how long they took."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from fastsvc import files, reading
from fastsvc.errors import ConfigError, OutputError

# 1: fingerprints held the times of files; 2: a teacher was trained, and its student; 3: the base's encoder did nothing
# in the training, and the bundled voices had another one.
FILE, FORMAT = "state.json", 4


@dataclass
class State:
    """``songs``: the folder; ``fingerprint``: of its recordings; ``minutes``: the budget; ``base``: the engine that
    training starts from; ``seconds``: of each stage, so far; ``training``: its minutes, once they are known."""

    songs: str
    fingerprint: str
    minutes: float
    base: str
    device: str = "auto"
    format: int = FORMAT
    done: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    training: float = 0.0

    def save(self, folder: Path) -> None:
        files.write_json(folder / FILE, asdict(self))


_TYPES = State("", "", 0.0, "")


def load(folder: Path) -> State | None:
    """The state in a run's folder; None where nothing was begun. Raises OutputError for a folder of something else."""
    path = folder / FILE
    if not path.exists():
        if not files.free_or_ours(folder):
            raise OutputError(f"{folder}: exists and is not a run of `fastsvc train`", "choose another -o")
        return None
    try:
        stored = reading.parse_json(reading.read_text(path))
        begun = stored.get("format") if isinstance(stored, dict) else None
        if isinstance(begun, int) and begun != FORMAT:
            raise OutputError(
                f"{folder} was begun by another version of fastsvc (format {begun} of {FILE}, here {FORMAT})",
                "finish it with that version, or choose another -o",
            )
        state = State(**stored)
        kinds = {one.name: type(getattr(_TYPES, one.name)) for one in fields(State)}
        wrong = [name for name, kind in kinds.items() if not isinstance(getattr(state, name), kind)]
        if wrong:
            raise ValueError(f"{', '.join(wrong)} of another type")
    except (ValueError, TypeError) as error:
        raise OutputError(f"{path} cannot be read ({error})", f"remove {folder} to begin anew") from None
    return state


def continued(stored: State, requested: State, folder: Path) -> State:
    """The state of a run that goes on. While nothing is finished, the request may change, but for the folder of songs.

    Raises ConfigError as :func:`check_same`.
    """
    if not stored.done and stored.songs == requested.songs:
        return replace(requested, seconds=stored.seconds)
    check_same(stored, requested, folder)
    return stored


def check_same(stored: State, requested: State, folder: Path) -> None:
    """Raises ConfigError where a run was begun with something else than what is asked for now."""
    what = {"songs": "songs of", "minutes": "a budget in minutes of", "base": "the engine", "device": "the device"}
    differing = [
        f"{what[name]} {_shown(getattr(stored, name))}, not {_shown(getattr(requested, name))}"
        for name in what
        if getattr(stored, name) != getattr(requested, name)
    ]
    if stored.fingerprint != requested.fingerprint and not differing:
        differing = [f"other recordings than {stored.songs} has now"]
    if differing:
        raise ConfigError(
            f"{folder} was begun with {'; '.join(differing)}",
            f"repeat that command, choose another -o, or remove {folder} to begin anew",
        )


def _shown(value) -> str:
    """120.0 → 120."""
    return f"{value:g}" if isinstance(value, float) else str(value)
