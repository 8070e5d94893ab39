"""Kernels that an engine lacks are compiled on first use and kept: which, where, and what is said."""

import json
import types

import engines
import pytest

pytest.importorskip("triton")

from supplying import ARCH, asked, copied, engine, listed, supplied

from fastsvc.artifact import device_part, engine_folder, seal
from fastsvc.build.cubins import compiler, supply
from fastsvc.build.passes import measure, target
from fastsvc.engine.cuda import launcher
from fastsvc.errors import EngineError, MissingPackageError, OutputError


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return engine(tmp_path_factory)


@pytest.fixture
def path(built, tmp_path):
    return copied(built, tmp_path)


@pytest.fixture(autouse=True)
def compiled_jobs(monkeypatch, tmp_path):
    return asked(monkeypatch, tmp_path)


@pytest.mark.slow
def test_what_these_recordings_need_and_no_more(path, compiled_jobs):
    first = supplied(path, [[40]])
    names = {spec["kernel"].split(":")[1] for spec, arch in compiled_jobs[0]}
    operations = ("condition", "first", "gated_conv", "residual", "skip", "head", "source")
    operations += ("conv", "upsample", "residual_unit", "waveform")
    assert names == {f"{name}_kernel" for name in operations} and {arch for _, arch in compiled_jobs[0]} == {ARCH}
    assert first.kernels == len(compiled_jobs[0]) == len(listed(path)) and first.folder == path and first.seconds > 0
    assert supplied(path, [[40], [1]]) is None and supplied(path, [[12]], steps=2) is None
    long = supplied(path, [[40], [9000]])
    assert 0 < long.kernels == len(compiled_jobs[1]) and not {str(job) for job in compiled_jobs[0]} & {
        str(j) for j in compiled_jobs[1]
    }
    assert len(listed(path)) == first.kernels + long.kernels
    for entry in listed(path).values():
        part = device_part.DevicePart(engine_folder.Artifact(path), f"sm_{ARCH}")
        assert part.read(entry["file"]).startswith(b"code ")
    assert supplied(path, [[9000]]) is None and len(compiled_jobs) == 2
    assert supplied(path, [[40]], precision="fp16").kernels > 0  # another arithmetic, other kernels


def test_of_the_vocoder_what_its_backend_needs(path, compiled_jobs):
    """Where backends are timed, recordings shorter than all prepared lengths go through PyTorch."""

    def kernels(frames, backend="auto"):
        launches = supply.needed_launches(engine_folder.Artifact(path).manifest, ARCH, "fp32", [[frames]], 1, backend)
        return {launch.kernel.__name__ for launch in launches}

    own = {"conv_kernel", "upsample_kernel", "residual_unit_kernel", "waveform_kernel"}
    assert own <= kernels(94) and own <= kernels(94, "triton") and own <= kernels(40, "triton")
    for frames, backend in ((40, "auto"), (94, "torch"), (94, "tensorrt_rtx"), (40, "torch")):
        assert not own & kernels(frames, backend) and "source_kernel" in kernels(frames, backend)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["vocoder"]["backend"] = "torch"
    (path / "manifest.json").write_text(json.dumps(manifest))
    assert not own & kernels(94) and own <= kernels(94, "triton")


def test_kernels_of_another_version_are_made_anew(path, compiled_jobs, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(launcher, "sources", lambda: "older")
        supplied(path, [[9000]])
    old = {file.name: file.read_bytes() for file in (path / f"sm_{ARCH}").iterdir()}
    part = device_part.DevicePart(engine_folder.Artifact(path), f"sm_{ARCH}")
    assert "another version" in launcher.usable_listing(part, ARCH)[1]
    made = supplied(path, [[40]])
    assert made.kernels == len(listed(path)) < len(compiled_jobs[0])
    assert {file.name: file.read_bytes() for file in (path / f"sm_{ARCH}").iterdir() if file.name in old} == old


def test_kernels_of_somebody_else_are_made_anew(path, compiled_jobs, monkeypatch):
    """One line, not one a kernel; and a single file that was exchanged is made anew, too."""
    with monkeypatch.context() as patch:
        patch.setenv(seal.VARIABLE, "what a stranger would take")
        count = supplied(path, [[40]]).kernels
    with pytest.warns(UserWarning, match="kernels.json is not used, and is made again") as said:
        assert supplied(path, [[40]]).kernels == count
    assert len({str(one.message) for one in said}) == 1
    assert supplied(path, [[40]]) is None
    file = next(iter(listed(path).values()))["file"]
    engine_folder.Artifact(path).add({f"sm_{ARCH}/{file}": b"planted"})
    with pytest.warns(UserWarning, match=f"{file} is not used, and is made again"):
        assert supplied(path, [[40]]).kernels == 1
    assert device_part.DevicePart(engine_folder.Artifact(path), f"sm_{ARCH}").read(file).startswith(b"code ")


def test_kernels_that_were_sealed_by_no_one_keep_an_engine_working(path, compiled_jobs):
    """As fastsvc wrote them before there was a seal."""
    folder = engine_folder.Artifact(path)
    specs = target.unique_specs(supply.needed_launches(folder.manifest, ARCH, "fp32", [[40]], 1, "triton"))
    kernels, files = target.cubins(specs, ARCH)
    files |= target.kernel_list(ARCH, kernels)
    folder.add({f"sm_{ARCH}/{name}": content for name, content in files.items()})
    with pytest.warns(UserWarning, match="kernels.json is not used, and is made again"):
        assert supplied(path, [[40]]).kernels == len(kernels)
    assert listed(path).keys() == kernels.keys()


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"kernels": {"a": 1}}', b"\xff"])
def test_a_list_that_is_sealed_but_damaged_is_made_anew(path, content):
    count = supplied(path, [[40]]).kernels
    part = device_part.DevicePart(engine_folder.Artifact(path), f"sm_{ARCH}")
    part.add({launcher.LIST: content})
    assert launcher.usable_listing(part, ARCH)[1].startswith("its list of kernels for sm_80 ")
    assert supplied(path, [[40]]).kernels == count and supplied(path, [[40]]) is None


