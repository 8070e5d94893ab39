"""Mutated checkpoints, engines and manifests through the commands: no crash, no hang, no traceback, no file of garbage.

A lane of its own (`make fuzz`), minutes long: every case is a child process with limits on time and memory. Seeds make
a case again: FASTSVC_FUZZ_SEED; FASTSVC_FUZZ_EACH mutants a family (12), five times as many engines.
"""

import json
import os
import random
import shutil
import warnings
from collections import Counter
from pathlib import Path

import engines
import forked
import formats
import golden
import huberts
import mutation_targets as targets
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from mutated_bytes import mutate_file
from mutations import judged
from recordings import put, tone

from fastsvc.artifact import engine_folder
from fastsvc.audio import io
from fastsvc.cli import main

EACH = int(os.environ.get("FASTSVC_FUZZ_EACH", "12"))
SEED = int(os.environ.get("FASTSVC_FUZZ_SEED", "0"))
BESIDE = (".yaml", ".json", ".npy")  # what a checkpoint is read with


def golden_folder(name: str, file: str):
    return lambda folder: shutil.copytree(golden.FOLDER / name, folder) / file


def native(kind: str, config, **options):
    def make(folder: Path) -> Path:
        folder.mkdir(parents=True)
        path = engines.native(folder / "a.pt", kind, config)
        if options:
            torch.save(torch.load(path), path, **options)
        return path

    return make


