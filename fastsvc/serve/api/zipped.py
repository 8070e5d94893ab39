"""An archive of results, made while it is sent: nothing is written to the disk, and one piece is in memory."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from fastsvc.serve.jobs.job import DONE, Job
from fastsvc.serve.jobs.names import distinct

PIECE = 1 << 18
LIST = "not converted.txt"


class _Sink:
    """What zipfile writes to: it cannot seek, and hands out what was written."""

    def __init__(self):
        self.content, self.place = bytearray(), 0

    def write(self, data) -> int:
        self.content += data
        self.place += len(data)
        return len(data)

    def tell(self) -> int:
        return self.place

    def flush(self) -> None:
        pass

    def take(self) -> bytes:
        content, self.content = bytes(self.content), bytearray()
        return content


def zipped(jobs: Sequence[Job], folder: Callable[[Job], Path]) -> Iterator[bytes]:
    """The pieces of the archive: results under distinct names, uncompressed, and LIST where a job has no result."""
    sink = _Sink()
    done = [job for job in jobs if job.state == DONE and job.result is not None]
    lines = [_line(job) for job in jobs if job.state != DONE]
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:  # type: ignore[call-overload]
        for job, name in zip(done, distinct([LIST, *(job.result["name"] for job in done)])[1:]):
            path = folder(job) / job.result["file"]
            try:
                source = path.open("rb")
            except OSError:
                lines.append(f"{job.name}: its result is removed already")
                continue
            about = zipfile.ZipInfo(name, time.localtime(job.finished or time.time())[:6])
            about.external_attr = 0o644 << 16
            with source, archive.open(about, "w", force_zip64=path.stat().st_size > 1 << 31) as entry:
                while piece := source.read(PIECE):
                    entry.write(piece)
                    yield sink.take()
        if lines:
            archive.writestr(zipfile.ZipInfo(LIST, time.localtime()[:6]), "\n".join(lines) + "\n")
        yield sink.take()
    yield sink.take()


def _line(job: Job) -> str:
    error = job.error or {}
    why = ": ".join(filter(None, (error.get("what"), error.get("why")))) or job.state
    return why if why.startswith(job.name) else f"{job.name}: {why}"
