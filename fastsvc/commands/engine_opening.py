"""Opening the engine of a command, its request, and the head of its report."""

from __future__ import annotations

from fastsvc.commands.common import say
from fastsvc.commands.rvc_options import with_tracker


def open_engine(path, device: str, steps: int | None, vocoder_backend: str, precision: str):
    """Open the engine on a device and print the device, or what a CPU computes in bfloat16. Raises EngineError, also
    for steps that are not built in."""
    from fastsvc.engine import Engine, checks

    engine = Engine.open(path, device=device, precision=precision, vocoder_backend=vocoder_backend)
    engine.check_convertible()
    if engine.rounded:
        say(f"precision: {', '.join(engine.rounded)} in bf16 (--precision fp32: all in float32)")
    if engine.device.type != "cpu":
        say(f"device: {engine.device}, {engine.precision}: {engine.how}")
    if steps is not None:
        checks.steps(engine, steps)
    return engine


def request_for(engine, spk: str | None, options: dict):
    """(the request that the engine takes, the voice's name), said. Raises FastsvcError."""
    from fastsvc.commands.choose import choose_speaker
    from fastsvc.engine import Request

    speaker = choose_speaker(engine.table, spk)
    request = Request(speaker, **options | {"steps": options["steps"] or engine.default_steps})
    engine.check_request(request)
    name, others = engine.table.name(speaker), len(engine.table.names) - 1 if spk is None else 0
    say(f"speaker: {name}" + (f" (the engine's default; {others} others by --spk)" if others else ""))
    return with_tracker(engine, request), name


def report_head(engine, settings, inputs, out, format) -> dict:
    """Date, versions, machine, engine and settings."""
    import dataclasses
    import platform
    import time
    from importlib import metadata

    from fastsvc import machine
    from fastsvc.engine import rvc_options
    from fastsvc.version import VERSION

    rvc = rvc_options.of(engine, settings.request)  # the values behind None
    resolved = settings.to_dict() | ({} if rvc is None else dataclasses.asdict(rvc))
    versions = {name: metadata.version(name) for name in ("torch", "numpy", "soundfile", "soxr")}
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "versions": {"fastsvc": VERSION, "python": platform.python_version(), **versions},
        "machine": {"system": f"{platform.system()} {platform.machine()}", **machine.describe()},
        "engine": str(engine.path),
        "computes": {"device": engine.device.type, "precision": engine.precision, "bf16": list(engine.rounded)},
        "settings": {"inputs": list(inputs), "out": str(out), "format": format, **resolved},
    }
