"""Streams: the same bits however the input is cut, one pass at the exact look-ahead, and nothing from the future."""

import os

import numpy as np
import pytest
import streams
import torch

from fastsvc.errors import AudioError, ConfigError, EngineError, SpeakerError

AS_STREAMS = {"normalise": False, "high_pass": False, "rms_mix_rate": 1, "f0_fill": "hold", "resampler": "short"}


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return streams.engine(tmp_path_factory.mktemp("stream"))


@pytest.mark.parametrize("rate_hz, steps", [(44100, 1), (24000, 2)])
def test_how_the_input_is_cut_changes_no_bit(engine, rate_hz, steps):
    audio = streams.song(1.1, rate_hz)
    sizes = np.random.default_rng(1).integers(0, 3000, 50).tolist()
    options = {"block_ms": 40, "lookahead_ms": 60, "steps": steps}
    whole = streams.pushed(engine.stream("Ada", rate_hz, **options), audio, [len(audio)])
    assert len(whole) == len(audio) and whole.dtype == np.float32 and np.abs(whole).max() > 1e-3
    for cut in ([160, 7, 1], [480], [4096], [48000], sizes):
        assert np.array_equal(streams.pushed(engine.stream("Ada", rate_hz, **options), audio, cut), whole), cut


@pytest.mark.slow
def test_single_samples_change_no_bit(engine):
    audio = streams.song(0.4, 24000)
    whole = streams.pushed(engine.stream("Ada", 24000), audio, [len(audio)])
    assert np.array_equal(streams.pushed(engine.stream("Ada", 24000), audio, [1]), whole)


@pytest.mark.parametrize("rate_hz, steps, transpose", [(24000, 1, 0), (48000, 2, -3.5), (44100, 1, 7)])
@pytest.mark.sampled(3)
def test_with_the_exact_lookahead_it_is_one_pass(engine, rate_hz, steps, transpose):
    audio = streams.song(2.5, rate_hz)
    want, _ = engine.convert(audio, rate_hz, "Bert", steps=steps, transpose=transpose, seed=3, **AS_STREAMS)
    lookahead_ms = engine.exact_lookahead_ms(steps)
    options = {"lookahead_ms": lookahead_ms, "block_ms": 50, "transpose": transpose, "seed": 3}
    stream = engine.stream("Bert", rate_hz, steps=steps, **options)
    assert stream.latency.lookahead_ms == pytest.approx(lookahead_ms)
    got = streams.pushed(stream, audio, [1000])
    off = np.abs(got - want) / np.abs(want).max()
    block = round(stream.latency.block_ms * rate_hz / 1000)
    worst = max(range(0, len(off), block), key=lambda start: off[start : start + block].max())
    assert off.max() < 1e-4, f"{off.max():.1e} in the block from sample {worst} on"
    short = streams.pushed(engine.stream("Bert", rate_hz, steps=steps, **options | {"lookahead_ms": 0}), audio, [1000])
    assert np.abs(short - want).max() > 1e-3 * np.abs(want).max()  # the look-ahead matters


def test_what_comes_later_changes_nothing_before(engine):
    audio, rate_hz = streams.song(1.5, 24000), 24000
    stream = engine.stream("Ada", rate_hz, block_ms=30, lookahead_ms=50)
    latency, changed = stream.latency, audio.copy()
    ahead = round((latency.block_ms + latency.lookahead_ms + latency.resampling_ms) * rate_hz / 1000) + 1
    changed[20000:] = 0.3 * np.random.default_rng(0).standard_normal(len(audio) - 20000)
    options = {"block_ms": 30, "lookahead_ms": 50}
    first, second = (streams.pushed(engine.stream("Ada", rate_hz, **options), x, [777]) for x in (audio, changed))
    assert np.array_equal(first[: 20000 - ahead], second[: 20000 - ahead])
    assert not np.array_equal(first[:20000], second[:20000])


def test_output_comes_as_soon_as_it_is_final(engine):
    """And never later than the latency says, compute aside."""
    stream, rate_hz = engine.stream("Ada", 24000, block_ms=30, lookahead_ms=50), 24000
    latency, received = stream.latency, 0
    most = (latency.block_ms + latency.lookahead_ms + latency.resampling_ms) * rate_hz / 1000
    audio = streams.song(1.0, rate_hz)
    for start in range(0, len(audio), 100):
        received += len(stream.push(audio[start : start + 100]))
        assert received >= start + 100 - most - 100
    assert len(stream.push(np.zeros(0, np.float32))) == 0
    assert received + len(stream.flush()) == len(audio)


@pytest.mark.parametrize("samples", [0, 1, 127, 3001])
def test_short_recordings_keep_their_length_and_the_stream_begins_anew(engine, samples):
    audio, stream = streams.song(1, 44100)[:samples], engine.stream("Ada", 44100)
    first = streams.pushed(stream, audio, [50])
    assert len(first) == samples and np.array_equal(streams.pushed(stream, audio, [1000]), first)


