"""Lists of compiled kernels: which launcher they give, what is found in them, and hostile ones."""

import json
import shutil
import types
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fake_driver import Api, launch

from fastsvc import kernels
from fastsvc.engine.cuda import launcher
from fastsvc.engine.cuda.driver import Driver
from fastsvc.errors import EngineError, MissingPackageError


@pytest.fixture(autouse=True)
def stream(monkeypatch):
    monkeypatch.setattr(torch.cuda, "current_stream", lambda *_: types.SimpleNamespace(cuda_stream=77))


class Part:
    """As much of a DevicePart as the launcher sees; ``foreign``: names of what is under no seal of this user's."""

    foreign = ()

    def __init__(self, **files):
        self.files = {name.replace("__", "."): value for name, value in files.items()}

    def read(self, name):
        return self.files.get(name)

    def has(self, name):
        return name in self.files or name in self.foreign


def listing(sources=None, **kernels):
    return json.dumps({"arch": 90, "sources": sources or launcher.sources(), "kernels": kernels}).encode()


def test_a_change_in_any_folder_of_the_kernels_is_another_source(tmp_path, monkeypatch):
    """Kernels lie in folders of their own: those count, too."""
    shutil.copytree(Path(kernels.__file__).parent, tmp_path / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(launcher.kernels, "__file__", str(tmp_path / "kernels" / "__init__.py"))
    hashes = [launcher.sources()]
    for file in ("launch.py", "denoiser/network.py", "vocoder/generator.py"):
        with (tmp_path / "kernels" / file).open("a") as stream:
            stream.write("# changed\n")
        hashes.append(launcher.sources())
    (tmp_path / "kernels" / "denoiser" / "network.py").rename(tmp_path / "kernels" / "vocoder" / "network.py")
    hashes.append(launcher.sources())
    assert len(set(hashes)) == 5


def test_which_launcher_and_why(monkeypatch):
    monkeypatch.setattr(launcher, "Driver", lambda: "driver")
    found, how = launcher.choose(Part(kernels__json=listing()), 90)
    assert isinstance(found, launcher.Cubins) and "compiled ahead of time" in how
    found, how = launcher.choose(Part(), 90)
    assert isinstance(found, launcher.Jit) and "no kernels compiled for sm_90" in how
    found, how = launcher.choose(Part(kernels__json=listing("other")), 90)
    assert isinstance(found, launcher.Jit) and "another version" in how
    part = Part()
    part.foreign = [launcher.LIST]
    found, how = launcher.choose(part, 90)
    assert isinstance(found, launcher.Jit) and "not made by this user" in how

    def lacking():
        raise MissingPackageError("cuda-bindings", "starting compiled kernels", "gpu")

    monkeypatch.setattr(launcher, "Driver", lacking)
    found, how = launcher.choose(Part(kernels__json=listing()), 90)
    assert isinstance(found, launcher.Jit) and "cuda-bindings" in how
    monkeypatch.setattr(launcher.importlib.util, "find_spec", lambda name: None)
    found, how = launcher.choose(Part(kernels__json=listing()), 90)
    assert found is None and "cuda-bindings" in how and "triton is not installed" in how


def test_compiled_kernels_are_found_by_what_they_were_compiled_for():
    one = launch()
    entry = {**ENTRY, "parameters": [["x", "*fp32"]]}
    part = Part(a__cubin=b"code")
    api = Api()
    listed = {"arch": 90, "kernels": {launcher.key(one.spec()): entry}}
    cubins = launcher.Cubins(listed, part.read, Driver(api), None)
    for _ in range(2):
        cubins.bind(one)
    assert [call[0] for call in api.calls] == ["load", "function"]
    with pytest.raises(EngineError, match="no compiled some_kernel for this shape"):
        cubins.bind(launch(warps=8))
    cubins.fallback = types.SimpleNamespace(bind=lambda launch: "jit")
    with pytest.warns(UserWarning, match="Triton compiles it now"):
        assert cubins.bind(launch(warps=8)) == "jit"


def test_the_kernels_of_a_chain_divide_a_processors_memory_alike():
    """Another division waits until the kernel before has left the multiprocessor."""
    small, large = launch(), launch(warps=8)
    sizes = ((small, 16384, 4), (large, 100_000, 8))
    entries = {
        launcher.key(one.spec()): {**ENTRY, "shared": shared, "warps": warps, "parameters": [["x", "*fp32"]]}
        for one, shared, warps in sizes
    }
    api = Api()
    cubins = launcher.Cubins({"arch": 90, "kernels": entries}, lambda name: b"code", Driver(api), None)
    many = replace(large, grid=(500,))
    for chain, percent in (([small, large, small], 44), ([small], 8), ([small, many], 87)):
        asked = []
        for start in cubins.bind_chain(chain):
            start_parameters(api, start)
            asked.append(api.attributes)
        assert asked == [[(14, percent)]] * len(chain), chain
    assert launcher.Jit().bind_chain([small, large])[1] == large.run  # Triton cannot ask for one


def start_parameters(api, start):
    """Start a kernel of one argument; the stand-in reads three."""
    api.cuLaunchKernelEx = lambda config, *_: (
        setattr(api, "attributes", [(one.id, *vars(one.value).values()) for one in config.attrs]) or (0,)
    )
    start()


ENTRY = {
    "file": "a.cubin",
    "name": "some_kernel",
    "warps": 4,
    "shared": 0,
    "registers": 64,
    "parameters": [["x", "*fp32"], ["n", "i32"]],
}
KEY = "0123456789abcdef01234567"
WRONG = {
    "file": [None, 1, "", "../a.cubin", "sm_80/a.cubin", "a", "a.cubin\0", "a" * 300 + ".cubin", ["a.cubin"]],
    "name": [None, 7, "", "a b", "a" * 300, "\udcff", {"a": 1}],
    "warps": [None, 0, -4, 33, 10**9, 4.0, "4", True, float("inf")],
    "registers": [None, 0, 256, 64.0, "64", True],
    "shared": [None, -1, 232449, 10**30, 1.5, "0", False],
    "parameters": [None, {}, "x", [["x"]], [["x", "f64"]], [["x", 3]], [[[], "i32"]], [["x y", "i32"]], [["x", "*"]]],
}
WRONG["parameters"] += [[["x", "i32"]] * 65, [["x", "i32", "y"]], [None]]


def hostile():
    """Lists that a damaged or a stranger's engine may have, as bytes."""
    right = {"arch": 90, "sources": launcher.sources(), "kernels": {KEY: ENTRY}}
    for name, values in WRONG.items():
        for value in values:
            yield json.dumps({**right, "kernels": {KEY: {**ENTRY, name: value}}}).encode()
        yield json.dumps({**right, "kernels": {KEY: {k: v for k, v in ENTRY.items() if k != name}}}).encode()
    for changed in ({"arch": 80}, {"arch": "90"}, {"sources": 3}, {"sources": None}, {"kernels": []}, {"kernels": 1}):
        yield json.dumps({**right, **changed}).encode()
    for entry in (None, 3, [], "x"):
        yield json.dumps({**right, "kernels": {KEY: entry}}).encode()
    yield json.dumps({**right, "kernels": {"..": ENTRY}}).encode()
    yield json.dumps({**right, "kernels": {f"{i:024x}": {} for i in range(10_001)}}).encode()
    yield from (b"", b"null", b"3", b"[]", b"{", b"\xff\xfe", b"[" * 200_000, b'{"a":' * 200_000, b"9" * 10_000)
    yield b" " * (9 << 20)


def test_hostile_lists_are_one_line():
    """They reach neither driver nor traceback; what runs in their place is said."""
    assert launcher.usable_listing(Part(kernels__json=listing(**{KEY: ENTRY})), 90)[0]["kernels"] == {KEY: ENTRY}
    for content in hostile():
        found, why = launcher.usable_listing(Part(kernels__json=content), 90)
        assert found is None and why.startswith("its list of kernels for sm_90 ") and len(why) < 120, content[:200]


def test_a_kernel_under_no_seal_is_compiled_anew():
    """The list is the user's own, and a file that it names was put there by somebody else."""
    one = launch()
    listed = {"arch": 90, "kernels": {launcher.key(one.spec()): ENTRY}}
    cubins = launcher.Cubins(listed, Part().read, None, types.SimpleNamespace(bind=lambda launch: "jit"))
    with pytest.warns(UserWarning, match="a.cubin is missing, or another user's: Triton compiles it now"):
        assert cubins.bind(one) == "jit"


def test_the_hash_of_the_sources_follows_them(monkeypatch, tmp_path):
    (tmp_path / "a.py").write_text("1")
    monkeypatch.setattr(launcher, "kernels", types.SimpleNamespace(__file__=str(tmp_path / "__init__.py")))
    before = launcher.sources()
    (tmp_path / "a.py").write_text("2")
    assert launcher.sources() != before == launcher.hashlib.sha256(b"a.py\x001").hexdigest()
