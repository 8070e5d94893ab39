"""`fastsvc train SINGERS/`: from songs to an engine, its parts and its errors; the trainings here take a few steps."""

import json
import shutil

import engines
import numpy as np
import pytest
import torch
from song_folders import tone, write

from fastsvc.artifact import engine_folder
from fastsvc.build.passes import fold
from fastsvc.build.passes.lower import lower
from fastsvc.config import from_dict
from fastsvc.data.corpus import Corpus
from fastsvc.engine import Engine
from fastsvc.errors import AudioError, EngineError
from fastsvc.recipe import base, own, run, songs, stages, state
from fastsvc.recipe.unfold import unfold
from fastsvc.training import checkpoint
from fastsvc.training.paired.task import PairedTask


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return engines.build_engine(tmp_path_factory.mktemp("base"), target="cpu")


@pytest.fixture
def few_seconds(monkeypatch):
    monkeypatch.setattr(songs, "LEAST_S", 3.0)


def one_singer(folder, count=5):
    for song in range(count):
        write(folder / f"song{song}.wav", tone(1.5, 24000, 200.0 + 20 * song), 24000)
    return folder


def test_an_engines_network_comes_back_as_one_that_lowers_to_the_same(engine):
    found = engine_folder.Artifact(engine)
    stored, manifest = found.tensors(engine_folder.WEIGHTS), found.manifest
    config, levels = manifest.acoustic, manifest.sampling.levels
    weights = {k: v.double() for k, v in unfold(stored, config, levels).items()}
    layers = config.denoiser.layers
    folded = {**fold.fold_condition(weights, config), **fold.fold_layers(weights, layers)}
    folded |= {**fold.fold_skips(weights, layers), "steps": fold.step_vectors(weights, config, levels)}
    again = lower(folded, layers)
    assert set(again) == set(stored)
    for name, value in again.items():
        bound = 1e-3 if name == "steps.vectors" else 1e-6  # solved with a small ridge
        torch.testing.assert_close(value, stored[name].float(), rtol=0, atol=bound * float(stored[name].abs().max()))


def test_an_engine_of_one_step_can_be_unfolded(tmp_path):
    """Its one level leaves the projections of the step without a direction."""
    from fastsvc import build

    student = engines.native(tmp_path / "student.pt", "student", engines.ACOUSTIC)
    found = engine_folder.Artifact(
        build.compile(student, tmp_path / "one.fsvc", steps=(1,), target="cpu", progress=None)
    )
    config, levels = found.manifest.acoustic, found.manifest.sampling.levels
    weights = unfold(found.tensors(engine_folder.WEIGHTS), config, levels)
    again = fold.step_vectors({k: v.double() for k, v in weights.items()}, config, levels)
    assert len(levels) == 1 and all(bool(torch.isfinite(value).all()) for value in weights.values())
    torch.testing.assert_close(again.float(), found.tensors(engine_folder.WEIGHTS)["steps.vectors"].float())


def test_a_singer_of_silence_is_named_before_the_training(tmp_path, few_seconds, engine):
    one_singer(tmp_path / "songs" / "me")
    for song in range(3):
        write(tmp_path / "songs" / "ghost" / f"{song}.wav", np.zeros(48000), 24000)
    options = {"minutes": 1, "engine": engine, "device": "cpu", "say": lambda line: None, "quiet": True}
    for _ in range(2):  # a budget in whole minutes can be asked for again
        with pytest.raises(AudioError, match="no recording of ghost can be used"):
            run.train(tmp_path / "songs", tmp_path / "both.fsvc", **options)
    assert not (tmp_path / "both.training" / "student").exists()


def test_only_a_whole_engine_is_a_base(tmp_path, engine):
    student = engines.native(tmp_path / "student.pt", "student", engines.ACOUSTIC)
    from fastsvc import build

    bare = build.compile(student, tmp_path / "bare.fsvc", steps=(1,), target="cpu", progress=None)
    with pytest.raises(EngineError, match="has no vocoder and no content"):
        base.check(bare)
    assert base.check(engine).manifest.speakers == engines.SPEAKERS
    cut = shutil.copytree(engine, tmp_path / "cut.fsvc")
    (cut / "vocoder.safetensors").unlink()
    with pytest.raises(EngineError, match="vocoder"):
        base.check(cut)


@pytest.mark.slow
def test_from_songs_to_an_engine_through_every_interruption(tmp_path, monkeypatch, few_seconds, engine):
    """A failure in each stage, as after a kill; the same call continues, and nothing finished is done again."""
    said, failing = [], ["prepare", "student", "build"]
    folder = one_singer(tmp_path / "Ärwin")
    (folder / "torn.wav").write_bytes(b"RIFF")
    monkeypatch.setattr(stages, "PREVIEWS_S", (0.5, 0.5))
    real = run._stage

    def stage(current, one, progress, estimate):
        if failing and one.name == failing[0]:
            failing.pop(0)
            if one.name == "student":  # in the middle: after its first preview
                plain = stages.Previews.write
                monkeypatch.setattr(stages.Previews, "write", killed(plain, monkeypatch))
                return real(current, one, progress, estimate)
            raise MemoryError("killed")
        return real(current, one, progress, estimate)

    monkeypatch.setattr(run, "_stage", stage)
    out = tmp_path / "voice.fsvc"
    options = {"minutes": 0.15, "engine": engine, "device": "cpu", "say": said.append, "quiet": True}
    for _ in range(3):
        with pytest.raises(MemoryError):
            run.train(folder, out, **options)
    result = run.train(folder, out, **options)
    assert result["hint"].endswith(f"--budget 0.15min --device cpu --base {engine}")  # all that the request holds
    assert result["finished"] and not failing and result["singers"] == ["Ärwin"]
    assert run.train(folder, out, **options)["finished"]  # once more: nothing is left to do
    built = Engine.open(out, "cpu")
    assert built.speakers == ("Ärwin",)
    audio, _ = built.convert(tone(1.0, 24000).astype(np.float32), 24000, "Ärwin")
    assert np.isfinite(audio).all() and np.abs(audio).max() > 0
    stored = json.loads((tmp_path / "voice.training" / state.FILE).read_text())
    assert stored["done"] == ["prepare", "student", "build"]
    previews = {path.name.split("-")[0] for path in (tmp_path / "voice.training" / "previews").glob("*.wav")}
    assert {"student", "true", "engine.wav"} <= previews
    assert any("torn.wav" in line and line.startswith("not used") for line in said)
    assert any(" in all: prepare " in line and "student" in line for line in said)
    history = [json.loads(line)["step"] for line in (tmp_path / "voice.training/student/history.jsonl").open()]
    assert history == sorted(history)


