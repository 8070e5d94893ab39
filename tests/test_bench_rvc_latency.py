"""bench.latency of a voice of RVC: the stages, their counts, an index to search. No time is asserted."""

import json
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))  # bench/ is not installed

from bench import counts, latency, roofs, rvc_engine, rvc_stages, rvc_voices, table
from fastsvc.checkpoints.files.faiss_index import read_index
from fastsvc.engine import Engine


def test_counts_of_rvc_in_full_size():
    """A second takes 1.3 GFLOP in the encoder with attention to itself, and 1.0 in the flow, whose skips are folded."""
    config, _ = rvc_voices.configs("v2 40k")
    alone = counts.rvc_prior(config, 100, 2).flops
    assert alone == pytest.approx(1.3e9, rel=0.05) and counts.rvc_prior(config, 1000, 2).flops > 10 * alone
    assert counts.rvc_flow(config, 100, 2).flops == pytest.approx(1.0e9, rel=0.01)
    assert counts.rvc_flow(config, 1, 2).bytes - counts.rvc_flow(config, 1, 1).bytes == pytest.approx(5.0e6, rel=0.01)


def test_the_index_is_one_that_the_compiler_reads(tmp_path):
    index = read_index(rvc_engine.write_index(tmp_path / "random.index", 256, 50))
    assert tuple(index.vectors.shape) == (50, 256) and len(index.list_sizes) == 7
    assert torch.as_tensor(index.vectors).float().std() == pytest.approx(1, rel=0.05)


@pytest.mark.slow
@pytest.mark.long
def test_a_tiny_run(tmp_path, capsys, monkeypatch):
    pytest.importorskip("soxr", reason="soxr resamples the whole")
    index = rvc_engine.write_index(tmp_path / "random.index", 768, 20)
    engine = rvc_voices.make(tmp_path, "v2 40k", lambda line: None, small=True, index=index)
    file, roof = tmp_path / "out.json", {"tflops": 1.0, "copy_gbs": 1.0, "precision": "fp32", "product": "none"}
    monkeypatch.setattr(roofs, "measure", lambda *_: roof)
    given = [str(engine), "--device", "cpu", "--seconds", "0.1", "--steps", "1,2", "--repeats", "3", "--no-extras"]
    given += ["--pdl", "--peers", "eager32,graphs", "--peer-seconds", "0.1", "--json", str(file)]
    assert latency.main(given) == 0
    found = json.loads(file.read_text(encoding="utf-8"))
    assert [row["stage"] for row in found["stages"]] == [*rvc_stages.STAGES, "end to end"]
    assert found["sizes"] == {"acoustic part": "RVC v2, 40000 Hz, with pitch, 6×16"}
    ran = {row["peer"]: "skipped" not in row for row in found["peers"]}
    assert ran == {"eager32": True, "graphs": torch.cuda.is_available()}
    assert all("skipped" not in row for row in found["vocoders"] if row.get("backend") == "torch")
    text = capsys.readouterr().out
    assert "| audio | steps | prior and flow | p50 ms |" in text
    both = sum(row["p50_ms"] for row in found["stages"] if row["stage"] in rvc_stages.LATENT)
    (plain,) = (row["p50_ms"] for row in found["peers"] if row["peer"] == "eager32")
    assert f"{plain / both:.2f}×" in table.peer_table(found)
    opened = Engine.open(engine, "cpu")
    assert len(rvc_stages.end_to_end(opened, 10)()[0]) == 10 * 400
