"""An engine that cannot be opened says why: its manifest, the GPU, or a fault of ours; and what doctor says."""

import gc
import json
import re
import shutil
import types
import weakref
from pathlib import Path

import engines
import numpy as np
import pytest
import torch
from calls import raising, run
from recordings import put

import fastsvc
from fastsvc import faults
from fastsvc.artifact import engine_folder
from fastsvc.build.cubins import hints
from fastsvc.commands import doctor
from fastsvc.engine import backends
from fastsvc.engine.cuda import gpu_parts, support
from fastsvc.engine.parts import Model
from fastsvc.errors import ConfigError, EngineError, OutputError
from fastsvc.kernels import tiles

DRIVER = "The NVIDIA driver on your system is too old (found 11040)."


pytestmark = pytest.mark.usefixtures("own_folder")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return engines.build_engine(tmp_path_factory.mktemp("engine"))


BUGS = [KeyError("gru"), TypeError("odd"), ValueError("no tile for 7 columns"), RuntimeError("odd"), IndexError("7")]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: type(bug).__name__)
def test_a_bug_of_a_backend_is_no_damaged_manifest(folder, monkeypatch, bug):
    monkeypatch.setitem(backends.BACKENDS, "cpu", raising(bug))
    with pytest.raises(type(bug)) as caught:
        fastsvc.load(folder, device="cpu")
    assert caught.value is bug
    put(Path("a.wav"))
    result = run("convert", "a.wav", "-m", folder, "--spk", 0)
    assert result.exit_code == faults.EXIT == 70
    assert re.fullmatch(
        r"a fault of fastsvc: \w+: .* at fastsvc/engine/backends.py:\d+ \(please report it with .*\)\n", result.stderr
    )
    assert "manifest" not in result.output and "build the engine again" not in result.output


def test_a_manifest_that_makes_no_model_says_which_key(folder, tmp_path):
    for number, (change, words) in enumerate(
        [
            (lambda m: m["acoustic"]["denoiser"].update(layers="many"), "acoustic.denoiser.layers"),
            (lambda m: m["acoustic"].update(tune=1), "unknown key 'tune'"),
            (lambda m: m.update(sampler="magic"), "wrong sampler: 'magic' does not fit"),
            (lambda m: m.update(speakers=["one"]), "1 names for 3 speakers"),
            (lambda m: m["content"].update(kind="ears"), "ears"),
        ]
    ):
        copy = shutil.copytree(folder, tmp_path / f"{number}.fsvc")
        manifest = json.loads((copy / "manifest.json").read_text())
        change(manifest)
        (copy / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(EngineError, match=r"manifest.json (is|has) .*build it again: fastsvc build") as caught:
            fastsvc.load(copy, device="cpu")
        assert words in str(caught.value)


@pytest.mark.parametrize(
    "content", [None, "", "{", "[]", '{"format": "other"}', '{"format": "fastsvc-engine", "version": 1}']
)
def test_force_is_advised_only_where_it_would_replace(tmp_path, content):
    folder = tmp_path / "songs"
    folder.mkdir()
    if content is not None:
        (folder / "manifest.json").write_text(content)
    with pytest.raises(EngineError) as caught:
        fastsvc.load(folder, device="cpu")
    if content and "fastsvc-engine" in content:
        assert "--force" in str(caught.value)
        engine_folder.refuse_existing(folder, force=True)
    else:
        assert "--force" not in str(caught.value)
        with pytest.raises(OutputError, match="left alone"):
            engine_folder.refuse_existing(folder, force=True)


@pytest.fixture
def card(monkeypatch):
    def put_in(arch):
        found = types.SimpleNamespace(name="Card", major=arch // 10, minor=arch % 10, total_memory=2**34)
        monkeypatch.setattr(torch.version, "cuda", "13.0")
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: divmod(arch, 10))
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda *_: found)

    return put_in


def rows():
    return {line[:13].strip(): line[14:] for line in doctor.report().splitlines()}


@pytest.mark.parametrize("arch", [61, 75])
def test_an_old_gpu_is_told_of_as_such(folder, card, arch):
    card(arch)
    why = f"the GPU is sm_{arch}, the kernels need sm_80 or newer"
    unusable = f"the device cuda cannot be used: {why}"
    with pytest.raises(EngineError, match=unusable):
        fastsvc.load(folder, device="cuda")
    with pytest.warns(UserWarning, match=f"the GPU is not used: {why}; running on the CPU"):
        assert fastsvc.load(folder).device.type == "cpu"
    put(Path("a.wav"))
    result = run("convert", "a.wav", "-m", folder, "--spk", 0, "--device", "cuda")
    assert result.exit_code == 2 and result.stderr == f"error: {unusable} (use auto or cpu)\n"
    assert rows()["cuda"].startswith(f"does not run: {why}") and f"sm_{arch}" in rows()["GPU"]
    for package in ("tensorrt", "tensorrt_rtx"):  # without the kernels no engine needs them
        assert rows()[package].startswith(f"does not run: {why}")


def test_a_gpu_of_the_oldest_kind_runs(card):
    card(tiles.OLDEST)
    assert support.why_no_cuda() is None and support.too_old(tiles.OLDEST - 1) is not None
    assert not rows()["cuda"].startswith("does not run: the GPU")


