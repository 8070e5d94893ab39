"""Every kind of file whose values are mutated: how it is made, and how it is used (tests/mutations.py)."""

import json
import shutil
from pathlib import Path

import amphion_files
import engines
import formats
import golden
import huberts
import numpy as np
import rvc_files
import torch
import yaml
from mutations import mutants

import fastsvc
from fastsvc.artifact import engine_folder
from fastsvc.checkpoints import read
from fastsvc.checkpoints.files import json5_file
from fastsvc.commands.corpus_recipe import parts as _features
from fastsvc.commands.inspect import describe
from fastsvc.config import AcousticConfig, PitchConfig, RecogniserConfig, VerifierConfig, VocoderConfig, from_dict
from fastsvc.evaluation.settings import read_settings as read_evaluation_settings
from fastsvc.training.consistency import StudentSettings
from fastsvc.training.dmo_settings import DmoSettings
from fastsvc.training.pitch import PitchTaskConfig
from fastsvc.training.recogniser import RecogniserTaskConfig
from fastsvc.training.settings import parse, read_settings
from fastsvc.training.singer import SingerTaskConfig
from fastsvc.training.teacher import TeacherSettings
from fastsvc.training.vocoder import VocoderTaskConfig

ROOT = Path(__file__).parent.parent
TONE = (0.1 * np.sin(2 * np.pi * 220 * np.arange(2400) / 24000)).astype(np.float32)


def manifest(path: Path, count: int | None = None, seed: int = 0, convert: bool = False):
    """(name, use) of an engine's mutated manifests: looked at, opened and, if wanted, converted with."""
    whole = json.loads((path / engine_folder.MANIFEST).read_text())

    def use():
        describe(path)
        engine = fastsvc.load(path, device="cpu")
        if convert:
            made, _ = engine.convert(TONE, 24000, 0)
            assert np.isfinite(made).all() and len(made) == len(TONE)

    for name, changed in mutants(whole, count=count, seed=seed):
        (path / engine_folder.MANIFEST).write_text(json.dumps(changed))
        yield name, use
    (path / engine_folder.MANIFEST).write_text(json.dumps(whole))


def _beside(make, config: str, load=yaml.safe_load, dump=yaml.safe_dump):
    """A checkpoint whose configuration lies in a file beside it."""

    def targets(folder: Path, count: int | None = None, seed: int = 0):
        path = make(folder)
        file = next(place / config for place in path.parents if (place / config).is_file())
        whole = load(file.read_text())
        for name, changed in mutants(whole, count=count, seed=seed):
            file.write_text(dump(changed))
            yield name, lambda: (read(path), describe(path))

    return targets


def _native(kind: str, config):
    """A checkpoint of our own, whose values lie inside it; tensors stay."""

    def targets(folder: Path, count: int | None = None, seed: int = 0):
        folder.mkdir(parents=True, exist_ok=True)
        path = engines.native(folder / "a.pt", kind, config)
        content = torch.load(path, weights_only=True)
        content["config"]["train"] = {"input_peak": 0.9}
        plain = {key: value for key, value in content.items() if key not in ("model", "ema")}
        plain |= {"model": "tensors", "ema": "tensors"}
        for name, changed in mutants(plain, count=count, seed=seed):
            tensors = {key: content[key] for key in ("model", "ema") if changed.get(key) == "tensors"}
            torch.save({**changed, **tensors}, path)
            yield name, lambda: (read(path), describe(path))

    return targets


def _m4gan(folder):
    return shutil.copytree(golden.FOLDER / "m4gan_small", folder) / "model_ckpt_steps_1970000.ckpt"


def _rvc(folder: Path, count: int | None = None, seed: int = 0):
    """A voice of RVC, whose values lie beside its tensors; each of its list of sizes is mutated, too."""
    path, whole = folder / "a.pth", rvc_files.content("voice")
    tensors, whole["config"] = whole.pop("weight"), dict(enumerate(whole["config"]))
    for name, changed in mutants(whole, count=count, seed=seed):
        if isinstance(sizes := changed.get("config"), dict):
            changed["config"] = list(sizes.values())
        rvc_files.saved(path, {**changed, "weight": tensors})
        yield name, lambda: read(path)


CHECKPOINTS = {
    "student": _native("student", engines.ACOUSTIC),
    "vocoder": _native("vocoder", engines.VOCODER),
    "recogniser": _native("recogniser", engines.CONTENT),
    "singer": _native("singer", VerifierConfig(channels=8, layers=2, embedding=4)),
    "pitch": _native("pitch", PitchConfig(channels=8, layers=2, bins=12)),
    **{name: _beside(make, "config.yaml") for name, make in formats.ACOUSTIC.items()},
    "fork": _beside(formats.comosvc_fork, "config.yaml"),
    "m4gan": _beside(_m4gan, "config.yaml"),
    "nsf_hifigan": _beside(
        lambda folder: shutil.copytree(golden.FOLDER / "nsf_hifigan_small", folder) / "model",
        "config.json",
        json.loads,
        json.dumps,
    ),
    "amphion": _beside(
        lambda folder: amphion_files.experiment(folder) / "pytorch_model.bin", "args.json", json5_file.parse, json.dumps
    ),
    "huggingface": _beside(
        lambda folder: huberts.huggingface(folder) / "model.safetensors", "config.json", json.loads, json.dumps
    ),
    "rvc": _rvc,
}


TASKS = {
    "recogniser": (RecogniserTaskConfig, RecogniserConfig),
    "singer": (SingerTaskConfig, VerifierConfig),
    "pitch": (PitchTaskConfig, PitchConfig),
    "vocoder": (VocoderTaskConfig, VocoderConfig),
    "teacher": (TeacherSettings, AcousticConfig),
    "student": (StudentSettings, None),
    "dmo": (DmoSettings, None),
}


def _task(name: str):
    def use(path: Path):
        run = read_settings(path)
        from_dict(TASKS[name][0], run.task, "task")
        if isinstance(run.task.get("model"), dict) and TASKS[name][1] is not None:
            from_dict(TASKS[name][1], run.task["model"], "task.model")

    return use


SETTINGS = {name: _task(name) for name in TASKS} | {"evaluate": read_evaluation_settings, "prepare": _features}


def settings(name: str, path: Path, count: int | None = None, seed: int = 0):
    """(name, use) of the demo's configuration files, mutated."""
    whole = parse((ROOT / "configs" / "demo" / f"{name}.yaml").read_text(), name)
    for told, changed in mutants(whole, count=count, seed=seed):
        path.write_text(yaml.safe_dump(changed, allow_unicode=True))
        yield told, lambda: SETTINGS[name](path)
