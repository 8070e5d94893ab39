"""The engine's own compiled kernels, kept in a folder that all processes of a rehearsal share."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import os
import types
from importlib import metadata
from pathlib import Path

from fastsvc.build.cubins.compiler import Cubin
from rehearsal import FOLDER


def folder() -> Path:
    path = Path(os.environ[FOLDER]) / "cubins"
    path.mkdir(parents=True, exist_ok=True)
    return path


def compiling(module: types.ModuleType) -> None:
    """``module``: fastsvc.build.cubins.compiler. What the folder has is not compiled again."""
    compile_all = module.compile_kernels

    def compile_kernels(jobs, processes: int = 1, progress=lambda fraction: None) -> list[Cubin]:
        jobs = list(jobs)
        places = [_place(*job) for job in jobs]
        lacking = [(job, place) for job, place in zip(jobs, places) if not place.exists()]
        if lacking:
            cubins = compile_all([job for job, _ in lacking], processes, progress)
            for (_, place), cubin in zip(lacking, cubins, strict=True):
                _write(place, cubin)
        return [_read(place) for place in places]

    module.compile_kernels = compile_kernels


def by_code(code: bytes) -> Cubin | None:
    """The kernel whose code this is; None if no process of a rehearsal has compiled it."""
    name = folder() / f"{hashlib.sha256(code).hexdigest()}.code"
    return _read(folder() / name.read_text(encoding="utf-8")) if name.exists() else None


def _place(spec: dict, arch: int) -> Path:
    from fastsvc.engine.cuda import launcher

    words = f"{arch} {launcher.key(spec)} {launcher.sources()} {metadata.version('triton')}"
    return folder() / f"{hashlib.sha256(words.encode()).hexdigest()[:32]}.json"


def _write(path: Path, cubin: Cubin) -> None:
    entry = {**dataclasses.asdict(cubin), "code": base64.b64encode(cubin.code).decode()}
    unfinished = path.with_suffix(f".{os.getpid()}")
    unfinished.write_text(json.dumps(entry), encoding="utf-8")
    os.replace(unfinished, path)
    code = hashlib.sha256(cubin.code).hexdigest()
    (folder() / f"{code}.code").write_text(path.name, encoding="utf-8")


def _read(path: Path) -> Cubin:
    entry = json.loads(path.read_text(encoding="utf-8"))
    entry |= {"code": base64.b64decode(entry["code"]), "parameters": tuple(map(tuple, entry["parameters"]))}
    return Cubin(**entry)