def fairseq(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return huberts.fairseq(folder / "a.pt")


FAMILIES = {
    **formats.ACOUSTIC,
    "fork": formats.comosvc_fork,
    "ptc": lambda folder: formats.diffusion_svc(folder, combo=True),
    "amphion": lambda folder: targets.amphion_files.experiment(folder) / "pytorch_model.bin",
    "comosvc_small": golden_folder("comosvc_small", "student.pt"),
    "m4gan": golden_folder("m4gan_small", "model_ckpt_steps_1970000.ckpt"),
    "nsf_hifigan": golden_folder("nsf_hifigan_small", "model"),
    "pc_nsf": golden_folder("pc_nsf_small", "model"),
    "huggingface": lambda folder: huberts.huggingface(folder) / "model.safetensors",
    "fairseq": fairseq,
    "student": native("student", engines.ACOUSTIC),
    "vocoder": native("vocoder", engines.VOCODER),
    "recogniser": native("recogniser", engines.CONTENT),
    "old form": native("student", engines.ACOUSTIC, _use_new_zipfile_serialization=False),
}


def command(*words) -> str:
    """What a command that ended as it should said; the assertion's text otherwise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = CliRunner().invoke(main, [str(word) for word in words])
    ended = result.exception is None or isinstance(result.exception, SystemExit)
    assert ended, f"{words[0]}: {type(result.exception).__name__}: {result.exception}"
    assert result.exit_code in (0, 1, 2) and "Traceback" not in result.output, result.output
    assert result.exit_code == 0 or "error: " in result.stderr or "failed" in result.stderr, result.output
    return f"{words[0]} {result.exit_code}"


def faults(cases, folder: Path) -> tuple[list[str], Counter]:
    """(what went wrong in cases of (name, use), how often each thing was said)."""
    wrong, said = [], Counter()
    for name, use in cases:
        ended = forked.call(use, folder / "log")
        if ended.how == "done":
            said[ended.text] += 1
        else:
            wrong.append(f"{name}: {ended.how} after {ended.seconds:.1f} s: {ended.text[-1500:]}")
    return wrong, said


def test_checkpoints(tmp_path, record_property):
    """Looked at, and built where that is possible; an engine appears only where the command says so."""

    def cases():
        for family, make in FAMILIES.items():
            whole = make(tmp_path / "whole" / family)
            root = tmp_path / "whole" / family
            for number in range(EACH):
                chance = random.Random(f"{SEED} {family} {number}")
                folder = tmp_path / "case"
                shutil.rmtree(folder, ignore_errors=True)
                shutil.copytree(root, folder)
                path = folder / whole.relative_to(root)
                beside = [
                    file for file in folder.rglob("*") if file.suffix in (".yaml", ".json", ".npy") and file != path
                ]
                target = chance.choice(beside) if beside and chance.random() < 0.3 else path
                how = mutate_file(target, chance)
                yield f"{family} {number}: {how}", lambda path=path, out=folder / "e.fsvc": use(path, out)

    def use(path: Path, out: Path) -> str:
        looked, built = command("inspect", path), command("build", path, "-o", out, "--steps", "1", "--target", "cpu")
        assert out.exists() == built.endswith(" 0"), built
        assert not list(out.parent.rglob("*.tmp")), "a temporary file was left"
        return f"{looked}, {built}"

    wrong, said = faults(cases(), tmp_path)
    record_property("say", f"{sum(said.values()) + len(wrong)} checkpoints, {len(wrong)} faults: {dict(said)}")
    assert not wrong, "\n\n".join(wrong)


def test_engines(tmp_path, record_property):
    """A mutated file whose manifest still agrees, or a mutated manifest: inspected, and a recording converted."""
    engine, count = engines.build_engine(tmp_path), 5 * EACH
    put(tmp_path / "in" / "a.wav", tone(0.2))

    def cases():
        for number in range(count):
            chance = random.Random(f"{SEED} engine {number}")
            path = tmp_path / "case" / "e.fsvc"
            shutil.rmtree(path.parent, ignore_errors=True)
            shutil.copytree(engine, path)
            manifest = json.loads((path / engine_folder.MANIFEST).read_text())
            name = chance.choice([engine_folder.MANIFEST, engine_folder.MANIFEST, *manifest["files"]])
            how = mutate_file(path / name, chance)
            if name != engine_folder.MANIFEST and chance.random() < 0.8:
                entry = {"bytes": (path / name).stat().st_size, "sha256": engine_folder.sha256(path / name)}
                manifest["files"][name] = entry
                (path / engine_folder.MANIFEST).write_text(json.dumps(manifest))
            yield f"engine {number}: {how}", lambda path=path: use(path)

    def use(path: Path) -> str:
        out = path.parent / "out"
        places = [tmp_path / "in", "-o", out, "-m", path, "--spk", "0", "--device", "cpu"]
        looked, converted = command("inspect", path), command("convert", *places)
        made = list(out.rglob("[!.]*")) if out.exists() else []  # the list of results is hidden
        assert [file.name for file in made] == (["a.wav"] if converted.endswith(" 0") else []), (converted, made)
        for file in made:
            audio = io.read(file)[0]
            assert audio.shape == (1, tone(0.2).shape[-1]) and np.isfinite(audio).all(), audio.shape
        return f"{looked}, {converted}"

    wrong, said = faults(cases(), tmp_path)
    record_property("say", f"{count} engines, {len(wrong)} faults: {dict(said)}")
    assert not wrong, "\n\n".join(wrong)


def test_every_value_of_a_manifest(tmp_path, record_property):
    path = engines.build_engine(tmp_path)
    said = [judged(name, use) for name, use in targets.manifest(path, convert=True)]
    record_property("say", f"{len(said)} manifests, {sum(map(bool, said))} refused, none in a raw error")


@pytest.mark.parametrize("name", targets.CHECKPOINTS)
def test_every_value_of_a_checkpoint(tmp_path, record_property, name):
    said = [judged(told, use) for told, use in targets.CHECKPOINTS[name](tmp_path / "x")]
    record_property("say", f"{len(said)} configurations of {name}, {sum(map(bool, said))} refused")


@pytest.mark.parametrize("name", targets.SETTINGS)
def test_every_value_of_settings(tmp_path, record_property, name):
    said = [judged(told, use) for told, use in targets.settings(name, tmp_path / "run.yaml")]
    record_property("say", f"{len(said)} settings of {name}, {sum(map(bool, said))} refused")
