"""Work in a folder whose modules and programs would run if anything looked there: nothing does, and all works."""

import os
import subprocess
import sys
from pathlib import Path

import engines
import pytest
import soundfile
import torch
from click.testing import CliRunner
from recordings import put, tone

from fastsvc import children
from fastsvc.build.cubins import compiler
from fastsvc.build.passes import measure
from fastsvc.cli import main

ROOT = Path(__file__).parent.parent
# Of Python's library, and of packages that we import; `python -m` itself imports none of these before our first line.
LIBRARY = "base64 csv hashlib hmac json pathlib pickle queue random secrets signal socket struct subprocess tempfile"
PACKAGES = "click numpy safetensors soundfile soxr torch tqdm triton yaml"
PROGRAMS = "cc cuobjdump flite gcc nvidia-smi ptxas"


@pytest.fixture
def traps(tmp_path, monkeypatch):
    """The folder, which is the current one; ``traps.sprung()`` says what has run."""
    folder, marks = tmp_path / "traps", tmp_path / "marks"
    folder.mkdir()
    marks.mkdir()
    for name in [*LIBRARY.split(), *PACKAGES.split(), "multiprocessing", "kernels", "build", "sitecustomize"]:
        text = f"open({str(marks / name)!r}, 'w').close()\nraise ImportError('a trap')\n"
        (folder / f"{name}.py").write_text(text)
    for name in PROGRAMS.split():
        (folder / name).write_text(f"#!/bin/sh\ntouch '{marks / name}.program'\nexit 1\n")
        (folder / name).chmod(0o755)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", os.pathsep.join([".", "", os.environ["PATH"]]))
    monkeypatch.delenv(children.SAFE_PATH, raising=False)
    return lambda: sorted(file.name for file in marks.iterdir())


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "SECONDS_OF_AUDIO", {"denoiser": 0.1, "vocoder": 0.01})
        return engines.build_engine(tmp_path_factory.mktemp("traps"), steps=(1,))


def run(*arguments):
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exit_code == 0, result.output + result.stderr
    return result.stdout


def test_the_traps_spring(traps):
    """A plain `python -c` runs them, or these tests would show nothing."""
    done = subprocess.run([sys.executable, "-c", "import random"], capture_output=True, text=True)
    assert done.returncode == 1 and traps() == ["random"]


@pytest.mark.slow
def test_kernels_are_compiled(traps, tmp_path):
    pytest.importorskip("triton")
    from fastsvc.build.cubins.resources import excitation

    (cubin,) = compiler.compile_kernels([(excitation().spec(), 90)])
    assert cubin.name == "source_kernel" and traps() == []


@pytest.mark.parametrize("heeded", [children._HEEDED, False])
def test_workers_are_spawned(traps, monkeypatch, heeded):
    """Also as Python 3.10 must, which knows nothing of safe paths."""
    monkeypatch.setattr(children, "_HEEDED", heeded)
    here = os.getcwd()
    with children.Pool(1) as pool:
        assert pool.submit(os.getcwd).result(60) == here
        assert pool.submit(os.path.abspath, "a").result(60) == os.path.join(here, "a")
    assert traps() == [] and os.getcwd() == here and children.SAFE_PATH not in os.environ


@pytest.mark.slow
@pytest.mark.long
def test_choir_sings_in_several_processes(traps):
    run("choir", "choir", "--singers", "2", "--minutes", "0.1", "--jobs", "2", "--no-voices")
    assert len(list(Path("choir").glob("*/*.wav"))) == 2 and traps() == []


@pytest.mark.slow
@pytest.mark.long
def test_prepare_works_in_several_processes(traps):
    for name in "ab":
        put(Path(f"songs/ada/{name}.wav"), tone(2.0))
    run("prepare", "songs", "-o", "corpus", "--jobs", "2")
    assert Path("corpus/corpus.json").is_file() and traps() == []


@pytest.mark.slow
@pytest.mark.parametrize("start", ["module", "script"])
@pytest.mark.sampled(2)
def test_the_command_itself(traps, engine, tmp_path, start):
    """As `python -m fastsvc`, and as the script that pip installs."""
    put(Path("a.wav"), tone(0.3))
    if start == "module":
        command = [sys.executable, "-m", "fastsvc"]
    else:
        script = tmp_path / "bin" / "fastsvc"
        script.parent.mkdir()
        script.write_text("from fastsvc.__main__ import main\nmain()\n")
        command = [sys.executable, str(script)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    words = ["convert", "a.wav", "--spk", "Ada", "-m", str(engine), "-o", "out"]
    done = subprocess.run([*command, *words], capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and traps() == [], done.stdout + done.stderr
    assert len(soundfile.read(next(Path("out").glob("*.wav")))[0]) == len(soundfile.read("a.wav")[0])


def test_inspect_and_doctor(traps, engine):
    assert "Ada" in run("inspect", engine) and "driver" in run("doctor") and traps() == []


def test_the_source_tree_runs_from_its_root():
    done = subprocess.run([sys.executable, "-m", "fastsvc", "--version"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and done.stdout.startswith("fastsvc, version")


def test_programs_come_from_absolute_places(traps, tmp_path, monkeypatch):
    assert children.program("flite") is None or os.path.isabs(children.program("flite"))
    place = tmp_path / "bin"
    place.mkdir()
    (place / "flite").write_text("#!/bin/sh\n")
    (place / "flite").chmod(0o755)
    for path in ("", ".", "bin", f".{os.pathsep}:"):
        monkeypatch.setenv("PATH", path)
        assert children.program("flite") is None
    monkeypatch.setenv("PATH", os.pathsep.join([".", "", str(place)]))
    assert children.program("flite") == str(place / "flite")


def test_relative_places_of_modules_are_not_handed_on(monkeypatch, tmp_path):
    for given, kept in (("", None), (os.pathsep, None), (".", None), (f".{os.pathsep}{tmp_path}", str(tmp_path))):
        monkeypatch.setenv("PYTHONPATH", given)
        assert children.environment().get("PYTHONPATH") == kept
