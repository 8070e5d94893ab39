"""An engine whose vocoder has speakers: each request's voice, or mixture of voices, reaches the vocoder, too."""

import json
from dataclasses import replace

import engines
import interpreted
import pytest
import torch
from gpu_pairs import AUDIO, close, told

from fastsvc.build.passes import measure
from fastsvc.engine import Engine, synthesis
from fastsvc.engine.conversion import OutputSpec, RecordingFeatures, checked_features
from fastsvc.engine.request import Request
from fastsvc.errors import EngineError
from fastsvc.model import vocoders

CONFIG = replace(engines.VOCODER, speakers=len(engines.SPEAKERS))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("engine")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "SECONDS_OF_AUDIO", {"denoiser": 0.1, "vocoder": 0.01})
        vocoder = engines.native(path / "with_speakers.pt", "vocoder", CONFIG)
        return engines.build_engine(path, precision="fp32", target="cpu", vocoder=vocoder)


def test_each_request_has_its_own_voice(folder):
    engine = Engine.open(folder, "cpu")
    table = engine.synthesiser.speakers
    assert table.shape == (3, CONFIG.initial_channels)
    given = told(20)
    for speaker, vector in (("Cleo", table[2]), ({"Ada": 1, "Bert": 3}, 0.25 * table[0] + 0.75 * table[1])):
        audio, mel = engine.synthesise(*given, speaker, 1, seed=4)
        close(audio, engine.synthesiser(mel, given[1], 4, speaker=vector), AUDIO)
        assert (audio - engine.synthesiser(mel, given[1], 4, speaker=table[0])).abs().max() > 1e-2
        place = OutputSpec(1, 24000, 24000, 1.0)
        recording = RecordingFeatures(checked_features(engine, *given, None), 0.0, place)
        for together in synthesis.synthesise_many(engine, [recording, recording], Request(speaker, steps=1, seed=4)):
            close(torch.from_numpy(together), audio, AUDIO)


@pytest.mark.skipif(torch.cuda.is_available(), reason="the interpreter is not used where there is a GPU")
def test_a_gpu_engine_checks_itself_and_takes_the_same_voices(folder, monkeypatch):
    pytest.importorskip("triton")
    interpreted.prepare(monkeypatch)
    cpu, gpu = Engine.open(folder, "cpu"), interpreted.engine(folder)
    given = told(20)
    for speaker in ("Bert", {"Ada": 0.5, "Cleo": 0.5}):
        want, got = (engine.synthesise(*given, speaker, 1, seed=4) for engine in (cpu, gpu))
        close(got[0], want[0], AUDIO)
    gpu.synthesiser.warm_up([20])


def test_a_table_of_other_speakers_is_refused(folder):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["vocoder"]["config"]["speakers"] = 4
    with pytest.raises(EngineError, match="vocoder.config.speakers of 4, but acoustic.speakers is 3"):
        changed = folder.with_name("changed.fsvc")
        changed.mkdir()
        (changed / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        Engine.open(changed, "cpu")


def test_a_vector_is_a_mixture_of_rows():
    table = torch.randn(3, 8).half()
    assert torch.equal(vocoders.speaker_vector(table, {1: 1.0}), table[1].float())
    want = 0.2 * table[0].float() + 0.8 * table[2].float()
    assert torch.allclose(vocoders.speaker_vector(table, {0: 0.2, 2: 0.8}), want)
