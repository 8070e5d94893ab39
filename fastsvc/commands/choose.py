"""The choice of the engine and the speaker."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from fastsvc.artifact import bundled
from fastsvc.commands.common import say, verbosity
from fastsvc.engine.speakers import mixture
from fastsvc.errors import EngineError, SpeakerError
from fastsvc.remote import file_of, is_url

MODEL_VARIABLE = "FASTSVC_MODEL"


def choose_model(model: str | None) -> tuple[Path, str]:
    """(engine folder, why this one): -m (a path, or a bundled engine's name), $FASTSVC_MODEL, the only .fsvc in the
    current folder, the demo voices.

    An engine by URL is copied to this machine. Raises EngineError if that folder is missing, or several are possible.
    """
    from_variable = os.environ.get(MODEL_VARIABLE)
    in_folder = sorted(path for path in Path().glob("*.fsvc") if path.is_dir())
    if model:
        chosen, why = _local(str(bundled.engine_path(model))), "-m"
    elif from_variable:
        chosen, why = _local(from_variable), f"${MODEL_VARIABLE}"
    elif len(in_folder) == 1:
        chosen, why = in_folder[0], "the only one in this folder"
    elif in_folder:
        raise EngineError(
            f"several engines are in this folder: {', '.join(map(str, in_folder))}",
            f"choose one with -m NAME.fsvc, or the bundled voices with -m {bundled.VOICES.stem}",
        )
    elif bundled.VOICES.is_dir():
        chosen, why = bundled.VOICES, "the bundled demo voices"
    else:
        raise EngineError(
            "no engine is named", f"name one with -m or ${MODEL_VARIABLE}, or build one with `fastsvc build`"
        )
    if not chosen.exists():
        raise EngineError(
            f"{chosen}: no such engine (from {why})", "check the path, or build an engine with `fastsvc build`"
        )
    return chosen, why


def voice_name(path: Path, text: str | None) -> str:
    """The resolved name of :func:`choose_speaker`'s choice, before the engine is opened. Raises SpeakerError,
    EngineError."""
    from fastsvc.artifact.engine_folder import Artifact
    from fastsvc.engine.speakers import Speakers

    table = Speakers.of(Artifact(path).manifest)
    return table.name(choose_speaker(table, text))


def engine_url(model: str | None) -> str | None:
    """The URL of the engine that :func:`choose_model` chooses, if it is named by one."""
    name = model or os.environ.get(MODEL_VARIABLE) or ""
    return name if is_url(file_of(name)) else None


def _local(name: str) -> Path:
    if not is_url(file_of(name)):
        return Path(file_of(name))
    from fastsvc.convert.spread import engines

    return engines.local(name)


def choose_speaker(table, text: str | None) -> str | int | dict[str | int, float]:
    """The speaker named by ``text`` as the engine takes it: a name or id, or a mixture for "A:0.7,B:0.3".

    A number is an id first, and a name only where the table has no such id: the first speaker of RVC's voices is called
    as their file, which may be 5.pth. ``table`` is a fastsvc.engine.speakers.Speakers. Without text it is the only
    speaker, or the table's default.
    Raises SpeakerError.
    """
    if text is None:
        try:
            return table.only()
        except SpeakerError as error:
            raise SpeakerError(
                error.message, error.remedy.replace("by its id or name", "with --spk ID or NAME")
            ) from None
    speaker = (
        _id_first(table, text) if table.knows(text) or ":" not in text else mixture(text, partial(_id_first, table))
    )
    table.weights(speaker)
    return speaker


def _id_first(table, text: str) -> str | int:
    """``text``, or the id that it is; a note says so where another speaker is called so."""
    both = table.id_and_name(text)
    if both is None:
        return text
    number, namesake = both
    if verbosity() >= 0:  # on stderr, as stdout may carry samples
        text, name = text.strip(), table.names[number - table.base]
        say(f"note: --spk {text} is the id of {name!r}; the speaker called {text!r} has the id {namesake}", error=True)
    return number