@pytest.mark.parametrize("device", ["cuda:1", torch.device("cuda", 1), torch.device("cuda:1")])
def test_a_gpu_is_named_by_its_number(folder, card, monkeypatch, device):
    """Its parts are loaded while it is PyTorch's current one, as compiled kernels are loaded into its context."""
    card(tiles.OLDEST)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    entered = []

    class Current:
        def __init__(self, number):
            self.number = number

        def __enter__(self):
            entered.append(self.number)

        def __exit__(self, *error):
            entered.append("left")

    def parts(*given):
        entered.append("opened")
        return backends.cpu(*given)

    monkeypatch.setattr(torch.cuda, "device", Current)
    monkeypatch.setitem(backends.BACKENDS, "cuda", parts)
    fastsvc.load(folder, device=device)
    assert entered == [1, "opened", "left"]
    with pytest.raises(EngineError, match="the device cuda:7 cannot be used: the GPUs here are numbered 0 to 1"):
        fastsvc.load(folder, device="cuda:7")


def test_processors_by_name(folder):
    assert fastsvc.load(folder, device=torch.device("cpu")).device.type == "cpu"
    with pytest.raises(ConfigError, match="device is 'meta'"):
        fastsvc.load(folder, device=torch.device("meta"))


def test_a_closed_engine_holds_nothing_and_says_so(folder):
    engine, freed = fastsvc.load(folder, device="cpu"), []
    parts = [weakref.ref(part) for part in (engine.sampler, engine.synthesiser, engine.encoder)]
    engine.synthesiser.release = lambda: freed.append("vocoder")
    engine.sampler.network = types.SimpleNamespace(release=lambda: freed.append("denoiser"))
    engine.encoder.programs = types.SimpleNamespace(release=lambda: freed.append("encoder"))
    engine.close()
    engine.close()
    gc.collect()
    assert sorted(freed) == ["denoiser", "encoder", "vocoder"] and [part() for part in parts] == [None] * 3
    closed = pytest.raises(EngineError, match=r"is closed \(open it again with fastsvc.load\)")
    with closed:
        engine.convert(np.zeros(4000, np.float32), 24000, 0)
    with closed:
        engine.synthesise(torch.zeros(2, 6), torch.zeros(9), torch.zeros(9), 0)
    with closed:
        engine.warm_up()
    with closed:
        engine.stream(0, 24000)


def test_one_constant_for_the_oldest_gpu(folder, monkeypatch):
    """What the device is asked for, what the kernels take, what is built for: all by fastsvc.kernels.tiles.OLDEST."""
    assert tiles.architecture(tiles.OLDEST) == tiles.OLDEST == 80
    with pytest.raises(ValueError, match="^the GPU is sm_75, the kernels need sm_80 or newer$"):
        tiles.architecture(75)
    model = Model.of(fastsvc.artifact.engine_folder.Artifact(folder))
    monkeypatch.setattr(gpu_parts, "architecture", lambda device: tiles.OLDEST - 1)
    with pytest.raises(EngineError, match="cannot run on this GPU: the GPU is sm_79, the kernels need sm_80"):
        gpu_parts.assemble(model, device="cpu")
    from fastsvc.build.passes.target import architectures

    with pytest.raises(ConfigError, match="'sm_75': the GPU is sm_75, the kernels need sm_80 or newer"):
        architectures("sm_75")
    root = Path(__file__).parent.parent
    compared = r"(?:<|>|<=|>=|==)\s*\(?(?:7, ?5|8, ?0|75|80)\)?(?=\s*(?::|\)|$| else| or| and))"
    stray = re.compile(compared + "|sm_(75|80) or newer")
    sources = [path for room in ("fastsvc/engine", "build") for path in (root / room).rglob("*.py")]
    for path in (*sources, root / "kernels/tiles.py"):
        assert not stray.search(path.read_text()), f"{path.name} has a number of its own"


@pytest.mark.parametrize("version", ["3.6.0", "3.8.1", "2.3", "3.9.0", "3.10.1", "4.0", None])
def test_what_an_old_triton_drops(monkeypatch, version):
    """Kernels compiled by it run, and are slower than those that 3.9 compiles from the same source."""
    old = version in ("3.6.0", "3.8.1", "2.3")
    assert (hints.why_none(version) is not None) == old
    monkeypatch.setattr(doctor, "_version", lambda package: version)
    row = rows()["triton"]
    advice = "build engines with --target where triton>=3.9 is installed"
    lost = f"{version}: drops the vocoder's cache hints, which 3.9 keeps; {advice}"
    assert row == (lost if old else version or "not installed")
    monkeypatch.setattr(hints, "version", lambda: version)
    if old:
        with pytest.raises(EngineError, match="kernels are not compiled here: triton .* drops"):
            hints.require()
    else:
        hints.require()


def test_doctor_without_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    assert rows()["cuda"].startswith("does not run: this is a CPU build of PyTorch")
    monkeypatch.setattr(torch.version, "hip", "6.4")
    assert rows()["cuda"].startswith("does not run: this is PyTorch's build for ROCm") and "ROCm 6.4" in rows()["torch"]
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "init", raising(RuntimeError(DRIVER + "\nUpdate it")))
    assert rows()["cuda"].startswith(f"does not run: PyTorch finds no usable GPU: {DRIVER};")
    assert rows()["cpu"].startswith("runs: ")
    monkeypatch.setattr(doctor, "X86", False)
    monkeypatch.setattr(doctor.machine, "cpu_flags", list)
    assert rows()["cpu"] == "runs: the lowered form in float32" and "AVX" not in rows()["instructions"]
