"""`fastsvc convert` with workers, files by URL, or a manifest."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path

from fastsvc import arguments
from fastsvc.commands.choose import choose_model, choose_speaker, engine_url
from fastsvc.commands.common import INTERRUPTED, SOME_FAILED, say, say_notes, verbosity
from fastsvc.commands.engine_opening import open_engine, report_head
from fastsvc.commands.rvc_options import with_tracker
from fastsvc.commands.spread_options import SpreadOptions
from fastsvc.errors import ConfigError, FastsvcError

OF_RESULTS = ("rate", "bits", "channels")  # options of a row that are not the request's


@dataclass(frozen=True)
class Values:
    """What the command line says, besides the options for spreading; ``options``: of the request."""

    inputs: tuple[str, ...]
    spk: str | None
    model: str | None
    out: str
    format: str
    bits: str
    rate: int | str
    report: str | None
    device: str
    precision: str
    vocoder_backend: str
    channels: str
    overwrite: bool
    batch: int
    options: dict

    @classmethod
    def of(cls, params: dict, options: dict) -> Values:
        """``params``: all values of the command line by name, of which those of the request are ``options``, too."""
        own = (field.name for field in fields(cls) if field.name != "options")
        return cls(**{name: params[name] for name in own}, options=options)

    def settings(self, engine, speaker, row: dict):
        """For all recordings, or for those of a row of a manifest."""
        from fastsvc.convert.settings import ConversionSettings
        from fastsvc.engine import Request

        values = {"rate": self.rate, "bits": self.bits, "channels": self.channels} | row
        arguments.one_of("channels", values["channels"], ("mono", "keep"))
        request = {"f0_method" if key == "f0" else key: value for key, value in row.items() if key not in OF_RESULTS}
        request = self.options | request
        request["steps"] = request["steps"] or engine.default_steps
        settings = ConversionSettings(
            Request(speaker, **request),
            name=engine.table.name(speaker),
            rate_hz=None if values["rate"] == "same" else values["rate"],
            subtype=values["bits"],
            keep_channels=values["channels"] == "keep",
            overwrite=self.overwrite,
            batch=self.batch,
            precision=self.precision,
        )
        engine.check_request(settings.request)
        return replace(settings, request=with_tracker(engine, settings.request))


def convert(asked: SpreadOptions, given: Values) -> int:
    """The exit code."""
    from fastsvc.convert import shard
    from fastsvc.convert.spread import outputs, run
    from fastsvc.remote import file_of

    weights = given.options.get("f0_weights")
    if weights is not None:  # workers may begin in another folder
        given = replace(given, options=given.options | {"f0_weights": str(Path(weights).expanduser().absolute())})
    given = replace(given, inputs=tuple(map(file_of, given.inputs)), out=file_of(given.out))
    room = _room(asked, given.device) if asked.ray is not None else None
    try:
        path, why = choose_model(given.model)
        say(f"engine: {path} ({why})")
        plan, rows = _plan(asked, given)
        report_file = outputs.ReportFile.of(given.report, plan)
        results_file = outputs.results_file(asked.manifest, asked.shard) if asked.manifest else None
        outputs.check(plan, shared=asked.shard is not None or room is not None)
        here = given.device if room is None and "," not in given.device else "cpu"  # else the workers have the devices
        engine = open_engine(path, _device(here), given.options["steps"], given.vocoder_backend, given.precision)
        settings = _settings(engine, given, rows)
        if len(settings) == 1:
            say(f"speaker: {settings[0].name}")
        by_job = [settings[job.number if rows else 0] for job in plan.jobs]
        say_notes(plan.notes)
        from fastsvc.commands.show import Show

        with Show(len(plan.jobs) + len(plan.problems), verbosity()) as show:
            crew, most = _crew(asked, given, engine, path, room, show.fraction)
            on_done = outputs.appending(results_file, rows) if results_file else (lambda job, entry: None)
            in_work = shard.in_work_name(asked.shard)
            result, notes = run.run(engine, plan, by_job, crew, show.entry, on_done, most, in_work)
    finally:
        if room is not None:
            from fastsvc.convert.spread import ray_cluster

            ray_cluster.disconnect()
    for note in notes:
        say(f"note: {note}")
    show.summary(result)
    if results_file:
        say(f"results: {results_file}")
    if report_file is not None:
        sources = [asked.manifest] if asked.manifest else given.inputs
        report_file.save(result.to_dict(**report_head(engine, settings[0], sources, given.out, given.format)))
        say(f"report: {given.report}")
    return INTERRUPTED if result.interrupted else SOME_FAILED if result.failures else 0


def _room(asked: SpreadOptions, device: str):
    """Connect to the cluster and see that the workers fit, before anything that takes time."""
    from fastsvc.convert.spread import ray_cluster

    if "," in device or ":" in device:
        raise ConfigError(f"--device {device} names devices of this machine", "with --ray use cpu, cuda or auto")
    say(f"ray: {ray_cluster.connect(asked.ray)}")
    try:
        room = ray_cluster.room(asked.workers, asked.gpus_per_worker, device)
    except BaseException:
        ray_cluster.disconnect()
        raise
    say(f"workers: {room.workers}" + (f", each with {room.gpus:g} GPU" if room.gpus else ", on CPUs"))
    return room


def _plan(asked: SpreadOptions, given: Values):
    """(the plan, the rows of a manifest)"""
    from fastsvc.convert import manifest
    from fastsvc.convert.spread.manifest_plan import manifest_plan
    from fastsvc.convert.spread.remote_plan import spread_plan
    from fastsvc.remote import file_of

    if asked.manifest is not None:
        path = file_of(asked.manifest)
        rows = manifest.read(path)
        plan = manifest_plan(path, rows, given.out, given.format)
    else:
        rows, plan = [], spread_plan(given.inputs, given.out, given.format, given.spk or "")
    if asked.shard is not None:
        plan = replace(plan, jobs=asked.shard.of(plan.jobs, lambda job: job.name))
    return plan, rows


def _settings(engine, given: Values, rows) -> list:
    """The settings of each row, of which equal ones are one object; without rows one for all."""
    made: dict[str, object] = {}

    def of(text: str | None, options: dict):
        key = json.dumps([text, options], sort_keys=True)
        if key not in made:
            made[key] = given.settings(engine, choose_speaker(engine.table, text), options)
        return made[key]

    if not rows:
        return [of(given.spk, {})]
    result = []
    for row in rows:
        try:
            result.append(of(row.speaker or given.spk, row.options))
        except FastsvcError as error:
            raise ConfigError(f"line {row.line} of the manifest: {error.message}", error.remedy) from None
    return result


def _crew(asked: SpreadOptions, given: Values, engine, path, room, progress):
    """(what makes the workers, the most recordings in one task)"""
    from fastsvc.convert.spread import processes
    from fastsvc.convert.spread.crew import HereCrew
    from fastsvc.convert.spread.worker import Worker, WorkerSpec

    own = asked.shard is not None or room is not None
    spec = WorkerSpec(
        engine_url(given.model) or str(Path(path).absolute()),
        engine.content_hash,
        given.out,
        "cpu",
        given.precision,
        given.vocoder_backend,
        own,
    )
    if room is not None:
        from fastsvc.convert.spread.ray_crew import RayCrew

        spec = replace(spec, device="cuda" if room.gpus else "cpu", folder=str(Path.cwd()))
        return lambda: RayCrew(spec, room.workers, room.gpus), given.batch if room.gpus else 1
    devices = given.device.split(",")
    if len(devices) > 1:
        gpus = all(name.startswith("cuda") for name in devices)
        return lambda: processes.ProcessCrew(spec, devices), given.batch if gpus else 1
    return lambda: HereCrew(Worker(spec, engine), progress), given.batch if engine.shares_batches else 1


def _device(device: str) -> str:
    """The kind of a single device; of cuda:N, that GPU alone is visible from now on."""
    import os

    from fastsvc.convert.spread import processes

    gpu = processes.visible(device)
    if gpu is not None:
        os.environ[processes.VISIBLE] = gpu
    return device.partition(":")[0]
