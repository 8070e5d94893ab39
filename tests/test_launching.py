"""Loading and starting compiled kernels, with a driver that only writes down what it is asked."""

import ctypes
import json
import types
from dataclasses import replace

import pytest
import torch

from fastsvc.engine.cuda import driver, early, graphs, launcher
from fastsvc.engine.cuda.driver import Driver, marshalled
from fastsvc.errors import EngineError, MissingPackageError
from fastsvc.kernels.launch import Launch, chained

PARAMETERS = (("x", "*fp16"), ("n", "i32"), ("c", "fp32"))


class Api:
    """cuda.bindings.driver as far as it is used; ``failing`` names a call that returns an error."""

    CUresult = types.SimpleNamespace(CUDA_SUCCESS=0)
    CUfunction_attribute = types.SimpleNamespace(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES=8)
    CUlaunchAttributeID = types.SimpleNamespace(CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION=6)

    class CUlaunchConfig:
        attrs, numAttrs = (), 0

    class CUlaunchAttribute:
        def __init__(self):
            self.value = types.SimpleNamespace()

    def __init__(self, failing=""):
        self.calls, self.failing = [], failing

    def _answer(self, name, value):
        return (1, None) if name == self.failing else (0, value) if value is not None else (0,)

    def cuModuleLoadData(self, image):
        self.calls.append(("load", image))
        return self._answer("cuModuleLoadData", "module")

    def cuModuleGetFunction(self, module, name):
        self.calls.append(("function", module, name))
        return self._answer("cuModuleGetFunction", "function")

    def cuFuncSetAttribute(self, function, attribute, value):
        self.calls.append(("attribute", attribute, value))
        return self._answer("cuFuncSetAttribute", None)

    def cuLaunchKernelEx(self, config, function, parameters, extra):
        grid, block = ([getattr(config, f"{kind}Dim{axis}") for axis in "XYZ"] for kind in ("grid", "block"))
        addresses = (ctypes.c_void_p * 5).from_address(parameters)
        pointer = ctypes.c_void_p.from_address(addresses[0]).value
        whole, real = ctypes.c_int32.from_address(addresses[1]).value, ctypes.c_float.from_address(addresses[2]).value
        scratch = [ctypes.c_void_p.from_address(addresses[i]).value for i in (3, 4)]
        numbers = (*grid, *block, config.sharedMemBytes)
        self.calls.append(("launch", numbers, config.hStream, pointer, whole, real, scratch, extra))
        self.attributes = [(one.id, one.value.programmaticStreamSerializationAllowed) for one in config.attrs]
        assert config.numAttrs == len(config.attrs)
        return self._answer("cuLaunchKernelEx", None)

    def cuGetErrorString(self, code):
        return 0, b"no kernel image is available"


@pytest.fixture(autouse=True)
def stream(monkeypatch):
    monkeypatch.setattr(torch.cuda, "current_stream", lambda *_: types.SimpleNamespace(cuda_stream=77))


def test_a_kernel_is_loaded_once_and_started_with_its_arguments():
    api, x = Api(), torch.zeros(8, dtype=torch.float16)
    calls = Driver(api)
    function = calls.load(b"cubin", "kernel", 8, 100_000, PARAMETERS)
    start = calls.bind(function, (3, 2), {"x": x, "n": -5, "c": 0.5})
    start()
    assert api.calls == [
        ("load", b"cubin"),
        ("function", "module", b"kernel"),
        ("attribute", 8, 100_000),
        ("launch", (3, 2, 1, 256, 1, 1, 100_000), 77, x.data_ptr(), -5, 0.5, [None, None], 0),
    ]
    assert api.attributes == []
    calls.bind(function, (3, 2), {"x": x, "n": -5, "c": 0.5}, early=True)()
    assert api.calls[-1] == api.calls[-2] and api.attributes == [(6, 1)]
    small = Driver(api := Api())
    small.load(b"cubin", "kernel", 4, 48 * 1024, PARAMETERS)
    assert [call[0] for call in api.calls] == ["load", "function"]


