"""Units from other throats in the paired student's training, and its listeners."""

import json

import numpy as np
import pytest
import torch
from test_paired import corpus, settings, task_of, teacher  # noqa: F401  (fixtures)
from toy_corpus import MEL, make

from fastsvc.audio.mel import log_mel
from fastsvc.config import MelConfig, RecogniserConfig, to_dict
from fastsvc.data.corpus import Corpus
from fastsvc.data.units import describe
from fastsvc.errors import CheckpointError, ConfigError
from fastsvc.features.content import RecogniserEncoder
from fastsvc.model.recogniser import Recogniser
from fastsvc.training import checkpoint
from fastsvc.training.paired.disguise import PLAIN, Disguise, DisguiseSettings

OWN_MEL = MelConfig(rate_hz=16000, hop_samples=160, fft_samples=512, window_samples=400, bins=20, high_hz=8000.0)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A small recogniser with three units, as the toy corpus has, and its checkpoint."""
    torch.manual_seed(3)
    config = RecogniserConfig(mel=OWN_MEL, phones=("<blank>", "a"), channels=16, layers=2, bottleneck=3)
    model = Recogniser(config).eval()
    path = tmp_path_factory.mktemp("encoder") / "content.pt"
    state = model.state_dict()
    common = {"speakers": [], "speaker_f0_hz": [], "model": state, "ema": state}
    checkpoint.save(path, kind="recogniser", step=1, config={"model": to_dict(config)}, **common)
    return path, RecogniserEncoder(config, state)


@pytest.fixture(scope="module")
def heard(encoder, tmp_path_factory):
    """The toy corpus with that encoder's units."""
    plain = make(tmp_path_factory.mktemp("heard") / "toy")
    described = json.loads((plain.path / "corpus.json").read_text())
    described["encoder"] = describe(encoder[1])
    described["features"]["unit_channels"] = 3
    described["features"]["unit_align"] = "hops"
    (plain.path / "corpus.json").write_text(json.dumps(described))
    for path in (plain.path / "items").iterdir():
        arrays = dict(np.load(path))
        units = encoder[1].encode(arrays["audio"].astype(np.float32) / 32768)
        np.savez(
            path, **(arrays | {"units": units.numpy().astype(np.float16), "units_hash": described["encoder"]["hash"]})
        )
    return Corpus(plain.path)


def worn(heard, encoder, seed: int = 0, **options):
    disguise = Disguise(DisguiseSettings(content=str(encoder[0]), **options), heard)
    raw = heard.batch(np.random.default_rng(0), "train", 6, 96)
    crop = {"units": raw["units"].float(), "mel": log_mel(raw["audio"], MEL)}
    return crop, disguise.worn(crop, raw["audio"], heard, np.random.default_rng(seed))


def test_a_share_of_the_crops_is_heard_through_other_throats(heard, encoder):
    crop, out = worn(heard, encoder, share=1.0)
    assert torch.equal(out[PLAIN], crop["units"]) and torch.equal(out["mel"], crop["mel"])
    moved = (out["units"] - crop["units"]).abs().mean((1, 2))
    assert out["units"].shape == crop["units"].shape and bool((moved > 1e-3).all())
    assert not torch.equal(out["units"], worn(heard, encoder, seed=1, share=1.0)[1]["units"])
    assert torch.equal(out["units"], worn(heard, encoder, share=1.0)[1]["units"])
    some = worn(heard, encoder, share=0.5)[1]
    changed = (some["units"] != some[PLAIN]).flatten(1).any(1)
    assert 0 < int(changed.sum()) < 6


def test_a_disguise_of_nothing_gives_the_units_of_the_recording_in_time_with_the_mel(heard, encoder):
    """Units lie where `prepare` puts them: a move by one frame would be seen."""
    still = {"gain_db": [0, 0], "equaliser_db": 0, "tilt_db": 0, "band_limit": 0, "noise": 0, "reverb": 0}
    still |= {"codec": 0, "warp": [1, 1], "pitch": [1, 1], "bend": 0, "contrast": [1, 1]}
    from fastsvc.config import from_dict

    options = from_dict(DisguiseSettings, {"content": str(encoder[0]), "share": 1.0, "throat": still})
    raw = heard.batch(np.random.default_rng(0), "train", 6, 96)
    out = Disguise(options, heard).worn({"units": raw["units"].float()}, raw["audio"], heard, np.random.default_rng(0))
    inside = slice(8, -8)  # beyond, the encoder read the recording's neighbours
    same = (out["units"] - out[PLAIN])[:, inside].abs().mean()
    moved = (out["units"][:, 1:] - out[PLAIN][:, :-1])[:, inside].abs().mean()
    assert float(same) < 0.2 * float(moved)


