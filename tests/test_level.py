"""What goes in is as loud as what comes out: over time, over all, in rests, with clicks and at full scale.

A model is stood in for by another voice that compresses: everything at the 0.4th power of its loudness, 6 dB too soft,
with hiss throughout. Left as it is, a step of 30 dB becomes one of 12.
"""

import tracemalloc

import numpy as np
import pytest

from fastsvc.audio import envelope
from fastsvc.audio.resample import resample
from fastsvc.engine import extraction
from fastsvc.engine.level import LoudnessProfile

HISS = 10 ** (-50 / 20)


def db(a, b=1.0) -> float:
    """How much louder a is than b, both audio, or b a number."""
    a, b = (np.sqrt(np.mean(np.square(x, dtype=np.float64))) for x in (a, b))
    return float(20 * np.log10(max(a, 1e-12) / max(b, 1e-12)))


def voice(rate_hz: int, levels, part_s: float = 1.0, hz: float = 220.0) -> np.ndarray:
    """A sung note with vibrato, as loud as each of ``levels`` (RMS, 0: a rest) for part_s seconds."""
    time = np.arange(round(len(levels) * part_s * rate_hz)) / rate_hz
    phase = 2 * np.pi * hz * time + 3 * np.sin(2 * np.pi * 5.5 * time)
    note = sum(np.sin(k * phase + k * k) / k for k in range(1, 12))
    loud = np.repeat(np.asarray(levels, np.float64), round(part_s * rate_hz))[: len(time)]
    return (note / np.sqrt(np.mean(note**2)) * loud).astype(np.float32)


def compressed(rate_hz: int, levels, part_s: float = 1.0, hz: float = 330.0) -> np.ndarray:
    """What the model makes of it."""
    made = voice(rate_hz, [0.5 * 0.1 * (level / 0.1) ** 0.4 if level else 0.0 for level in levels], part_s, hz)
    return made + (HISS * np.random.default_rng(0).standard_normal(len(made))).astype(np.float32)


def parts(audio, count: int, margin: float = 0.06) -> list[np.ndarray]:
    """Each part without its ends."""
    size = len(audio) // count
    cut = int(margin * size)
    return [audio[i * size + cut : (i + 1) * size - cut] for i in range(count)]


def down(decibel: float) -> float:
    return 0.1 * 10 ** (-decibel / 20)


LEVELS = [down(0), down(24), 0.0, down(0), down(30), down(6)]


@pytest.mark.parametrize("rate_hz, out_hz", [(24000, 24000), (44100, 24000), (11025, 48000), (48000, 1000)])
def test_steps_rests_and_the_whole(rate_hz, out_hz):
    given, made = voice(rate_hz, LEVELS), compressed(out_hz, LEVELS, hz=33.0 if out_hz == 1000 else 330.0)
    before = parts(made, 6)
    assert db(before[0], before[4]) < 13 and db(made, given) < -5  # what there is to mend
    followed = LoudnessProfile.of(given, rate_hz, 0.0).follow(made.copy(), out_hz)
    assert followed.dtype == np.float32 and len(followed) == len(made)
    now = parts(followed, 6)
    for part, level in zip(now, LEVELS, strict=True):
        if level:
            assert abs(db(now[0], part) - 20 * np.log10(0.1 / level)) < 0.7
    assert not now[2].any()  # the rest was silent
    assert abs(db(followed, given)) < 0.3


@pytest.mark.parametrize("floor_db", [-40, -60, -80])
def test_rests_are_never_louder_than_they_came(floor_db):
    """From 20 dB below the voice down, the first and last moments included; what is silent stays so in a mix, too."""
    given = voice(24000, LEVELS)
    given += (10 ** (floor_db / 20) * np.random.default_rng(1).standard_normal(len(given))).astype(np.float32)
    loud_hiss = compressed(24000, LEVELS)
    loud_hiss += (10 ** (-35 / 20) * np.random.default_rng(2).standard_normal(len(given))).astype(np.float32)
    for mix in (0.0, 0.25) if floor_db == -80 else (0.0,):
        followed = LoudnessProfile.of(given, 24000, mix).follow(loud_hiss.copy(), 24000)
        rest, came, untouched = (parts(x, 6, 0.0)[2] for x in (followed, given, loud_hiss))
        assert db(untouched, came) > 4
        assert db(rest, came) < 0.5


