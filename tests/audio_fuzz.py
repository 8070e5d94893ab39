"""Mutated recordings read in children, and what must hold of each whatever was done to it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import audio_mutants
import numpy as np
from audio_files import WRITTEN
from fake_engine import FakeEngine

from fastsvc.audio import io
from fastsvc.convert import batch
from fastsvc.convert.plan import ConversionPlan, Job
from fastsvc.engine.request import Request
from fastsvc.files import InWork

CHANGED = 0.02  # RMS by which what was read of a summed format may differ from what was written
CONVERTED = 150  # of the mutants, by a batch
ESTIMATED = 0.1 * 48000  # samples: an mp3 that does not say its length


def written(folder, mutants):
    """{name of the file: mutant}"""
    folder.mkdir()
    found = {}
    for number, mutant in enumerate(mutants):
        name = f"{number:04d}{mutant.extension}"
        (folder / name).write_bytes(mutant.content)
        found[name] = mutant
    return found


def looked_at(folder, names, at_once=50):
    """({name: what the child said}, faults: one line for each crash, hang and stray word)."""
    said, faults, left = {}, [], list(names)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-X", "faulthandler", str(Path(__file__).with_name("audio_child.py")), str(folder)]
    root = Path(__file__).parent.parent
    while left:
        some, left = left[:at_once], left[at_once:]
        child = subprocess.run(
            command, input=json.dumps(some), capture_output=True, text=True, env=environment, cwd=root, timeout=600
        )
        lines = [json.loads(line) for line in child.stdout.splitlines()]
        said |= {line["name"]: line for line in lines if "name" in line}
        if "Traceback" in child.stderr or child.returncode:
            begun = [line["begin"] for line in lines if "begin" in line]
            faults.append(f"{begun[-1:]}: ended with {child.returncode}: {child.stderr[-2000:]}")
            left = some[len(begun) :] + left
    return said, faults


def faults_of(mutant, said, whole, original):
    """What is wrong with the answer to a mutant, in words; ``whole``: samples of the original."""
    if said["reason"]:
        if "\n" in said["reason"] or len(said["reason"]) > 500:
            yield "the reason is not one line"
        return
    if said["probe_reason"]:
        yield f"read, but not probed: {said['probe_reason']}"
    format = WRITTEN.get(mutant.extension, ("by FFmpeg",))[0]
    mp3 = format == "MP3"
    if said["probed"] is not None and abs(said["probed"] - said["samples"]) > (ESTIMATED if mp3 else 0):
        yield f"probed {said['probed']}, read {said['samples']} samples"
    if not said["finite"]:
        yield "not finite"
    if mutant.how == "noise":
        yield f"{said['samples']} samples were made from noise"
    if mutant.how == "cut" and said["samples"] != whole:
        yield f"cut, and {said['samples']} of {whole} samples were read"
    if format in audio_mutants.SUMMED and original is not None:
        made = np.load(original["made"])
        if made.shape != original["audio"].shape or np.sqrt(np.mean((made - original["audio"]) ** 2)) > CHANGED:
            yield f"{made.shape}: not what was written"


def converted(folder, out, names):
    """Faults of a batch over these files, which each have been read in a child: one line each."""
    jobs = [Job(folder / name, out / f"{name}.wav", "wav") for name in names]
    report = batch.run(
        FakeEngine(),
        ConversionPlan(jobs, folder=out),
        batch.ConversionSettings(Request("anna"), keep_channels=True),
        in_work=InWork(out),
    )
    for entry in report.entries:
        if entry.traceback:
            yield f"{entry.input}: {entry.reason}"
        if entry.status == batch.DONE:
            made, source = io.read(entry.output), io.read(entry.input)
            if made[0].shape != source[0].shape or made[1] != source[1]:
                yield f"{entry.input}: {source[0].shape} became {made[0].shape}"
    there = {str(path) for path in out.glob("[!.]*")} if out.exists() else set()
    for path in there.symmetric_difference(entry.output for entry in report.entries if entry.status == batch.DONE):
        yield f"{path}: made from a recording that was refused, or missing"


def run(folder, count, seed, at_once=50, wholes=audio_mutants.wholes):
    """(faults, one line each; how many were read, how many refused); ``wholes`` writes the originals."""
    folder.mkdir(exist_ok=True)
    whole = wholes(folder)
    originals = {extension: io.read(folder / f"a{extension}")[0] for extension in whole}
    mutants = written(folder / "mutants", audio_mutants.mutants(whole, count, seed))
    said, faults = looked_at(folder / "mutants", mutants, at_once)
    read = 0
    for name, mutant in mutants.items():
        if name not in said:
            continue  # a crash, which is told already
        audio = originals[mutant.extension]
        read += not said[name]["reason"]
        made = {"made": folder / "mutants" / f"{name}.npy", "audio": audio}
        for words in faults_of(mutant, said[name], audio.shape[1], made):
            faults.append(f"seed {seed}, {name}, {mutant.how}: {words}")
    if not faults:
        faults += converted(folder / "mutants", folder / "out", list(said)[:CONVERTED])
    return faults, read, len(mutants) - read