def test_a_change_takes_effect_from_the_next_block_on_and_is_faded(engine):
    rate_hz, audio = 24000, streams.song(1.6, 24000)
    options = {"block_ms": 50, "lookahead_ms": 60}
    old = streams.pushed(engine.stream("Ada", rate_hz, **options), audio, [100])
    new = streams.pushed(engine.stream("Bert", rate_hz, transpose=4, **options), audio, [100])
    stream = engine.stream("Ada", rate_hz, **options)
    before = [stream.push(audio[:20000])]
    stream.set(speaker="Bert", transpose=4)
    got = np.concatenate([*before, stream.push(audio[20000:]), stream.flush()])
    turn = len(before[0])
    assert len(got) == len(audio) and np.array_equal(got[:turn], old[:turn])
    assert not np.allclose(got[turn : turn + 2000], old[turn : turn + 2000], atol=1e-4)
    step = np.abs(np.diff(got))[turn - 1]
    assert step <= np.abs(np.diff(old)).max()
    # the features do not depend on the voice: far behind the change only the source's phase differs
    assert np.std(got[turn + 5000 :]) == pytest.approx(np.std(new[turn + 5000 :]), rel=0.2)


def test_gain_is_undone_in_the_output(engine):
    """A soft input with a gain is the loud input, made soft."""
    audio, options = streams.song(0.8, 24000), {"block_ms": 50, "lookahead_ms": 60}
    loud = streams.pushed(engine.stream("Ada", 24000, **options), audio, [500])
    soft = streams.pushed(engine.stream("Ada", 24000, gain=8, **options), audio / 8, [500])
    assert np.abs(8 * soft - loud).max() < 1e-4 * np.abs(loud).max()


def test_samples_that_cannot_be_taken_leave_the_stream_usable(engine):
    audio, stream = streams.song(0.8, 24000), engine.stream("Ada", 24000)
    want = streams.pushed(engine.stream("Ada", 24000), audio, [300])
    pieces, bad = [stream.push(audio[:9000])], audio[:500].copy()
    bad[77] = np.nan
    wrong_ones = {
        "not finite": bad,
        "beyond 1e.06": np.full(9, 1e30),
        "one channel": audio[None],
        "type int64": np.zeros(4, int),
    }
    for words, wrong in wrong_ones.items():
        with pytest.raises(AudioError, match=words):
            stream.push(wrong)
    with pytest.raises(SpeakerError):
        stream.set(speaker="nobody")
    with pytest.raises(ConfigError, match="a number of semitones"):
        stream.set(transpose="auto")
    with pytest.raises(ConfigError, match="gain"):
        stream.set(gain=0)
    pieces += [stream.push(torch.from_numpy(audio[9000:])), stream.flush()]
    assert np.array_equal(np.concatenate(pieces), want)


@pytest.mark.parametrize(
    "options, error, words",
    [
        ({"speaker": "nobody"}, SpeakerError, "no speaker"),
        ({"rate_hz": 10}, ConfigError, "sample rate"),
        ({"block_ms": 0}, ConfigError, "block_ms"),
        ({"lookahead_ms": -1}, ConfigError, "lookahead_ms"),
        ({"transpose": "octaves"}, ConfigError, "a number of semitones"),
        ({"steps": 7}, EngineError, "7 steps are not built in"),
        ({"gain": float("nan")}, ConfigError, "gain"),
        ({"protect": 0.2}, EngineError, "not a voice of RVC"),
    ],
)
def test_wrong_requests_are_named(engine, options, error, words):
    options = {"speaker": "Ada", "rate_hz": 24000} | options
    with pytest.raises(error, match=words):
        engine.stream(options.pop("speaker"), options.pop("rate_hz"), **options)


def test_streams_of_a_gpu_are_refused(engine, monkeypatch):
    monkeypatch.setattr(engine, "device", torch.device("cuda"))
    with pytest.raises(EngineError, match="streams run on the CPU for now"):
        engine.stream("Ada", 24000)


def test_memory_stays_flat(engine):
    """The buffers of a long stream are those of a short one."""
    stream, piece = engine.stream("Ada", 48000, block_ms=80), streams.song(0.5, 48000)

    def sizes():
        tapes = [stream.audio, stream.intake.pushed, *stream.maker.settled.tapes.values()]
        return [len(tape.buffer) for tape in (*tapes, *(one.tape for one in stream.intake.at.values()))]

    for _ in range(6):
        stream.push(piece)
    early = sizes()
    for _ in range(10):
        stream.push(piece)
    assert sizes() == early and max(early) < 48000 * 6


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory is read from /proc")
@pytest.mark.long
def test_minutes_take_no_more_memory_than_the_first_half(engine, record_property):
    stream, piece = engine.stream("Ada", 24000, block_ms=300, lookahead_ms=60), streams.song(5, 24000)

    def resident_mb():
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    sizes = []
    for _ in range(4):
        for _ in range(6):
            stream.push(piece)
        sizes.append(resident_mb())
    record_property("say", f"memory of a stream after each half minute: {[round(size) for size in sizes]} MB")
    assert max(sizes[1:]) < sizes[0] + 5
