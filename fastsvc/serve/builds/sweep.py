"""After a start: folders of voices whose upload or build was cut, and that no job will go on with, are removed."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from fastsvc.serve.jobs.job import BUILD, Job
from fastsvc.serve.voices import ABOUT


def sweep(voices: Path, jobs: Iterable[Job]) -> None:
    """``voices``: the folder of uploaded voices; ``jobs``: those that wait or are in work."""
    kept = {job.arguments.get("voice") for job in jobs if job.kind == BUILD}
    for folder in voices.iterdir():
        if folder.name not in kept and not (folder / ABOUT).is_file():
            shutil.rmtree(folder, ignore_errors=True)