def test_conversions_in_disguise_are_held_to_what_plain_units_say(heard, encoder, teacher, monkeypatch):  # noqa: F811
    options = {"conversion": 0.5, "others": str(heard.path), "others_share": 0.5}
    task = task_of(heard, _of(heard, teacher), disguise={"content": str(encoder[0]), "share": 1.0}, **options)
    task.progress, asked, plain = 0.5, {}, task.made
    monkeypatch.setattr(
        task, "made", lambda batch, choice, model=None: (asked.update({model: batch}), plain(batch, choice, model))[1]
    )
    batch = task.batch(np.random.default_rng(0))
    assert "audio" not in batch and "others_audio" not in batch
    assert all(bool(torch.isfinite(value).all()) for value in task._student_loss(batch, 0)[1].values())
    mixed = task._mixed(batch)
    assert torch.equal(asked[task.before]["units"], mixed[PLAIN][mixed["other"]])
    assert not torch.equal(asked[None]["units"], mixed[PLAIN])


def _of(heard, teacher):  # noqa: F811
    """The teacher, said to be of the corpus's encoder."""
    content = checkpoint.load(str(teacher), "teacher")
    content["config"]["train"] = dict(content["config"].get("train") or {}, encoder=heard.encoder["hash"])
    path = heard.path / "teacher.pt"
    torch.save(content, path)
    return path


def test_what_a_disguise_refuses(corpus, heard, encoder, teacher):  # noqa: F811
    with pytest.raises(ConfigError, match="no content encoder"):
        DisguiseSettings(share=0.5)
    with pytest.raises(ConfigError, match="leave tempo at 1"):
        task_of(corpus, teacher, disguise={"content": "x.pt", "share": 0.5, "throat": {"tempo": [0.9, 1.1]}})
    with pytest.raises(ConfigError, match="did not make the units"):
        task_of(corpus, teacher, disguise={"content": str(encoder[0]), "share": 0.5})
    with pytest.raises(CheckpointError, match="not a recogniser"):
        task_of(corpus, teacher, disguise={"content": str(teacher), "share": 0.5})
    with pytest.raises(ConfigError, match="is not to be held"):
        task_of(corpus, teacher, new_encoder=True)
    for kind in ("phones", "pitch", "singer"):
        with pytest.raises(ConfigError, match=f"no task.listeners.{kind}"):
            task_of(corpus, teacher, losses={kind: {"weight": 1.0}})


def test_listeners_pull_towards_the_pitch_and_the_singer(corpus, teacher, tmp_path):  # noqa: F811
    from fastsvc.config import PitchConfig, VerifierConfig
    from fastsvc.model.pitch import PitchNet
    from fastsvc.model.verifier import Verifier

    torch.manual_seed(1)
    paths = {}
    for kind, config, network in (
        ("pitch", PitchConfig(mel=MEL, channels=8, layers=2), PitchNet),
        ("singer", VerifierConfig(mel=MEL, channels=8, layers=1, embedding=4, singers=("low", "high")), Verifier),
    ):
        state, paths[kind] = network(config).state_dict(), str(tmp_path / f"{kind}.pt")
        common = {"speakers": [], "speaker_f0_hz": [], "model": state, "ema": state}
        checkpoint.save(paths[kind], kind=kind, step=1, config={"model": to_dict(config)}, **common)
    now = {"weight": 1.0, "start": 0.0, "ramp": 0.0}
    task = task_of(corpus, teacher, conversion=0.5, listeners=paths, losses={"pitch": now, "singer": now})
    batch = task.batch(np.random.default_rng(0))
    mixed = task._mixed(batch)
    x = torch.randn(4, 32, 24, requires_grad=True)
    values = task._values(mixed, x, task.model.normalise(batch["mel"]))
    assert {"pitch", "singer"} <= set(values)
    for name in ("pitch", "singer"):
        pull = torch.autograd.grad(values[name], x, retain_graph=True)[0].abs().sum((1, 2))
        assert bool((pull > 0).all()), name  # conversions, too
    higher = mixed | {"f0_hz": mixed["f0_hz"] * 2}
    again = task._values(higher, x, task.model.normalise(batch["mel"]))
    assert float(again["pitch"].detach()) != pytest.approx(float(values["pitch"].detach()), rel=1e-2)
    assert "pitch" in task._student_loss(batch, 0)[1]
    assert settings(teacher)["method"] == "paired"


