"""What float16 costs the bundled vocoder on a real recording, as bench/vocoder_precision.py measures it."""

import json
from pathlib import Path

import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("pesq", reason="the package pesq is not installed")
pytest.importorskip("soundfile")

from bench import vocoder_precision as bench
from bench.vocoder_rounding import measure

RESULTS = bench.ROOT / "bench/results/vocoder_precision.json"


@pytest.mark.slow
def test_float16_is_not_heard(tmp_path):
    recording = bench.ROOT / "examples/recordings/speech/front_center.wav"
    (row,) = measure(bench.ROOT / "examples/voices/choir.fsvc", [recording], tmp_path / "a.fsvc")
    for way in ("torch", "onnxruntime"):
        assert row[way]["pesq"] >= bench.BAR
        assert 1e-5 < row[way]["relative_rms"] < 5e-3 and row[way]["largest_difference"] < 5e-3
    assert row["onnxruntime"]["relative_rms"] < row["torch"]["relative_rms"], "onnxruntime leaves roundings out"


def test_the_page_has_the_measured_figures():
    found = json.loads(RESULTS.read_text(encoding="utf-8"))
    text = (Path(bench.ROOT) / "docs/gpu.md").read_text(encoding="utf-8")
    rows = found["recordings"]
    for way, name in (("torch", "PyTorch, float16"), ("onnxruntime", "onnxruntime, `vocoder_fp16.onnx`")):
        assert found["least_pesq"][way] >= found["bar"] == bench.BAR
        worst = max(row[way]["largest_difference"] for row in rows), max(row[way]["relative_rms"] for row in rows)
        figures = f"{found['least_pesq'][way]:.3f} | {worst[0]:.5f} | {worst[1]:.5f}"
        assert f"| {name} | {figures} |" in text
