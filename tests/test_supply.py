"""Kernels that an engine lacks are compiled on first use and kept: which, where, and what is said."""

import json
import types
from pathlib import Path

import engines
import interpreted
import pytest
import torch
from click.testing import CliRunner
from recordings import put, tone

pytest.importorskip("triton")

from fastsvc.artifact import device_part, seal
from fastsvc.artifact import folder as artifact
from fastsvc.build.cubins import compile as aot
from fastsvc.build.cubins import supply
from fastsvc.build.passes import measure, target
from fastsvc.cli import main
from fastsvc.commands import gpu
from fastsvc.engine import backends
from fastsvc.engine.cuda import driver, gpu_parts, launcher, support
from fastsvc.engine.cuda import vocoder as cuda_vocoder
from fastsvc.errors import EngineError, MissingPackageError, OutputError

ARCH = 80


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "SECONDS_OF_AUDIO", {"denoiser": 0.1, "vocoder": 0.01})
        return engines.build_engine(tmp_path_factory.mktemp("supply"), steps=(1, 2), precision="fp32", target="cpu")


@pytest.fixture
def path(built, tmp_path):
    import shutil

    return Path(shutil.copytree(built, tmp_path / "engine.fsvc"))


@pytest.fixture(autouse=True)
def compiler(monkeypatch, tmp_path):
    """Compiles nothing, and writes down what it was asked for; the real one is tests/test_aot.py's."""
    monkeypatch.setenv(device_part.CACHE, str(tmp_path / "cache"))
    asked = []

    def compile(jobs, processes, progress):
        asked.append(jobs)
        progress(1.0)
        return [
            aot.Cubin(f"code {i}".encode(), "", spec["kernel"].split(":")[1], arch, 0, 4, 32, 0, (("x", "*fp32"),))
            for i, (spec, arch) in enumerate(jobs)
        ]

    monkeypatch.setattr(aot, "compile", compile)
    return asked


def supplied(path, groups, steps=1, precision="fp32", backend="triton"):
    return supply.supply(artifact.Artifact(path), ARCH, precision, groups, steps, vocoder_backend=backend)


def listed(path):
    part = device_part.DevicePart(artifact.Artifact(path), f"sm_{ARCH}")
    return launcher.usable_listing(part, ARCH)[0]["kernels"]


@pytest.mark.slow
def test_what_these_recordings_need_and_no_more(path, compiler):
    first = supplied(path, [[40]])
    names = {spec["kernel"].split(":")[1] for spec, arch in compiler[0]}
    operations = ("condition", "first", "gated_conv", "residual", "skip", "head", "source")
    operations += ("conv", "upsample", "residual_unit", "waveform")
    assert names == {f"{name}_kernel" for name in operations} and {arch for _, arch in compiler[0]} == {ARCH}
    assert first.kernels == len(compiler[0]) == len(listed(path)) and first.place == path and first.seconds > 0
    assert supplied(path, [[40], [1]]) is None and supplied(path, [[12]], steps=2) is None
    long = supplied(path, [[40], [9000]])
    assert 0 < long.kernels == len(compiler[1]) and not {str(job) for job in compiler[0]} & {
        str(j) for j in compiler[1]
    }
    assert len(listed(path)) == first.kernels + long.kernels
    for entry in listed(path).values():
        part = device_part.DevicePart(artifact.Artifact(path), f"sm_{ARCH}")
        assert part.read(entry["file"]).startswith(b"code ")
    assert supplied(path, [[9000]]) is None and len(compiler) == 2
    assert supplied(path, [[40]], precision="fp16").kernels > 0  # another arithmetic, other kernels


def test_of_the_vocoder_what_its_backend_needs(path, compiler):
    """Where backends are timed, recordings shorter than all prepared lengths go through PyTorch."""

    def kernels(frames, backend="auto"):
        launches = supply.needed(artifact.Artifact(path).manifest, ARCH, "fp32", [[frames]], 1, backend)
        return {launch.kernel.__name__ for launch in launches}

    own = {"conv_kernel", "upsample_kernel", "residual_unit_kernel", "waveform_kernel"}
    assert own <= kernels(94) and own <= kernels(94, "triton") and own <= kernels(40, "triton")
    for frames, backend in ((40, "auto"), (94, "torch"), (94, "tensorrt_rtx"), (40, "torch")):
        assert not own & kernels(frames, backend) and "source_kernel" in kernels(frames, backend)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["vocoder"]["backend"] = "torch"
    (path / "manifest.json").write_text(json.dumps(manifest))
    assert not own & kernels(94) and own <= kernels(94, "triton")