def test_the_mix_is_rvcs():
    """ratio ** (1 − mix) of the two loudnesses; at 1 nothing is done."""
    levels = [down(0), down(20)]
    given, made = voice(24000, levels), compressed(24000, levels)
    steps = {}
    for mix in (0.0, 0.25, 0.5, 0.75):
        first, second = parts(LoudnessProfile.of(given, 24000, mix).follow(made.copy(), 24000), 2)
        steps[mix] = db(first, second)
    own = db(*parts(made, 2))
    for mix, step in steps.items():
        assert abs(step - ((1 - mix) * 20 + mix * own)) < 0.3 and own < 9
    assert LoudnessProfile.of(given, 24000, 1.0) is None


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("many", [1, 25])
def test_clicks_change_nothing_else(samples, many):
    levels = [down(30), down(30), 0.0, down(36)]
    given, made = voice(24000, levels), compressed(24000, levels)
    clicked, burst, at = given.copy(), made.copy(), np.linspace(3000, len(given) - 3000, many).astype(int)
    for place in at:
        clicked[place : place + samples] = 1.0
        burst[place : place + 1200] += (0.1 * np.random.default_rng(3).standard_normal(1200)).astype(np.float32)
    plain = LoudnessProfile.of(given, 24000, 0.0).follow(made.copy(), 24000)
    followed = LoudnessProfile.of(clicked, 24000, 0.0).follow(burst.copy(), 24000)
    away = np.ones(len(given), bool)
    for place in at:
        away[max(place - 1200, 0) : place + 2400] = False
    assert db(clicked, given) > 3 and db(burst, made) > 3
    assert abs(db(followed[away], plain[away])) < 0.5
    bumps = np.concatenate([followed[place : place + 1200] for place in at])
    assert db(bumps, voice(24000, [down(30)])) < 3
    # and the level at which the engine hears it, which one sample would turn down by 20 dB
    gains = [extraction.levelled(one, 0.95, 24000)[1] for one in (given, clicked)]
    assert gains[0] * np.abs(given).max() > 0.94 and abs(20 * np.log10(gains[1] / gains[0])) < 0.8


def test_the_burst_of_a_consonant_is_no_click():
    """A final t: silence, and 20 ms of noise; in the result, which has it 10 dB too soft, it is as it was."""
    rng, place = np.random.default_rng(6), slice(24000 + 2400, 24000 + 2400 + 480)
    given, made = voice(24000, [0.1, 0.0, 0.1]), voice(24000, [0.1, 0.0, 0.1])
    given[place] = 0.03 * rng.standard_normal(480)
    made[place] = 0.01 * rng.standard_normal(480)
    level = LoudnessProfile.of(given, 24000, 0.0)
    followed = level.follow(made.copy(), 24000)
    assert not level.clicks.any() and abs(db(followed[place], given[place])) < 3
    given[place] = 0.0
    given[place.start + 100] = 0.7  # as strong, but over at once
    level = LoudnessProfile.of(given, 24000, 0.0)
    assert level.clicks.any() and not level.follow(made.copy(), 24000)[place].any()


@pytest.mark.parametrize("hz", [40.0, 60.0, 80.0, 400.0])
def test_pulses_of_a_voice_are_no_clicks(hz):
    given, rate_hz = np.zeros(48000, np.float32), 24000
    given[(np.arange(2 * hz) * rate_hz / hz).astype(int)] = 0.5
    heard, _ = extraction.levelled(given, 0.95, rate_hz)
    assert np.abs(heard).max() == pytest.approx(0.95, rel=0.01)
    followed = LoudnessProfile.of(given, rate_hz, 0.0).follow(voice(rate_hz, [0.02, 0.02]), rate_hz)
    assert abs(db(followed, given)) < 1


