"""Live conversion between sound cards that play in a time of their own (bench/fake_cards.py)."""

import time

import numpy as np
import pytest
import streams

from bench.fake_cards import Clock, played
from fastsvc.convert.live import BACKLOG_S, Live
from fastsvc.convert.live_chain import Chain
from fastsvc.errors import SpeakerError

RATE_HZ, BEHIND, BLOCK = 8000, 300, 160


class Echo:
    """A stream whose output is its input, in blocks of BLOCK samples, each after BEHIND samples more."""

    def __init__(self):
        self.rest, self.settings = np.zeros(0, np.float32), []

    def push(self, samples):
        whole = np.concatenate((self.rest, samples))
        count = max(0, len(whole) - BEHIND) // BLOCK * BLOCK
        self.rest = whole[count:]
        return whole[:count]

    def set(self, **changes):
        if changes.get("speaker") == "nobody":
            raise SpeakerError("there is no speaker 'nobody'")
        self.settings.append(changes)

    def flush(self):
        self.rest = self.rest[:0]


def live_of(clock, rates=(RATE_HZ, RATE_HZ), compute_s=0.01, **options):
    return Live(Chain(Echo(), rates[0]), rates, (BEHIND + BLOCK) / rates[0], compute_s, clock=clock, **options)


def noise(seconds, rate_hz=RATE_HZ) -> np.ndarray:
    """Up to 0.7 of the half-rate."""
    audio = 0.1 * np.random.default_rng(0).standard_normal(round(seconds * rate_hz))
    spectrum = np.fft.rfft(audio)
    spectrum[int(0.7 * len(spectrum)) :] = 0
    return np.fft.irfft(spectrum, len(audio)).astype(np.float32)


def late_by(got, audio) -> int:
    """Samples by which ``got`` is late, from the whole cross-correlation."""
    size = len(got) + len(audio)
    product = np.fft.irfft(np.fft.rfft(got, size) * np.fft.rfft(audio, size).conj(), size)
    return int(product[: len(got)].argmax())


def test_the_delay_is_what_is_said_and_nothing_is_lost():
    clock, audio = Clock(), noise(2)
    live = live_of(clock)
    got = played(live, clock, audio, spent=lambda: 0.0)
    delay = round(live.delay.total_ms * RATE_HZ / 1000)
    assert live.delay.stream_ms == 57.5 and live.delay.compute_ms == 10 and live.delay.calls_ms == 20
    assert np.array_equal(got[delay:], audio[: len(got) - delay]) and not got[:delay].any()
    assert live.counts.late == live.counts.dropped == 0


