"""Where a new content encoder begins: at hama's network, and near an old encoder's units."""

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from phone_corpus import PhoneCorpus, train

from fastsvc.artifact import bundled
from fastsvc.audio import io
from fastsvc.audio.mel import log_mel
from fastsvc.audio.resample import resample
from fastsvc.config import MelConfig, RecogniserConfig, to_dict
from fastsvc.errors import CheckpointError, ConfigError
from fastsvc.model.recogniser import Recogniser, normalise
from fastsvc.training import checkpoint, hama
from fastsvc.training.recogniser import RecogniserTask

WIDE = {"architecture": "conformer", "attention_frames": 400, "mel": to_dict(hama.MEL)} | hama.SIZES
SMALL = {"channels": 16, "layers": 2, "bottleneck": 6, "kernel": 3}


def spoken(count: int = 4, seconds: float = 3.0) -> torch.Tensor:
    """Speech of the package's phrases, [count, samples] at 16 kHz."""
    out = []
    for path in sorted((Path(bundled.PHRASES) / "spoken").glob("*.ogg"))[: 2 * count]:
        audio, rate_hz = io.read(path, mono=True)
        audio = resample(audio[0], rate_hz, hama.MEL.rate_hz)
        out += [audio[: int(seconds * hama.MEL.rate_hz)]] if len(audio) >= seconds * hama.MEL.rate_hz else []
    return torch.from_numpy(np.stack(out[:count]))


def test_the_trunk_says_what_hama_itself_says():
    """With attention that reaches all, states are hama's: its own head reads its own symbols from them."""
    package = pytest.importorskip("hama")
    config, audio = RecogniserConfig(phones=("<blank>", "a"), **(WIDE | {"mel": hama.MEL})), spoken()
    trunk = Recogniser(config).eval().trunk
    hama.start(trunk, config, audio)
    held = hama.weights((resources.files(package) / "assets" / "asr_waveform.hama").read_bytes())
    weight, bias = (held[f"acoustic_model.model.proj.{name}"] for name in ("weight", "bias"))
    wanted, given = hama._theirs(held, audio), normalise(log_mel(audio, config.mel), None, 0)
    given = (given * trunk.scale + trunk.shift).detach()
    frames = min(given.shape[1], wanted.shape[1])
    apart = (given[:, :frames] - wanted[:, :frames]).abs().mean()
    a_frame_late = (given[:, 1:frames] - wanted[:, : frames - 1]).abs().mean()
    assert float(apart) < 0.75 * float(a_frame_late)  # the mels are in time
    model, same, symbols = package.ASRModel(), 0, 0
    with torch.no_grad():
        states = trunk._states(normalise(log_mel(audio, config.mel), None, 0), None)
    said = (states[..., -config.channels :] @ weight[..., 0].T + bias).argmax(-1)
    for row, one in zip(said.numpy(), audio.numpy()):
        theirs = np.array(model.transcribe_waveform(one, hama.MEL.rate_hz).frame_token_ids)
        row, theirs = row[: len(theirs)], theirs[: len(row)]
        spikes = theirs != model.blank_id
        # our frames lie half a hop later, so a spike may be found one state before
        before = np.concatenate([row[:1], row[:-1]])
        same += int(((row == theirs) | (before == theirs))[spikes].sum())
        symbols += int(spikes.sum())
    assert symbols > 60 and same > 0.85 * symbols


def test_other_sizes_than_hamas_are_refused(monkeypatch):
    pytest.importorskip("hama")
    task = {"init": "hama", "model": WIDE | {"channels": 64}}
    with pytest.raises(ConfigError, match="channels 144"):
        RecogniserTask(task, PhoneCorpus(), "cpu", batch_size=2, batch_frames=32)
    with pytest.raises(ConfigError, match="architecture to conformer"):
        RecogniserTask({"init": "hama", "model": SMALL}, PhoneCorpus(), "cpu", batch_size=2, batch_frames=32)
    with pytest.raises(ConfigError, match="another format"):
        hama.weights(b"HAMAPK\x09\x09" + bytes(100))


def old_encoder(folder: Path, steps: int) -> Path:
    """A recogniser of the toy's phones, trained for a moment, so that its units say something."""
    task = RecogniserTask({"model": SMALL, "confusion": 0.0}, PhoneCorpus(), "cpu", batch_size=6, batch_frames=48)
    train(task, steps, 4e-3)
    state, path = task.model.state_dict(), folder / "old.pt"
    common = {"speakers": [], "speaker_f0_hz": [], "model": state, "ema": state}
    checkpoint.save(path, kind="recogniser", step=steps, config={"model": to_dict(task.model_config)}, **common)
    return path


@pytest.mark.slow
def test_a_new_encoder_comes_near_the_old_ones_units_in_another_mel_and_at_another_tempo(tmp_path):
    path = old_encoder(tmp_path, 60)
    mel = MelConfig(rate_hz=16000, hop_samples=160, fft_samples=512, window_samples=400, bins=40, high_hz=8000.0)
    model = {"architecture": "conformer", "channels": 16, "layers": 1, "kernel": 5, "heads": 2, "attention_frames": 8}
    model |= {"bottleneck": 6, "mel": to_dict(mel)}
    common = {"confusion": 0.0, "frozen": 0.0, "model": model, "augment": {"tempo": [0.8, 1.25]}}
    torch.manual_seed(0)
    task = RecogniserTask(
        common | {"old_units": {"content": str(path), "weight": 3.0}},
        PhoneCorpus(),
        "cpu",
        batch_size=6,
        batch_frames=48,
    )
    assert torch.equal(task.model.head.weight, task.old.model.head.weight)
    first, *_, last = train(task, 80, 4e-3)
    assert last["old_units"] < 0.6 * first["old_units"]
    batch = task.batch(np.random.default_rng(7))
    with torch.no_grad():
        units = task.model(batch["mel"])[0]
        at_its_tempo = task.old.distance(units, batch["old_mel"], batch["old_step"])
        at_another = task.old.distance(units, batch["old_mel"], 0.7 * batch["old_step"])
    assert batch["old_step"] != 1.0 and float(at_its_tempo) < 0.9 * float(at_another)


def test_old_units_of_another_size_are_refused(tmp_path):
    path = old_encoder(tmp_path, 0)
    with pytest.raises(ConfigError, match="bottleneck to 6"):
        task = {"model": SMALL | {"bottleneck": 5}, "old_units": {"content": str(path)}}
        RecogniserTask(task, PhoneCorpus(), "cpu", batch_size=2)
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        RecogniserTask({"model": SMALL, "old_units": {"content": "lost.pt"}}, PhoneCorpus(), "cpu", batch_size=2)


def test_blocks_stay_frozen_for_their_share_of_the_budget():
    model = {"architecture": "conformer", "channels": 16, "layers": 1, "kernel": 5, "heads": 2, "bottleneck": 6}
    task = RecogniserTask(
        {"model": model, "frozen": 0.5, "confusion": 0.0}, PhoneCorpus(), "cpu", batch_size=2, batch_frames=32
    )
    task.progress = 0.49
    task.turns(0)[0].loss(task.batch(np.random.default_rng(0)), 0)[0].backward()
    assert task.model.trunk.stem.weight.grad is None and task.model.trunk.join.weight.grad is not None
    task.progress = 0.5
    task.turns(0)[0].loss(task.batch(np.random.default_rng(0)), 0)[0].backward()
    assert task.model.trunk.stem.weight.grad is not None
