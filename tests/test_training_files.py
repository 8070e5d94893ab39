"""Files of a training run: saved whole, refused if they are bad or another run's, never written over."""

import errno
import os

import pytest
import torch
from failing import fail_after
from line_task import make

from fastsvc.errors import CheckpointError, OutputError
from fastsvc.training import checkpoint, loop


def test_a_failed_save_keeps_the_old_file(tmp_path, monkeypatch):
    content = {"kind": "teacher", "config": {"model": {}}, "speakers": [], "speaker_f0_hz": [], "ema": {}}
    checkpoint.save(tmp_path / "last.pt", step=1, model={"w": torch.ones(2)}, **content)

    def torn(_, file):  # as PyTorch does on a full disk
        try:
            file.write(b"half")
        except OSError:
            raise RuntimeError("unexpected pos 64 vs 0") from None

    fail_after(monkeypatch, 3, OSError(errno.ENOSPC, "No space left on device"))
    monkeypatch.setattr(torch, "save", torn)
    with pytest.raises(OutputError, match="disk is full"):
        checkpoint.save(tmp_path / "last.pt", step=2, model={"w": torch.zeros(2)}, **content)
    monkeypatch.undo()
    assert checkpoint.load(tmp_path / "last.pt")["step"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]


def test_bad_checkpoints_are_named(tmp_path):
    path = tmp_path / "a.pt"
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        checkpoint.load(path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match="is not a torch file"):
        checkpoint.load(path)
    torch.save({"weights": torch.ones(1)}, path)
    with pytest.raises(CheckpointError, match="not a checkpoint of fastsvc"):
        checkpoint.load(path)
    torch.save({"format": "fastsvc", "version": 1, "kind": "teacher"}, path)
    with pytest.raises(CheckpointError, match="lacks step"):
        checkpoint.load(path)
    make(tmp_path, steps=1).train()
    with pytest.raises(CheckpointError, match="holds a recogniser, not a vocoder"):
        checkpoint.load(tmp_path / "last.pt", "vocoder")


def test_resuming_from_a_file_of_another_run_is_one_line(tmp_path):
    make(tmp_path, steps=4).train()
    path = tmp_path / "last.pt"
    content = torch.load(path, weights_only=True)
    for change, why in (
        ({"model": {**content["model"], "0.bias": torch.zeros(9)}}, "does not fit this configuration: .*0.bias"),
        ({"extra": {}}, "does not fit this configuration: 'critic'"),
        ({"optimizer": 3}, "does not fit this configuration"),
        ({"scheduler": {"elapsed_s": float("nan"), "ema_updates": 1, "best": None}}, "elapsed_s is nan"),
        ({"rng": {"torch": torch.zeros(3)}}, "does not fit this configuration"),
        ({"optimizer": {"main": {"state": {}, "param_groups": []}}}, "optimizer.main does not fit"),
    ):
        torch.save({**content, **change}, path)
        with pytest.raises(CheckpointError, match=why) as caught:
            make(tmp_path, steps=6, resume=True).train()
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000
    torch.save(content, path)
    assert make(tmp_path, steps=6, resume=True).train()["step"] == 6


def test_a_history_of_others_is_left_alone(tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    for content in (b'{"my": "notes"}\n', b"\xff\xfe\n", b"plain"):
        (out / "history.jsonl").write_bytes(content)
        with pytest.raises(OutputError, match="not the history"):
            make(out, steps=1).train()
        assert (out / "history.jsonl").read_bytes() == content
    (out / "history.jsonl").unlink()
    os.mkfifo(out / "history.jsonl")  # which opening would wait for
    with pytest.raises(OutputError, match="not a regular file"):
        make(out, steps=1).train()


@pytest.mark.parametrize("name", ["last.pt", "best.pt"])
def test_a_new_run_writes_over_no_checkpoint(tmp_path, name):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_bytes(b"keep")
    config = tmp_path / "run.yaml"
    config.write_text(f"corpus: corpus\nout: {tmp_path / 'run'}\nsteps: 1\n")
    with pytest.raises(OutputError, match=f"{name} exists already"):
        loop.run("teacher", config)
    assert (tmp_path / "run" / name).read_bytes() == b"keep"