def killed(plain, monkeypatch):
    def write(self, step, samples):
        plain(self, step, samples)
        monkeypatch.setattr(stages.Previews, "write", plain)
        raise MemoryError("killed")

    return write


@pytest.mark.long
def test_the_student_starts_as_the_base_and_new_singers_as_its_mean(tmp_path, few_seconds, engine):
    current = stages.Run(tmp_path, tmp_path / "x.fsvc", songs.look(one_singer(tmp_path / "me")), None, print)
    current.state = state.State(str(tmp_path / "me"), "", 1.0, str(engine), "cpu")
    assert stages.Prepare().run(current)
    task = stages.Training()._task(current) | {"method": "paired", "valid_crops": 2, "valid_frames": 16}
    student = PairedTask(task, Corpus(tmp_path / "corpus"), "cpu", batch_size=2, batch_frames=16)
    assert student.speakers == [*engines.SPEAKERS, "me"] and student.rows_without_songs == [0, 1, 2]
    stored = checkpoint.load(tmp_path / base.NETWORK)["ema"]
    table = student.model.condition.spk_embed.weight
    torch.testing.assert_close(table[:3], stored["condition.spk_embed.weight"])
    torch.testing.assert_close(table[3], stored["condition.spk_embed.weight"].mean(0))
    torch.testing.assert_close(student.model.denoiser.state_dict()["mlp.0.weight"], stored["denoiser.mlp.0.weight"])
    minutes = sum(item.frames for item in student.others.items) * student.corpus.mel.hop_samples / 60
    assert 4 < minutes / student.corpus.mel.rate_hz < run.PHRASES_MINUTES  # all of the package's phrases


def test_an_engine_of_ones_own_singers_alone_computes_the_same(tmp_path):
    source = engines.native(tmp_path / "student.pt", "student", engines.ACOUSTIC)
    content = torch.load(source, weights_only=True)
    torch.save({**content, "ema": content["model"]}, source)
    own.write(source, tmp_path / "one.pt", ["Bert"])
    own.write(source, tmp_path / "two.pt", ["Cleo", "Ada"])
    features = torch.randn(1, 5, 6), torch.full((1, 5), 200.0), torch.rand(1, 5)
    voiced = torch.ones(1, 5)

    def condition(path, row):
        from fastsvc.model.acoustic import AcousticModel

        content = checkpoint.load(path)
        model = AcousticModel(from_dict(type(engines.ACOUSTIC), content["config"]["model"]))
        model.load_state_dict(content["ema"])
        return model.condition(*features, torch.tensor([row]), voiced=voiced), content

    whole, _ = condition(source, 1)
    alone, content = condition(tmp_path / "one.pt", 0)
    torch.testing.assert_close(alone, whole)
    assert content["speakers"] == ["Bert"] and content["speaker_f0_hz"] == [220.0]
    torch.testing.assert_close(condition(tmp_path / "two.pt", 0)[0], condition(source, 2)[0])


def test_a_singer_of_one_long_recording_is_split_by_pieces(tmp_path):
    from fastsvc.data.prepare import prepare

    write(tmp_path / "songs" / "a.wav", np.concatenate([tone(2.0, 16000)] * 6), 16000)
    for pieces, splits in ((True, {"train", "valid"}), (False, {"train"})):
        out = tmp_path / f"out{pieces}"
        prepare(
            tmp_path / "songs", out, singer="me", split_pieces=pieces, test=0, max_seconds=2, jobs=1, progress=False
        )
        items = json.loads((out / "corpus.json").read_text())["items"]
        assert {item["split"] for item in items} == splits and {item["singer"] for item in items} == {"me"}


@pytest.mark.slow
@pytest.mark.long
def test_two_singers_are_converted_to_each_other(tmp_path, few_seconds, engine):
    said = []
    for singer in ("me", "you"):
        one_singer(tmp_path / "songs" / singer)
    options = {"minutes": 0.2, "engine": engine, "device": "cpu", "say": said.append, "quiet": True}
    assert run.train(tmp_path / "songs", tmp_path / "both.fsvc", **options)["finished"]
    built = engine_folder.Artifact(tmp_path / "both.fsvc").manifest
    assert built.speakers == ("me", "you") and built.source.kind == "student"
    assert set(built.sampling.schedules) == {1}
    assert "conversion: 0.25" in (tmp_path / "both.training" / "student.yaml").read_text()
    assert any("converted" in line for line in said if line.startswith("preview"))
