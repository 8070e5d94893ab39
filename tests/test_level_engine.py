"""Whole conversions are as loud as their recordings: through small engines, batches and the demo voices."""

from pathlib import Path

import engines
import numpy as np
import pytest
from recordings import put
from test_level import db, down, parts, voice

import fastsvc
from fastsvc.artifact.bundled import VOICES
from fastsvc.audio import io
from fastsvc.convert import batch
from fastsvc.convert.plan import plan
from fastsvc.engine.request import Request

SINGING = Path(__file__).parent.parent / "examples" / "recordings" / "singing"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """An engine of random weights: what it sings has nothing to do with what it hears, loudness least of all."""
    return fastsvc.load(engines.build_engine(tmp_path_factory.mktemp("engine")), device="cpu")


@pytest.mark.slow
def test_an_engine_follows_at_any_rate_and_leaves_1_alone(small):
    given = voice(44100, [down(0), down(24), 0.0])
    for out_hz in (44100, 16000):
        made, _ = small.convert(given, 44100, "Ada", rate_out_hz=out_hz)
        own, _ = small.convert(given, 44100, "Ada", rate_out_hz=out_hz, rms_mix_rate=1.0)
        loud, soft, rest = parts(made, 3)
        assert len(made) == len(own) == 3 * out_hz
        assert abs(db(loud, soft) - 24) < 1 and abs(db(made) - db(given)) < 0.5 and not rest.any()
        assert abs(db(*parts(own, 3)[:2]) - 24) > 6 and parts(own, 3)[2].any()
    heard = small.extract(given, 44100, Request("Ada", rms_mix_rate=1.0))
    (output,) = small.synthesise_many([heard], Request("Ada"))
    own, _ = small.convert(given, 44100, "Ada", rms_mix_rate=1.0)
    np.testing.assert_array_equal(small.join(output, *heard.output_spec), own)
    assert small.convert(given[:1], 44100, "Ada")[0].shape == (1,)
    assert not small.convert(np.zeros(3000, np.float32), 44100, "Ada")[0].any()


def test_a_batch_keeps_the_balance_of_its_channels(small, tmp_path):
    audio = np.stack([voice(24000, [down(0), down(24)]), voice(24000, [down(12), down(12)], hz=180.0)])
    put(tmp_path / "in" / "a.wav", audio)
    settings = batch.ConversionSettings(Request("Ada"), keep_channels=True)
    report = batch.run(small, plan([tmp_path / "in"], tmp_path / "out"), settings)
    assert report.count(batch.DONE) == 1, report.entries
    made, _ = io.read(tmp_path / "out" / "a.wav")
    for got, came in zip(made, audio, strict=True):
        for one, other in zip(parts(got, 2), parts(came, 2), strict=True):
            assert abs(db(one) - db(other)) < 1


@pytest.mark.slow
@pytest.mark.long
def test_the_demo_voices_are_as_loud_as_what_they_sing():
    """The figures of issue 14 on a recording: steps, a click, the whole, rests."""
    engine = fastsvc.load(VOICES, device="cpu")
    verse, rate_hz = io.read(SINGING / "viktor.wav")
    verse = verse[0, : 3 * rate_hz]

    def converted(audio, **options):
        return engine.convert(audio.astype(np.float32), rate_hz, "slt", transpose="auto", **options)[0]

    rest = np.zeros(rate_hz, np.float32)
    for step in (24, 30):
        song = np.concatenate([verse, down(step) / 0.1 * verse, rest, verse])
        loud, soft = (slice(i * len(verse), (i + 1) * len(verse)) for i in range(2))
        made = converted(song)
        assert abs(db(made[loud], made[soft]) - step) < 1, step
        assert abs(db(made, song)) < 0.5 and not made[soft.stop + 1200 : soft.stop + rate_hz - 1200].any()
        own = converted(song, rms_mix_rate=1.0)
        assert db(own[loud], own[soft]) < step - 5 and db(own, song) < -1
    quiet = 0.03 * verse / np.abs(verse).max()
    clicked, away = quiet.copy(), np.ones(len(quiet), bool)
    clicked[len(quiet) // 3] = 1.0
    away[len(quiet) // 3 - 2400 : len(quiet) // 3 + 2400] = False
    made = [converted(one)[away] for one in (quiet, clicked)]
    assert abs(db(*made)) < 0.5 and abs(db(made[0], quiet[away])) < 0.5
    noisy = np.concatenate([verse, rest, verse])
    noisy = noisy + 10 ** (-60 / 20) * np.random.default_rng(0).standard_normal(len(noisy)).astype(np.float32)
    middle = slice(len(verse), len(verse) + rate_hz)
    assert db(converted(noisy)[middle], noisy[middle]) < 0.5