def test_two_at_once_keep_what_both_made(path, compiled_jobs, monkeypatch):
    real = compiler.compile_kernels

    def slow(*given):
        monkeypatch.setattr(compiler, "compile_kernels", real)
        assert supplied(path, [[9000]]).kernels > 0  # another process, meanwhile
        return real(*given)

    monkeypatch.setattr(compiler, "compile_kernels", slow)
    supplied(path, [[40]])
    assert supplied(path, [[40], [9000]]) is None


def test_the_launcher_finds_them_in_either_place(path, monkeypatch):
    monkeypatch.setattr(
        launcher, "Driver", lambda: types.SimpleNamespace(load=lambda code, *_: code, bind=lambda *a: a)
    )
    writable = True
    monkeypatch.setattr(device_part.os, "access", lambda *_: writable)
    for writable in (True, False):
        place = supplied(path, [[40]]).folder
        assert (place == path) == writable
        part = device_part.DevicePart(engine_folder.Artifact(path), f"sm_{ARCH}")
        found, how = launcher.choose(part, ARCH)
        assert isinstance(found, launcher.Cubins) and "compiled ahead of time" in how
        found.fallback = None
        for launch in supply.needed_launches(part.folder.manifest, ARCH, "fp32", [[40]], 1, "triton"):
            assert found.bind(launch)[0].startswith(b"code ")
        manifest = json.loads((path / "manifest.json").read_text())
        manifest["files"] = {name: entry for name, entry in manifest["files"].items() if "/" not in name}
        (path / "manifest.json").write_text(json.dumps(manifest))


def test_a_listed_kernel_whose_file_is_missing(path):
    supplied(path, [[40]])
    part = device_part.DevicePart(engine_folder.Artifact(path), f"sm_{ARCH}")
    cubins = launcher.Cubins(launcher.usable_listing(part, ARCH)[0], lambda name: None, None, None)
    with pytest.raises(EngineError, match="is missing"):
        cubins.bind(supply.needed_launches(part.folder.manifest, ARCH, "fp32", [[40]], 1, "triton")[0])


def test_nothing_is_compiled_that_could_not_be_kept(path, compiled_jobs, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(device_part.CACHE, str(tmp_path / "file"))
    monkeypatch.setattr(device_part.os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="FASTSVC_CACHE"):
        supplied(path, [[40]])
    assert compiled_jobs == []


def test_without_triton(path, monkeypatch):
    monkeypatch.setattr(supply.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"compiling \d+ kernels for sm_80 needs the package triton"):
        supplied(path, [[40]])


@pytest.mark.slow
def test_what_was_built_for_the_gpu_is_enough(tmp_path, compiled_jobs, monkeypatch):
    """Also where another machine built it, under the same words."""
    monkeypatch.setenv(seal.VARIABLE, "the same on both machines")
    monkeypatch.setattr(measure, "SECONDS_OF_AUDIO", {"denoiser": 0.1, "vocoder": 0.01})
    path = engines.build_engine(tmp_path, steps=(1,), target=f"sm_{ARCH}")
    monkeypatch.setenv(device_part.CACHE, str(tmp_path / "another"))
    assert supplied(path, [[40, 94, 2000], [16384], [100_000]], precision="fp16") is None and len(compiled_jobs) == 1