@pytest.mark.parametrize(
    "failing", ["cuModuleLoadData", "cuModuleGetFunction", "cuFuncSetAttribute", "cuLaunchKernelEx"]
)
def test_what_the_driver_refuses_is_said(failing):
    calls = Driver(Api(failing))
    with pytest.raises(EngineError, match=f"{failing} failed: no kernel image is available"):
        calls.bind(calls.load(b"", "kernel", 4, 50_000, PARAMETERS), (1,), {"x": torch.zeros(1), "n": 1, "c": 1.0})()


@pytest.mark.parametrize("arguments", [{"x": 1, "n": 1, "c": 1.0}, {"n": 1, "x": torch.zeros(1), "c": 1.0}, {}])
def test_arguments_that_a_kernel_does_not_take(arguments):
    with pytest.raises(EngineError, match="build the engine again"):
        marshalled(PARAMETERS, arguments)


def test_cuda_bindings_has_what_is_used():
    api = pytest.importorskip("cuda.bindings.driver", reason="cuda-bindings is not installed")
    calls = ("cuModuleLoadData", "cuModuleGetFunction", "cuFuncSetAttribute", "cuLaunchKernelEx", "cuGetErrorString")
    for name in calls:
        assert callable(getattr(api, name))
    config = Driver(api)._config(driver.LoadedKernel("handle", "module", 8, 50_000, ()), (3, 2, 1), early=True)
    config.hStream = 77  # as PyTorch gives it
    assert (config.gridDimX, config.gridDimY, config.blockDimX, config.sharedMemBytes) == (3, 2, 256, 50_000)
    (attribute,) = config.attrs
    assert int(attribute.id) == 6 and attribute.value.programmaticStreamSerializationAllowed == 1
    assert config.numAttrs == 1 and int(config.hStream) == 77
    assert int(api.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) == 8
    assert int(api.CUresult.CUDA_SUCCESS) == 0


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


def launch(warps=4):
    def some_kernel(x):
        pass

    return Launch(some_kernel, (1,), {"x": torch.zeros(1)}, {"C": 64}, warps, 2)


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
    entry = {"file": "a.cubin", "name": "some_kernel", "warps": 4, "shared": 0, "parameters": [["x", "*fp32"]]}
    part = Part(a__cubin=b"code")
    api = Api()
    cubins = launcher.Cubins({"kernels": {launcher.key(one.spec()): entry}}, part.read, Driver(api), None)
    for _ in range(2):
        cubins.bind(one)
    assert [call[0] for call in api.calls] == ["load", "function"]
    with pytest.raises(EngineError, match="no compiled some_kernel for this shape"):
        cubins.bind(launch(warps=8))
    cubins.fallback = types.SimpleNamespace(bind=lambda launch: "jit")
    with pytest.warns(UserWarning, match="Triton compiles it now"):
        assert cubins.bind(launch(warps=8)) == "jit"


