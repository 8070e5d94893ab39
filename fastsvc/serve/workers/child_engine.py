"""Conversions in a worker that holds one engine: the same calls as `fastsvc convert`, so the same bytes."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path

from fastsvc import faults
from fastsvc.audio.encode import FORMATS
from fastsvc.audio.resample import resampled_length
from fastsvc.config import RvcConfig
from fastsvc.convert.batch import run as run_batch
from fastsvc.convert.plan import ConversionPlan, Job, output_format
from fastsvc.convert.report import DONE, Entry
from fastsvc.convert.settings import ConversionSettings
from fastsvc.convert.sources import Sources
from fastsvc.engine import Engine, Request, rvc_options
from fastsvc.features import f0
from fastsvc.files.renaming import replace
from fastsvc.serve.workers import pictures
from fastsvc.serve.workers.child import Parent, failure, rss_bytes

RESULT = "result"  # the file in a job's folder, before its suffix
OF_REQUEST = (  # options that are named as in a request
    *("steps", "transpose", "formant", "seed", "f0_range", "normalise", "high_pass", "rms_mix_rate"),
    *rvc_options.NAMES,
)
_REMEDY = re.compile(r"\(([^()]*(?:\([^()]*\)[^()]*)*)\)$")


def work(parent: Parent, role: dict) -> None:
    """Open role["engine"] on role["device"], tell {"ready", "shares", "rss"}, and do each {"run"} that is asked for."""
    engine = Engine.open(role["engine"], device=role["device"])
    engine.check_convertible()
    parent.tell({"ready": True, "shares": engine.shares_batches, "rss": rss_bytes()})
    while True:
        message = parent.next()
        run = Run(parent, engine, message)
        try:
            parent.task = message["run"]
            run.convert()
            parent.task = None
        except KeyboardInterrupt:
            pass
        except Exception as error:
            run.fail_all(failure(error))
        finally:
            parent.task = None
        parent.tell({"idle": message["run"], "rss": rss_bytes()})


class Run:
    """Jobs with the same options. ``message``: "run", an id; "folder", an empty one for results in work; "options";
    "jobs": each with "id", "folder", "input" (a file in it), "pictures".

    Tells of each job {"job", "progress"}, {"job", "stage"}, and {"job", "done": …} or {"job", "failed": …}."""

    def __init__(self, parent: Parent, engine, message: dict):
        self.parent, self.engine, self.message = parent, engine, message
        self.options = message["options"]
        self.jobs = {str(Path(job["folder"]) / job["input"]): job for job in message["jobs"]}
        self.waiting = list(self.jobs.values())

    def fail_all(self, error: dict) -> None:
        for job in self.waiting:
            self.parent.tell({"job": job["id"], "failed": error})
        self.waiting = []

    def convert(self) -> None:
        request = requested(self.engine, self.options)
        settings = ConversionSettings(
            request,
            name=self.engine.table.name(request.speaker),
            rate_hz=self.options.get("rate"),
            subtype=self.options["bits"],
            keep_channels=self.options["channels"] == "keep",
        )
        folder = Path(self.message["folder"])
        sources = [Path(path) for path in self.jobs]
        kinds = [output_format(source, self.options["format"]) for source in sources]
        jobs = [
            Job(source, folder / (job["id"] + FORMATS[kind][0]), kind)
            for source, kind, job in zip(sources, kinds, self.jobs.values())
        ]
        plan = ConversionPlan(jobs, folder=folder, sources=Sources(sources))
        report = run_batch(self.engine, plan, settings, lambda report, entry: self._entry(entry), self._progress)
        if report.interrupted:
            raise KeyboardInterrupt

    def _progress(self, recordings: float) -> None:
        if self.waiting:
            fraction = min(1.0, max(0.0, recordings / len(self.waiting)))
            self.parent.tell_seldom({"jobs": [job["id"] for job in self.waiting], "progress": fraction})

    def _entry(self, entry: Entry) -> None:
        job = self.jobs[entry.input]
        if entry.status != DONE:
            self._failed(job, entry)
            return
        folder = Path(job["folder"])
        target = folder / (RESULT + Path(entry.output).suffix)
        try:
            replace(entry.output, target)
        except OSError as error:  # its folder is gone, as the job was cancelled
            self.waiting.remove(job)
            self.parent.tell({"job": job["id"], "failed": failure(error)})
            return
        notes, name = [note.replace(entry.input, job["name"]) for note in entry.notes], target.name
        if job["pictures"]:
            self.parent.tell({"job": job["id"], "stage": "pictures"})
            notes += self._pictures(folder, Path(entry.input), target)
        self.waiting.remove(job)
        done = {
            "file": name,
            "seconds": entry.seconds,
            "rate_hz": entry.output_rate_hz,
            "samples": resampled_length(round(entry.seconds * entry.rate_hz), entry.rate_hz, entry.output_rate_hz),
            "transpose": entry.transpose,
            "notes": notes,
            "timings_s": entry.timings_s,
        }
        self.parent.tell({"job": job["id"], "done": done})

    def _pictures(self, folder: Path, source: Path, result: Path) -> list[str]:
        """Write what was heard, and the pictures; returns a note where that is impossible."""
        try:
            pictures.write(folder, source, result)
            return []
        except Exception as error:
            typed = faults.user_error(error)
            return [f"there are no pictures: {typed.message if typed else faults.line(error)}"]

    def _failed(self, job: dict, entry: Entry) -> None:
        self.waiting.remove(job)
        remedy = _REMEDY.search(entry.reason)
        message = entry.reason[: remedy.start()].strip() if remedy else entry.reason
        if entry.traceback:
            os.write(2, entry.traceback.encode("utf-8", "backslashreplace"))
        error = {"kind": "FastsvcError", "message": message, "remedy": remedy[1] if remedy else ""}
        self.parent.tell({"job": job["id"], "failed": error})


def requested(engine, options: dict) -> Request:
    """The request that checked options ask for, as `fastsvc convert` makes it. Raises typed errors."""
    chosen = {name: options[name] for name in OF_REQUEST if options.get(name) is not None}
    if "f0_range" in chosen:
        chosen["f0_range"] = tuple(chosen["f0_range"])
    chosen["steps"] = chosen.get("steps") or engine.default_steps
    request = Request(options["speaker"], f0_method=options.get("f0"), **chosen)
    engine.check_request(request)
    method = rvc_options.f0_method(engine, request)
    if method is not None:
        f0.require(method, request.f0_weights)
    return dataclasses.replace(request, f0_method=method) if isinstance(engine.config, RvcConfig) else request