def test_kernels_of_another_version_are_made_anew(path, compiler, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(launcher, "sources", lambda: "older")
        supplied(path, [[9000]])
    old = {file.name: file.read_bytes() for file in (path / f"sm_{ARCH}").iterdir()}
    part = device_part.DevicePart(artifact.Artifact(path), f"sm_{ARCH}")
    assert "another version" in launcher.usable_listing(part, ARCH)[1]
    made = supplied(path, [[40]])
    assert made.kernels == len(listed(path)) < len(compiler[0])
    assert {file.name: file.read_bytes() for file in (path / f"sm_{ARCH}").iterdir() if file.name in old} == old


def test_kernels_of_somebody_else_are_made_anew(path, compiler, monkeypatch):
    """One line, not one a kernel; and a single file that was exchanged is made anew, too."""
    with monkeypatch.context() as patch:
        patch.setenv(seal.VARIABLE, "what a stranger would take")
        count = supplied(path, [[40]]).kernels
    with pytest.warns(UserWarning, match="kernels.json is not used, and is made again") as said:
        assert supplied(path, [[40]]).kernels == count
    assert len({str(one.message) for one in said}) == 1
    assert supplied(path, [[40]]) is None
    file = next(iter(listed(path).values()))["file"]
    artifact.Artifact(path).add({f"sm_{ARCH}/{file}": b"planted"})
    with pytest.warns(UserWarning, match=f"{file} is not used, and is made again"):
        assert supplied(path, [[40]]).kernels == 1
    assert device_part.DevicePart(artifact.Artifact(path), f"sm_{ARCH}").read(file).startswith(b"code ")


def test_kernels_that_were_sealed_by_no_one_keep_an_engine_working(path, compiler):
    """As fastsvc wrote them before there was a seal."""
    folder = artifact.Artifact(path)
    specs = target.unique(supply.needed(folder.manifest, ARCH, "fp32", [[40]], 1, "triton"))
    kernels, files = target.cubins(specs, ARCH)
    files |= target.listing(ARCH, kernels)
    folder.add({f"sm_{ARCH}/{name}": content for name, content in files.items()})
    with pytest.warns(UserWarning, match="kernels.json is not used, and is made again"):
        assert supplied(path, [[40]]).kernels == len(kernels)
    assert listed(path).keys() == kernels.keys()


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"kernels": {"a": 1}}', b"\xff"])
def test_a_list_that_is_sealed_but_damaged_is_made_anew(path, content):
    count = supplied(path, [[40]]).kernels
    part = device_part.DevicePart(artifact.Artifact(path), f"sm_{ARCH}")
    part.add({launcher.LIST: content})
    assert launcher.usable_listing(part, ARCH)[1].startswith("its list of kernels for sm_80 ")
    assert supplied(path, [[40]]).kernels == count and supplied(path, [[40]]) is None


def test_two_at_once_keep_what_both_made(path, compiler, monkeypatch):
    real = aot.compile

    def slow(*given):
        monkeypatch.setattr(aot, "compile", real)
        assert supplied(path, [[9000]]).kernels > 0  # another process, meanwhile
        return real(*given)

    monkeypatch.setattr(aot, "compile", slow)
    supplied(path, [[40]])
    assert supplied(path, [[40], [9000]]) is None


def test_the_launcher_finds_them_in_either_place(path, monkeypatch):
    monkeypatch.setattr(
        launcher, "Driver", lambda: types.SimpleNamespace(load=lambda code, *_: code, bind=lambda *a: a)
    )
    writable = True
    monkeypatch.setattr(device_part.os, "access", lambda *_: writable)
    for writable in (True, False):
        place = supplied(path, [[40]]).place
        assert (place == path) == writable
        part = device_part.DevicePart(artifact.Artifact(path), f"sm_{ARCH}")
        found, how = launcher.choose(part, ARCH)
        assert isinstance(found, launcher.Cubins) and "compiled ahead of time" in how
        found.fallback = None
        for launch in supply.needed(part.folder.manifest, ARCH, "fp32", [[40]], 1, "triton"):
            assert found.bind(launch)[0].startswith(b"code ")
        manifest = json.loads((path / "manifest.json").read_text())
        manifest["files"] = {name: entry for name, entry in manifest["files"].items() if "/" not in name}
        (path / "manifest.json").write_text(json.dumps(manifest))


def test_a_listed_kernel_whose_file_is_missing(path):
    supplied(path, [[40]])
    part = device_part.DevicePart(artifact.Artifact(path), f"sm_{ARCH}")
    cubins = launcher.Cubins(launcher.usable_listing(part, ARCH)[0], lambda name: None, None, None)
    with pytest.raises(EngineError, match="is missing"):
        cubins.bind(supply.needed(part.folder.manifest, ARCH, "fp32", [[40]], 1, "triton")[0])


def test_nothing_is_compiled_that_could_not_be_kept(path, compiler, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(device_part.CACHE, str(tmp_path / "file"))
    monkeypatch.setattr(device_part.os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="FASTSVC_CACHE"):
        supplied(path, [[40]])
    assert compiler == []


def test_without_triton(path, monkeypatch):
    monkeypatch.setattr(supply.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"compiling \d+ kernels for sm_80 needs the package triton"):
        supplied(path, [[40]])


@pytest.mark.slow
def test_what_was_built_for_the_gpu_is_enough(tmp_path, compiler, monkeypatch):
    """Also where another machine built it, under the same words."""
    monkeypatch.setenv(seal.VARIABLE, "the same on both machines")
    monkeypatch.setattr(measure, "SECONDS_OF_AUDIO", {"denoiser": 0.1, "vocoder": 0.01})
    path = engines.build_engine(tmp_path, steps=(1,), target=f"sm_{ARCH}")
    monkeypatch.setenv(device_part.CACHE, str(tmp_path / "another"))
    assert supplied(path, [[40, 94, 2000], [16384], [100_000]], precision="fp16") is None and len(compiler) == 1


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
