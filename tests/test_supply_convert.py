"""`fastsvc convert` on a GPU whose kernels an engine lacks: they are compiled once, and it is said."""

import json
from pathlib import Path

import interpreted
import pytest
import torch
from click.testing import CliRunner
from recordings import put, tone

pytest.importorskip("triton")

from supplying import ARCH, asked, copied, engine

from fastsvc.cli import main
from fastsvc.commands import gpu
from fastsvc.engine import backends
from fastsvc.engine.cuda import driver, gpu_parts, launcher, support
from fastsvc.engine.cuda import vocoder as cuda_vocoder
from fastsvc.errors import MissingPackageError


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return engine(tmp_path_factory)


@pytest.fixture
def path(built, tmp_path):
    return copied(built, tmp_path)


@pytest.fixture(autouse=True)
def compiler(monkeypatch, tmp_path):
    return asked(monkeypatch, tmp_path)


@pytest.fixture
def on_a_gpu(monkeypatch, tmp_path):
    """`--device cuda` is the interpreter, on what says that it is sm_80; what it would start cannot be loaded."""
    if torch.cuda.is_available():
        pytest.skip("the interpreter is not used where there is a GPU")

    def lacking():
        raise MissingPackageError("cuda-bindings", "starting compiled kernels", "gpu")

    interpreted.prepare(monkeypatch)
    monkeypatch.setattr(backends, "choose", lambda device: device)
    monkeypatch.setattr(gpu_parts, "architecture", lambda device: ARCH)
    monkeypatch.setattr(driver, "bindings", lambda: None)
    monkeypatch.setattr(launcher, "Driver", lacking)
    monkeypatch.chdir(tmp_path)


def run(*arguments):
    result = CliRunner().invoke(main, ["convert", *map(str, arguments), "--spk", "0", "--device", "cuda"])
    assert result.exit_code == 0, result.output + result.stderr
    return result.stdout


@pytest.mark.slow
@pytest.mark.long
def test_convert_compiles_and_says_so_once(path, on_a_gpu, compiler, monkeypatch):
    put(Path("in/a.wav"), tone(0.05))
    put(Path("in/b.wav"), tone(0.05))
    text = run("in", "-m", path)
    assert f"compiled {len(compiler[0])} kernels for sm_80 in " in text and f"kept in {path}" in text
    assert "4 graphs made in" in text and "converted 2 of 2 files" in text
    text = run("in", "-m", path, "--overwrite", "--batch", "1")
    assert "compiled" not in text.replace("kernels compiled", "") and "4 graphs made" in text and len(compiler) == 1
    monkeypatch.setattr(driver, "bindings", launcher.Driver)
    text = run("in", "-m", path, "--overwrite", "--batch", "1")
    assert "note: no kernels are compiled beforehand: starting compiled kernels needs" in text


@pytest.mark.slow
def test_backends_are_timed_after_building_for_this_gpu(path, on_a_gpu, monkeypatch, capsys):
    timed = []
    monkeypatch.setattr(support, "why_no_cuda", lambda: None)
    monkeypatch.setattr(cuda_vocoder.Synthesiser, "measure", lambda self, progress: timed.append(self))
    for name in ("cpu", "sm_90", "sm_75,sm_86"):
        gpu.after_building(path, name)
    assert not timed
    for name in ("auto", f"sm_{ARCH}", f"sm_90, sm_{ARCH}"):
        gpu.after_building(path, name)
    assert len(timed) == 3

    def broken(self, progress):
        raise RuntimeError("the driver says\nno")

    monkeypatch.setattr(cuda_vocoder.Synthesiser, "measure", broken)
    gpu.after_building(path, "auto")
    told = capsys.readouterr().out
    assert "timed on first use: " in told and "the driver says no" in told
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["vocoder"]["backend"] = "torch"
    (path / "manifest.json").write_text(json.dumps(manifest))
    gpu.after_building(path, "auto")  # built for one of them: nothing is timed
    assert capsys.readouterr().out == ""
    manifest["vocoder"]["backend"] = "tensorrt"
    (path / "manifest.json").write_text(json.dumps(manifest))
    gpu.after_building(path, "auto")
    assert "note: the engine does not run on this machine's GPU" in capsys.readouterr().out
