"""English by festival's free diphone voice ked, with the phones and times of its synthesis.

Diphones are cut out of one man's recordings, so his own sounds are heard. festival runs from its unpacked Debian
packages, without root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from bench.speech import fetch, packages, texts
from fastsvc import files
from fastsvc.data.choir.phones import PHONES

VOICE = "ked"
_OURS = {"ax": "ah", "dx": "t", "nx": "n", "axr": "er", "hv": "hh", "h#": "pau", "brth": "pau"}
SECONDS = 3.0  # of a text, about
BATCH = 100  # utterances of one process


def speak(words: Sequence[str], out: Path, minutes: float, work: Path, seed: int = 0) -> int:
    """About ``minutes`` below ``out/festival-ked``, with transcripts; -> how many recordings. Raises FetchError."""
    library = _library(work)
    folder = (out / f"festival-{VOICE}").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    said = list(islice(texts.texts(words, seed), round(60 * minutes / SECONDS)))
    jobs = [(text, folder / f"{VOICE}-{index:04d}.wav") for index, text in enumerate(said)]
    jobs = [(text, path) for text, path in jobs if not path.with_suffix(".json").is_file()]
    for first in range(0, len(jobs), BATCH):
        part = jobs[first : first + BATCH]
        _run(library, work, "\n".join([f"(voice_{VOICE}_diphone)", *(_command(*job) for job in part)]))
        for _, path in part:
            labels = path.with_suffix(".lab")
            phones = read(labels)
            files.write_json(path.with_suffix(".json"), {"phones": phones, "f0_hz": None, "f0_hop_s": None})
            labels.unlink()
    return len(said)


def read(path: Path) -> list[tuple[str, float, float]]:
    """A file of segments ("end colour phone" after a line "#") -> [(phone of the choir, start, end in seconds)]."""
    _, _, body = path.read_text(encoding="ascii").partition("#\n")
    found, start = [], 0.0
    for line in body.splitlines():
        end, _, name = line.split()
        name = _OURS.get(name, name)
        if name not in PHONES:
            raise fetch.FetchError(f"festival says the phone {name!r}, which is unknown here", "use festival 2.5")
        found.append((name, start, float(end)))
        start = float(end)
    return found


def _command(text: str, path: Path) -> str:
    text = text.replace("\\", " ").replace('"', " ")
    spoken = f'(set! said (utt.synth (Utterance Text "{text}")))'
    return f'{spoken}\n(utt.save.wave said "{path}" \'riff)\n(utt.save.segs said "{path.with_suffix(".lab")}")'


def _library(work: Path) -> Path:
    """festival's folders of all packages as one."""
    library = work.resolve() / "festival"
    for name in packages.TOOLS:
        share = fetch.fetch(name, work) / "usr/share/festival"
        if share.is_dir():
            shutil.copytree(share, library, dirs_exist_ok=True)
    return library


def _run(library: Path, work: Path, script: str) -> None:
    program = fetch.unpacked("festival", work.resolve()) / "usr/bin/festival"
    found = fetch.unpacked("libestools2.5", work.resolve()).glob("usr/lib/*/libestools.so*")
    environment = os.environ | {"LD_LIBRARY_PATH": str(next(found).parent)}
    path = library / "say.scm"
    path.write_text(script, encoding="ascii", errors="replace")
    command = [str(program), "--datadir", str(library), "--libdir", str(library), "-b", str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode or "ERROR" in done.stderr:
        raise fetch.FetchError(f"festival failed: {done.stderr.strip()[-200:]}", "use festival 2.5")