def test_the_ear_hears_a_recordings_phones_in_the_corpus_s_mel(heard, encoder, teacher):  # noqa: F811
    """What it hears in the mel of 24 bins is what the encoder hears in its own, up to the map's error."""
    from fastsvc.training.paired import phones

    ear = phones.Ear(str(encoder[0]), heard)
    raw = heard.batch(np.random.default_rng(1), "train", 4, 96)
    mel, valid = log_mel(raw["audio"], MEL), torch.ones(4, 96)
    with torch.no_grad():
        logits, inside = ear(mel, valid)
        own = encoder[1].model(log_mel(raw["audio"], OWN_MEL))[1]
        other = encoder[1].model(log_mel(raw["audio"].flip(0), OWN_MEL))[1]
    assert logits.shape == own.shape and bool((inside == 1).all())
    assert float((logits - own).abs().mean()) < 0.3 * float((other - own).abs().mean())
    ear.step = 0.9375  # of an encoder with 100 frames a second, where the corpus has 93.75
    ramp = ear._in_time(torch.arange(75.0)[None, :, None])[0, :, 0]
    torch.testing.assert_close(ramp, (0.9375 * (torch.arange(80) + 0.5) - 0.5).clamp(0, 74))
    ear.step = 1.0
    moved = mel.roll(2, dims=2)
    assert float(phones.divergence(ear, mel, mel, valid)) < 1e-6 < float(phones.divergence(ear, moved, mel, valid))
    half = valid.clone()
    half[:, 48:] = 0
    noisy = torch.where(half[..., None] > 0, moved, 50.0)
    padded = torch.where(half[..., None] > 0, moved, 0.0)
    assert torch.equal(phones.divergence(ear, noisy, mel, half), phones.divergence(ear, padded, mel, half))
    now = {"weight": 1.0, "start": 0.0, "ramp": 0.0}
    path = _of(heard, teacher)
    task = task_of(heard, path, conversion=0.5, listeners={"phones": str(encoder[0])}, losses={"phones": now})
    batch = task.batch(np.random.default_rng(0))
    mixed, x = task._mixed(batch), torch.randn(4, 32, 24, requires_grad=True)
    value = task._values(mixed, x, task.model.normalise(batch["mel"]))["phones"]
    assert bool((torch.autograd.grad(value, x)[0].abs().sum((1, 2)) > 0).all())  # conversions, too
    assert "pull_phones" in task._student_loss(batch, 0)[1]


def test_a_student_goes_on_with_another_encoder_s_units(heard, encoder, teacher, tmp_path):  # noqa: F811
    """Refused without `new_encoder`; with it the checkpoint names the corpus's encoder, and can be resumed."""
    from teachers import write_config

    from fastsvc.training import run

    content = checkpoint.load(str(teacher), "teacher")
    content["config"]["train"] = dict(content["config"].get("train") or {}, encoder="another")
    torch.save(content, tmp_path / "teacher.pt")
    with pytest.raises(ConfigError, match="another encoder"):
        task_of(heard, tmp_path / "teacher.pt")
    task = settings(tmp_path / "teacher.pt", new_encoder=True, losses={"hold": {"weight": 0.0}})
    common = {"validate_every": 2, "batch": {"size": 2, "frames": 32}, "task": task, "out": str(tmp_path / "run")}
    run("student", write_config(tmp_path / "a.yaml", heard, steps=2, **common))
    held = checkpoint.load(tmp_path / "run" / "last.pt", "student")
    assert held["config"]["train"]["encoder"] == heard.encoder["hash"]
    run("student", write_config(tmp_path / "b.yaml", heard, steps=3, **common), resume=True)
    assert checkpoint.load(tmp_path / "run" / "last.pt", "student")["step"] == 3
    task_of(heard, tmp_path / "run" / "last.pt")  # its units are the corpus's from now on


def test_scales_of_a_run_that_knew_fewer_losses_are_kept(corpus, teacher):  # noqa: F811
    task = task_of(corpus, teacher)
    held = {"norms": torch.arange(8.0, dtype=torch.float64).view(4, 2), "count": torch.tensor([1, 2, 3, 4])}
    task.balance.load_state_dict(held)
    assert torch.equal(task.balance.norms[:4], torch.arange(8.0, dtype=torch.float64).view(4, 2))
    assert task.balance.count.tolist() == [1, 2, 3, 4, 0, 0, 0]


def test_a_held_out_encoder_is_no_listener(heard, encoder, tmp_path):
    from fastsvc.training.paired import phones

    content = checkpoint.load(str(encoder[0]), "recogniser")
    content["config"]["train"] = {"task": {"held_out": True}}
    torch.save(content, tmp_path / "twin.pt")
    with pytest.raises(CheckpointError, match="held out"):
        phones.Ear(str(tmp_path / "twin.pt"), heard)
    content["ema"].pop("head.weight")
    torch.save(content, tmp_path / "torn.pt")
    with pytest.raises(CheckpointError, match=r"head\.weight"):
        phones.Ear(str(tmp_path / "torn.pt"), heard)


def test_discriminators_compute_in_bfloat16_where_the_training_does_and_never_in_float16(corpus, teacher, monkeypatch):  # noqa: F811
    task = task_of(corpus, teacher)
    x, valid, singer, kinds = torch.randn(2, 20, 24), torch.ones(2, 20), torch.tensor([0, 1]), []
    layer = task.judges.judges[0].layers[0]
    layer.register_forward_hook(lambda module, given, made: kinds.append(made.dtype))
    for dtype in (None, torch.bfloat16, torch.float16):
        with torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None):
            scores, activations = task._judged(x, {"valid": valid, "singer": singer})
        assert all(one.dtype == torch.float32 for one in (*scores, *activations))
    assert kinds == [torch.float32, torch.bfloat16, torch.float32]
