"""Loading and starting compiled kernels, with a driver that only writes down what it is asked."""

import types
from dataclasses import replace

import pytest
import torch
from fake_driver import Api, launch

from fastsvc.engine.cuda import driver, early, launcher
from fastsvc.engine.cuda.driver import Driver, marshalled
from fastsvc.errors import EngineError, MissingPackageError
from fastsvc.kernels.launch import Launch, chained

PARAMETERS = (("x", "*fp16"), ("n", "i32"), ("c", "fp32"))


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
    calls.bind(function, (3, 2), {"x": x, "n": -5, "c": 0.5}, early=True, carve_out=58)()
    assert api.attributes == [(6, 1), (14, 58)]
    calls.bind(function, (3, 2), {"x": x, "n": -5, "c": 0.5}, cooperative=True)()
    assert api.attributes == [(2, 1)]
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
    divided = Driver(api)._config(driver.LoadedKernel("handle", "module", 8, 50_000, ()), (3, 2, 1), False, 58)
    assert [(int(one.id), one.value.sharedMemCarveout) for one in divided.attrs] == [(14, 58)]
    (waiting,) = (
        Driver(api)._config(driver.LoadedKernel("handle", "module", 8, 50_000, ()), (3, 2, 1), False, None, True).attrs
    )
    assert int(waiting.id) == 2 and waiting.value.cooperative == 1
    assert int(api.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) == 8
    assert int(api.CUresult.CUDA_SUCCESS) == 0


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


def test_triton_is_told_of_programs_that_wait_for_one_another():
    told = []
    given = Launch({(1,): lambda **given: told.append(given)}, (1,), {}, {}, 4, 2, cooperative=True)
    given.run()
    assert told[0]["launch_cooperative_grid"] and not chained([given, given])[1].early


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