def test_peaks_stay_below_full_scale_and_the_level_stays():
    """Of a recording that is normalised to full scale, and a voice whose peaks are three times as high."""
    given = voice(24000, [0.1, 0.2])
    given /= np.abs(given).max()
    made = np.zeros(48000, np.float32)
    made[::100] = 1.0
    made += 0.02 * voice(24000, [1.0, 1.0])
    wanted = np.abs(made).max() * 10 ** (db(given, made) / 20)
    followed = LoudnessProfile.of(given, 24000, 0.0).follow(made.copy(), 24000)
    assert wanted > 2 and np.abs(followed).max() <= 1.0
    made = voice(24000, [0.05, 0.1])
    made[::109] += 3.0 * np.repeat([0.05, 0.1], 24000)[::109]
    level = LoudnessProfile.of(given, 24000, 0.0)
    followed = level.follow(made.copy(), 24000)
    assert np.abs(made).max() * 10 ** (db(given, made) / 20) > 1.2
    assert np.abs(followed).max() <= 1.0 and abs(db(followed, given)) < 0.5
    beyond = LoudnessProfile.of(4 * given, 24000, 0.0).follow(
        made.copy(), 24000
    )  # files of floats may be louder than 1
    assert 1 < np.abs(beyond).max() <= 4 and abs(db(beyond, 4 * given)) < 0.5


def test_drums_do_not_raise_what_nobody_sang():
    given, made = voice(24000, [down(0), 0.0, down(0)]), voice(24000, [down(6), 0.0, down(6)])
    given[30000:40000] += 0.5 * np.random.default_rng(4).standard_normal(10000).astype(np.float32)
    made += (1e-4 * np.random.default_rng(5).standard_normal(len(made))).astype(np.float32)
    followed = LoudnessProfile.of(given, 24000, 0.0).follow(made.copy(), 24000)
    whole = db(given, made)
    assert (
        db(followed[32000:38000], made[32000:38000]) < whole + 12 + 3.1 < 45 < db(given[32000:38000], made[32000:38000])
    )


@pytest.mark.parametrize("samples", [1, 2, 9, 239, 240, 241, 2000, 2161, 5000])
def test_short_and_silent_ones(samples):
    made = compressed(24000, [0.1])[:samples].copy()
    with np.errstate(all="raise"):
        silent = LoudnessProfile.of(np.zeros(samples, np.float32), 24000, 0.0).follow(made.copy(), 24000)
        assert silent.shape == (samples,) and not silent.any()
        given = voice(24000, [0.3])[100 : 100 + samples]
        followed = LoudnessProfile.of(given, 24000, 0.0).follow(made.copy(), 24000)
        assert followed.shape == (samples,) and np.isfinite(followed).all()
        assert db(followed, given) < 1 and (samples < 2000 or abs(db(followed, given)) < 1)
        nothing = LoudnessProfile.of(given, 24000, 0.0).follow(np.zeros(samples, np.float32), 24000)
        assert not nothing.any()


def test_blocks_lie_at_the_same_times_at_every_rate():
    for rate_hz in (1000, 8000, 11025, 22050, 44100, 48000, 96001):
        for samples in (1, rate_hz // 100, rate_hz // 100 + 1, rate_hz, 3 * rate_hz + 1):
            count = envelope.blocks(samples, rate_hz)
            assert (count - 1) * rate_hz // 100 < samples <= -(-count * rate_hz // 100)
            assert len(envelope.powers(np.ones(samples, np.float32), rate_hz)) == count
    audio = voice(44100, LEVELS)
    pair = envelope.powers(audio, 44100), envelope.powers(resample(audio, 44100, 16000), 16000)
    np.testing.assert_allclose(*pair, atol=0.02 * pair[0].max())


def test_memory_is_the_curves_alone():
    assert envelope.blocks(3600 * 48000, 48000) == 360_000
    given, made = (np.tile(make(48000, LEVELS), 10) for make in (voice, compressed))
    tracemalloc.start()
    try:
        LoudnessProfile.of(given, 48000, 0.0).follow(made, 48000)
        assert tracemalloc.get_traced_memory()[1] < made.nbytes / 2
    finally:
        tracemalloc.stop()