ENTRY = {
    "file": "a.cubin",
    "name": "some_kernel",
    "warps": 4,
    "shared": 0,
    "parameters": [["x", "*fp32"], ["n", "i32"]],
}
KEY = "0123456789abcdef01234567"
WRONG = {
    "file": [None, 1, "", "../a.cubin", "sm_80/a.cubin", "a", "a.cubin\0", "a" * 300 + ".cubin", ["a.cubin"]],
    "name": [None, 7, "", "a b", "a" * 300, "\udcff", {"a": 1}],
    "warps": [None, 0, -4, 33, 10**9, 4.0, "4", True, float("inf")],
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
    listed = {"kernels": {launcher.key(one.spec()): ENTRY}}
    cubins = launcher.Cubins(listed, Part().read, None, types.SimpleNamespace(bind=lambda launch: "jit"))
    with pytest.warns(UserWarning, match="a.cubin is missing, or another user's: Triton compiles it now"):
        assert cubins.bind(one) == "jit"


def test_the_hash_of_the_sources_follows_them(monkeypatch, tmp_path):
    (tmp_path / "a.py").write_text("1")
    monkeypatch.setattr(launcher, "kernels", types.SimpleNamespace(__file__=str(tmp_path / "__init__.py")))
    before = launcher.sources()
    (tmp_path / "a.py").write_text("2")
    assert launcher.sources() != before == launcher.hashlib.sha256(b"a.py\x001").hexdigest()


def test_arena():
    counter = graphs.ArenaSizer()
    wanted = [((3, 5), torch.float16), ((1,), torch.int64), ((2, 7, 9), torch.float32)]
    for shape, dtype in wanted:
        assert counter(*shape, dtype=dtype).device.type == "meta"
    arena = graphs.Arena(counter.size, torch.device("cpu"))
    parts = [arena(*shape, dtype=dtype) for shape, dtype in wanted]
    for i, part in enumerate(parts):
        part.fill_(i + 1)
        assert (part.data_ptr() - parts[0].data_ptr()) % 256 == 0 and part.is_contiguous()
    assert [float(part.sum()) for part in parts] == [15, 2, 3 * 126]
    with pytest.raises(RuntimeError, match="full"):
        arena(1, dtype=torch.int8)
    assert arena.restarted()(3, 5, dtype=torch.float16).data_ptr() == parts[0].data_ptr()


def test_without_a_gpu_a_graph_is_the_work_itself():
    made = []
    replay = graphs.Graphs(torch.device("cpu")).capture(lambda: made.append(1))
    replay()
    assert made == [1]


@pytest.mark.parametrize("ends", [True, False])
def test_a_capture_that_fails_says_why_and_leaves_no_stream(monkeypatch, ends):
    """PyTorch leaves the capture's stream in place if ending the capture fails, and tells of that alone."""
    current = ["own"]

    class On:
        def __init__(self, stream):
            self.stream = stream

        def __enter__(self):
            self.before, current[0] = current[0], self.stream

        def __exit__(self, *error):
            current[0] = self.before

    class Capture:
        def __init__(self, graph, pool, stream, capture_error_mode):
            self.on = On(stream)

        def __enter__(self):
            self.on.__enter__()

        def __exit__(self, *error):
            if not ends:
                raise RuntimeError("capture invalidated")
            self.on.__exit__()

    monkeypatch.setattr(torch.cuda, "stream", On)
    monkeypatch.setattr(torch.cuda, "graph", Capture)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: types.SimpleNamespace(replay="replay"))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: current[0])
    made = graphs.Graphs(torch.device("cpu"))
    made.pool = "pool"
    made.stream = types.SimpleNamespace(wait_stream=lambda other: None, synchronize=lambda: None)
    calls = []

    def short():
        calls.append(current[0])
        if len(calls) == 3:  # in the capture
            raise torch.OutOfMemoryError("no")

    with pytest.raises(torch.OutOfMemoryError, match="no"):
        made.capture(short)
    assert calls == 3 * [made.stream] and current == ["own"] and made.captured == 0
    if ends:
        assert made.capture(lambda: None) == "replay" and current == ["own"]


def test_driver_needs_cuda_bindings(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cuda.bindings", None)
    with pytest.raises(MissingPackageError, match="cuda-bindings"):
        driver.bindings()


def test_kernels_that_wait_may_begin_early_but_for_the_first():
    one = replace(launch(), constants={"PDL": True})
    chain = chained([one, one, one])
    assert [link.early for link in chain] == [False, True, True]
    assert {launcher.key(link.spec()) for link in chain} == {launcher.key(one.spec())}  # the same code serves both
    assert [link.early for link in chained([launch(), one, launch(), one])] == [False, True, False, True]


def test_triton_is_told_of_an_early_start():
    told = []
    kernel = {(1,): lambda **given: told.append(given)}
    given = Launch(kernel, (1,), {}, {"PDL": True}, 4, 2)
    for one in (given, replace(given, early=True)):
        one.run()
    assert "launch_pdl" not in told[0] and told[1] == {**told[0], "launch_pdl": True}


@pytest.mark.parametrize(
    "arch, wanted, expected", [(90, "1", True), (90, "", False), (90, "0", False), (89, "", False)]
)
def test_the_environment_asks_for_early_starts(monkeypatch, arch, wanted, expected):
    monkeypatch.setenv(early.PDL, wanted)
    assert early.requested(torch.device("cuda"), arch) is expected


def test_a_device_without_early_starts_is_named(monkeypatch):
    monkeypatch.setenv("FASTSVC_PDL", "1")
    with pytest.warns(UserWarning, match="FASTSVC_PDL=1 does nothing: sm_89"):
        assert not early.requested(torch.device("cuda"), 89)