@pytest.mark.parametrize("rates", [(7350, 8000), (8000, 7350)])
def test_other_rates_on_both_sides(rates):
    clock, audio = Clock(), noise(2, rates[0])
    live = live_of(clock, rates)
    got = played(live, clock, audio, spent=lambda: 0.0)
    places = (np.arange(len(got)) / rates[1] - live.delay.total_ms / 1000) * rates[0]
    want = np.interp(places, np.arange(len(audio)), audio, left=0)
    inside = slice(rates[1] // 2, -rates[1] // 2)
    assert np.corrcoef(got[inside], want[inside])[0, 1] > 0.9  # straight lines between samples are not exact
    assert late_by(got, want) == 0 and live.counts.late == 0


@pytest.mark.slow
@pytest.mark.parametrize("ppm, rates", [(200, (8000, 8000)), (-200, (8000, 8000)), (200, (7350, 8000))])
@pytest.mark.sampled(3)
def test_two_clocks_that_drift_apart_leave_the_delay_as_it_is(ppm, rates):
    """Two minutes, in which 200 ppm are 24 ms: by up to 2 ms at first, by less than 1 ms at the end."""
    clock, seconds, fast = Clock(), 120, ppm * 1e-6
    audio, trace = noise(seconds, rates[0]), []
    live = live_of(clock, rates, one_clock=False)
    got = played(live, clock, audio, fast=fast, spent=lambda: 0.0, before=lambda now: trace.append(live.pace.ratio))
    assert live.counts.late == live.counts.jumps == live.counts.dropped == 0
    assert trace[-1] - 1 == pytest.approx(-fast, abs=2e-5) and max(abs(np.array(trace) - 1)) < 3e-4
    tries_s = np.arange(-0.004, 0.004, 0.00025)
    for start_s in range(4, seconds - 4, 8):
        first = round(start_s * rates[1] * (1 + fast))
        piece = got[first : first + rates[1] // 2]
        times = np.arange(first, first + len(piece)) / (rates[1] * (1 + fast)) - live.delay.total_ms / 1000
        places = np.arange((start_s - 1) * rates[0], (start_s + 1) * rates[0])
        fits = [np.dot(piece, np.interp((times - off) * rates[0], places, audio[places])) for off in tries_s]
        assert abs(tries_s[np.argmax(fits)]) <= (0.002 if start_s < 90 else 0.001), start_s


@pytest.mark.parametrize("lost_s", [0.06, 0.3])
def test_a_card_that_loses_samples_is_set_right(lost_s):
    """As after a pause: the delay would be that much shorter, and every block late from then on."""
    clock, audio = Clock(), noise(12)
    live, late = live_of(clock, one_clock=False), {}

    def before(now):
        late[int(now)] = live.counts.late

    got = played(live, clock, audio, spent=lambda: 0.0, before=before, lost=(4.0, 4.0 + lost_s))
    delay = late_by(got[-2 * RATE_HZ :], audio[-2 * RATE_HZ :])
    assert delay / RATE_HZ == pytest.approx(live.delay.total_ms / 1000, abs=0.001)
    assert live.counts.jumps >= 1 and late[11] == late[6] > late[3] == 0


def test_a_late_block_is_repeated_faded_and_counted_and_the_delay_stays():
    clock, audio, turn = Clock(), noise(3), [0]
    live = live_of(clock)

    def spent():  # called before and after each turn of the worker: the 60th takes 0.2 s
        turn[0] += 1
        return 0.2 * (turn[0] >= 120)

    got = played(live, clock, audio, spent=spent)
    delay = round(live.delay.total_ms * RATE_HZ / 1000)
    stalled = round((60 * 0.01 + 0.03) * RATE_HZ)
    assert live.counts.late > 10 and live.counts.repeated > 0.1 * RATE_HZ and live.counts.dropped == 0
    quiet = np.flatnonzero(np.convolve(np.abs(got), np.ones(400), "valid") == 0)
    assert quiet[-1] > stalled - 400  # the repetition has faded to silence
    after = stalled + round(0.3 * RATE_HZ)
    assert np.array_equal(got[after:], audio[after - delay : len(got) - delay])  # what came too late was left out
    steps = np.abs(np.diff(got)).max()
    assert steps < 2 * np.abs(np.diff(audio)).max()  # and nothing clicks


def test_after_a_long_pause_of_the_worker_old_input_is_left_out():
    clock, audio, turn = Clock(), noise(6), [0]
    live = live_of(clock)

    def spent():
        turn[0] += 1
        return 2.5 * (turn[0] >= 100)

    got = played(live, clock, audio, spent=spent)
    assert live.counts.dropped == pytest.approx((2.5 - BACKLOG_S) * RATE_HZ, rel=0.1)
    delay = round(live.delay.total_ms * RATE_HZ / 1000)
    assert late_by(got[-RATE_HZ:], audio[: len(got)][-RATE_HZ:]) == delay


def test_changes_faults_and_the_worker():
    live = Live(Chain(Echo(), RATE_HZ), (RATE_HZ, RATE_HZ), 0.06, 0.02)
    live.start()
    live.set(speaker="bert", transpose=2)
    live.record(np.full(80, np.nan, np.float32))
    wait_for(lambda: live.chain.stream.settings)
    assert live.chain.stream.settings == [{"speaker": "bert", "transpose": 2}]
    wait_for(lambda: live.chain.replaced)
    assert live.chain.replaced == 80 and np.isfinite(live.play(80)).all()
    live.set(speaker="nobody")
    live.record(np.zeros(80, np.float32))
    wait_for(lambda: live.error)
    assert isinstance(live.error, SpeakerError)
    live.stop()


def wait_for(condition):
    until = time.monotonic() + 20
    while not condition() and time.monotonic() < until:
        time.sleep(0.002)


@pytest.mark.slow
def test_a_real_stream_behind_a_card(tmp_path):
    """The card's output is the stream's, later by what is said; and the time to compute is a part of it."""
    engine = streams.engine(tmp_path, steps=(1,))
    audio = streams.song(1.5, 24000)
    want = streams.pushed(engine.stream("Ada", 24000, block_ms=50, lookahead_ms=60), audio, [240])
    stream, clock = engine.stream("Ada", 24000, block_ms=50, lookahead_ms=60), Clock()
    latency = stream.latency
    assert latency.stream_ms == pytest.approx(latency.block_ms + latency.lookahead_ms + latency.resampling_ms)
    live = Live(Chain(stream, 24000), (24000, 24000), latency.stream_ms / 1000, 0.5, clock=clock)
    got = played(live, clock, audio)
    delay = round(live.delay.total_ms * 24)
    assert np.array_equal(got[delay:], want[: len(got) - delay]) and live.counts.late == 0
