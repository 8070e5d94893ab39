"""Plans of vocoders in full size, built by TensorRT for RTX for GPUs that are not here, with their time and size.

docs/gpu.md has the table; `python -m bench.trt_plans` makes it anew.
"""

import pytest

pytest.importorskip("onnx")
pytest.importorskip("tensorrt_rtx", reason="the package tensorrt-rtx-cu13 is not installed")

from bench import trt_plans

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=trt_plans.VOCODERS)
def folder(request, tmp_path_factory):
    return trt_plans.folder(tmp_path_factory.mktemp("plans"), request.param), trt_plans.CASES[request.param]


@pytest.mark.parametrize("arch", trt_plans.ARCHS)
def test_plans_of_full_size(folder, arch, capsys):
    made, config = folder
    row = trt_plans.build(made, config, arch)
    with capsys.disabled():
        print(f"\nTensorRT for RTX {row['version']}: {config.family}, sm_{arch}: {row['seconds']} s, {row['mb']} MB")
    assert row["seconds"] < 60 and 20 < row["mb"] < 100
