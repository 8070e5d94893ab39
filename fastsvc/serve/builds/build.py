"""One upload to one engine folder, in a process of its own: read by the inert readers, built or unpacked, tried."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from fastsvc import files, reading
from fastsvc.artifact.engine_folder import MANIFEST_LIMIT, Artifact
from fastsvc.artifact.listing import MANIFEST
from fastsvc.errors import CheckpointError, EngineError, FastsvcError
from fastsvc.serve import messages
from fastsvc.serve.builds import engine_zip, limits, networks
from fastsvc.serve.builds.kinds import CONFIG, CONTENT, INDEX, VOCODER, VOICE
from fastsvc.serve.voices import FOLDER

UPLOAD = "upload"  # in the folder of a voice: the received files, until it is built
MESSAGES = 10  # that a build says, about


def run(
    log: Callable[[str], None],
    progress: Callable[[float], None],
    *,
    voice: str,
    name: str,
    folder: str,
    received: dict[str, str],
    engines: list[str],
    memory_bytes: int,
) -> list[str]:
    """Make ``folder``/FOLDER from the files in ``folder``/UPLOAD; returns notes.

    ``received``: role (fastsvc.serve.builds.kinds) → name of its file there. ``engines``: folders whose networks a
    voice may share, the most trusted first. Raises typed errors; then nothing is left but what was received, for the
    server to remove.
    """
    upload, out = Path(folder) / UPLOAD, Path(folder) / FOLDER
    if out.is_dir() and not upload.is_dir():  # the server ended after this was done, and before it knew
        return []
    paths = {role: upload / file for role, file in received.items()}
    if VOICE not in paths:
        raise CheckpointError("the upload holds no voice", "send a .pth, .pt or .zip, or a zipped .fsvc")
    names = {str(paths[VOICE]): name}
    with _named(names):
        limits.check(paths.values(), memory_bytes)
    limits.apply(memory_bytes)
    tempfile.tempdir = str(upload)  # what readers unpack goes with it
    shutil.rmtree(out, ignore_errors=True)  # of a build that a restart has cut
    said = 0

    def say(line: str) -> None:
        nonlocal said
        said += 1
        log(messages.plain(line, names))
        progress(min(0.95, said / MESSAGES))

    try:
        with _named(names):
            notes = _made(paths, out, [Path(engine) for engine in engines], memory_bytes, say)
            say("it is opened once, to see that it converts")
            _try(out, notes)
        _rename_speaker(out, paths[VOICE].stem, name)
    except BaseException:
        shutil.rmtree(out, ignore_errors=True)
        raise
    shutil.rmtree(upload, ignore_errors=True)
    return notes


@contextlib.contextmanager
def _named(names: dict[str, str]):
    """Errors call files what their client calls them: they lie under names of ours, which nobody else has seen."""
    try:
        yield
    except FastsvcError as error:
        FastsvcError.__init__(error, *(messages.plain(text, names) for text in (error.message, error.remedy)))
        raise


def _made(
    paths: dict[str, Path], out: Path, engines: list[Path], memory_bytes: int, say: Callable[[str], None]
) -> list[str]:
    """Notes on the engine that is written to ``out``."""
    if paths[VOICE].suffix != ".zip" or not engine_zip.is_engine(paths[VOICE]):
        return _built(paths, out, engines, say)
    say("it is an engine: its tensors are unpacked, and nothing else")
    return engine_zip.unpack(paths[VOICE], out, memory_bytes)


def _built(paths: dict[str, Path], out: Path, engines: list[Path], say: Callable[[str], None]) -> list[str]:
    from fastsvc import build
    from fastsvc.checkpoints import read

    voice = read(paths[VOICE], config=paths.get(CONFIG), inspect_only=True)
    parts = networks.choose(voice, paths.get(CONTENT), paths.get(VOCODER), engines)
    for line in (*voice.notes, *parts.notes):
        say(line)
    build.compile(
        paths[VOICE],
        out,
        config=paths.get(CONFIG),
        content=parts.content,
        vocoder=parts.vocoder,
        index=paths.get(INDEX),
        target="cpu",
        progress=say,
    )
    return list(map(messages.plain, (*voice.notes, *parts.notes)))


def _try(out: Path, notes: list[str]) -> None:
    """Load the engine, which checks every tensor. Raises EngineError, also where it cannot convert recordings."""
    from fastsvc.engine import Engine

    engine = Engine.open(out, device="cpu", precision="built")
    engine.check_convertible()
    notes += [f"it has {len(engine.speakers)} speakers"] if len(engine.speakers) > 1 else []


def _rename_speaker(out: Path, stem: str, name: str) -> None:
    """A voice of RVC is called after its file, whose name here says nothing: it gets the voice's own."""
    manifest = reading.read_json(out / MANIFEST, MANIFEST_LIMIT, EngineError)
    if stem in manifest["speakers"] and name not in manifest["speakers"]:
        manifest["speakers"] = [name if speaker == stem else speaker for speaker in manifest["speakers"]]
        files.write_json(out / MANIFEST, manifest)
    Artifact(out)
