"""Plans of vocoders in full size, built by TensorRT for RTX for GPUs that are not here, with their time and size.

docs/gpu.md has the table; `python -m bench.trt_plans` makes it anew.
"""

import json
from pathlib import Path

import pytest

pytest.importorskip("onnx")
pytest.importorskip("tensorrt_rtx", reason="the package tensorrt-rtx-cu13 is not installed")

from bench import trt_plans

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=trt_plans.VOCODERS)
def folder(request, tmp_path_factory):
    return trt_plans.folder(tmp_path_factory.mktemp("plans"), request.param), trt_plans.CASES[request.param]


@pytest.mark.parametrize("arch", trt_plans.ARCHS)
@pytest.mark.sampled(5)
def test_plans_of_full_size(folder, arch, record_property):
    made, config = folder
    row = trt_plans.build(made, config, arch)
    line = f"TensorRT for RTX {row['version']}: {config.family}, sm_{arch}: {row['seconds']} s, {row['mb']} MB"
    record_property("say", line)  # printed at the end, whichever process ran this (tests/conftest.py)
    assert row["seconds"] < 60 and 20 < row["mb"] < 100


def test_the_page_has_the_measured_table():
    """That of bench/results/trt_plans.json."""
    root = Path(__file__).parent.parent
    found = json.loads((root / "bench/results/trt_plans.json").read_text(encoding="utf-8"))["plans"]
    text = (root / "docs/gpu.md").read_text(encoding="utf-8")
    assert len(found) == len(trt_plans.VOCODERS) * len(trt_plans.ARCHS)
    for name in trt_plans.VOCODERS:
        cells = [f"{row['seconds']} s, {row['mb']} MB" for row in found if row["vocoder"] == name]
        assert f"| {' | '.join(cells)} |" in text


def test_what_it_says_without_a_gpu_is_written_down(tmp_path, monkeypatch):
    """`bench.trt_here` ends well wherever it stops, and says where that was."""
    import torch

    from bench import trt_here

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    monkeypatch.setattr("sys.argv", ["trt_here", "--json", str(tmp_path / "out.json")])
    trt_here.main()
    found = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert found["step"] == "package" and found["refused"] and found["package"] and found["date"]
