"""Live conversion behind a sound card that a file plays: a constant delay, late blocks, pauses, faults."""

import threading
import time

import numpy as np
import pytest
import streams

from fastsvc.convert import live
from fastsvc.errors import SpeakerError

RATE_HZ, PIECE = 24000, 240


class Echo:
    """A stream whose output is its input, 100 samples late; ``wait`` is called before each push."""

    def __init__(self, wait=lambda: None):
        self.wait, self.settings = wait, []
        self.rest = np.zeros(100, np.float32)

    def push(self, samples):
        self.wait()
        whole = np.concatenate((self.rest, samples))
        self.rest = whole[len(samples) :]
        return whole[: len(samples)]

    def set(self, **changes):
        if changes.get("speaker") == "nobody":
            raise SpeakerError("there is no speaker 'nobody'")
        self.settings.append(changes)


def played(conversion, audio, pause_s=0.002):
    """The card's output; the worker gets a moment between two calls."""
    out = []
    for start in range(0, len(audio), PIECE):
        out.append(conversion.exchange(audio[start : start + PIECE]))
        time.sleep(pause_s)
    return np.concatenate(out)


def settled(conversion):
    """Wait until the worker has taken everything."""
    until = time.monotonic() + 20
    while time.monotonic() < until and conversion.error is None:
        with conversion.changed:
            if not conversion.incoming and not conversion.busy:
                break
        time.sleep(0.001)


def delay_of(got, audio) -> int:
    """Samples by which ``got`` is late, from the whole cross-correlation."""
    size = len(got) + len(audio)
    product = np.fft.irfft(np.fft.rfft(got, size) * np.fft.rfft(audio, size).conj(), size)
    return int(product[: len(got)].argmax())


@pytest.fixture
def begun():
    made = []

    def begin(stream):
        made.append(live.Live(stream, RATE_HZ))
        made[-1].start()
        return made[-1]

    yield begin
    for conversion in made:
        conversion.stop()


def test_the_delay_is_constant_and_nothing_is_lost(begun):
    audio = np.random.default_rng(0).standard_normal(RATE_HZ).astype(np.float32)
    conversion, got = begun(Echo()), []
    for start in range(0, len(audio), PIECE):
        got.append(conversion.exchange(audio[start : start + PIECE]))
        settled(conversion)
    got = np.concatenate(got)
    delay = delay_of(got, audio)
    assert 100 + live.HEADROOM_S * RATE_HZ <= delay <= 100 + live.HEADROOM_S * RATE_HZ + 3 * PIECE
    assert np.array_equal(got[delay:], audio[: len(audio) - delay]) and not got[:delay].any()
    assert conversion.counts.late == conversion.counts.dropped == 0
    assert conversion.counts.peak_in == np.abs(audio).max()


def test_a_late_block_is_repeated_faded_and_counted_and_the_delay_stays(begun):
    gate = threading.Event()
    gate.set()
    audio = np.random.default_rng(0).standard_normal(RATE_HZ).astype(np.float32)
    conversion = begun(Echo(lambda: gate.wait(10)))
    first = played(conversion, audio[: 40 * PIECE])
    settled(conversion)
    gate.clear()
    stalled = played(conversion, audio[40 * PIECE : 60 * PIECE])
    assert conversion.counts.late > 0 and not stalled[-PIECE:].any()  # the repetition has faded to silence
    gate.set()
    settled(conversion)
    last = played(conversion, audio[60 * PIECE :])
    delay = delay_of(first, audio[: 40 * PIECE])
    whole = np.concatenate((first, stalled, last))
    assert delay_of(whole[70 * PIECE :], audio[70 * PIECE - delay :]) == 0  # what comes late is left out
    assert conversion.counts.dropped == 0 and conversion.counts.repeated > 0


def test_after_a_long_pause_old_input_is_left_out(begun):
    gate = threading.Event()
    audio = np.random.default_rng(0).standard_normal(3 * RATE_HZ).astype(np.float32)
    conversion = begun(Echo(lambda: gate.wait(20)))
    played(conversion, audio[: 2 * RATE_HZ], pause_s=0)
    assert conversion.counts.dropped >= 0.9 * RATE_HZ - PIECE
    gate.set()
    settled(conversion)
    assert len(played(conversion, audio[2 * RATE_HZ :])) == RATE_HZ
    assert conversion.error is None


def test_changes_faults_and_samples_that_are_not_finite(begun):
    stream = Echo()
    conversion = begun(stream)
    conversion.set(speaker="bert", transpose=2)
    bad = np.full(PIECE, np.nan, np.float32)
    conversion.exchange(bad)
    settled(conversion)
    assert stream.settings == [{"speaker": "bert", "transpose": 2}] and conversion.counts.replaced == PIECE
    conversion.set(speaker="nobody")
    conversion.exchange(np.zeros(PIECE, np.float32))
    until = time.monotonic() + 10
    while conversion.error is None and time.monotonic() < until:
        time.sleep(0.01)
    assert isinstance(conversion.error, SpeakerError)


@pytest.mark.slow
def test_a_real_stream_behind_a_card(begun, tmp_path):
    """The card's output is the stream's, later by a constant."""
    engine = streams.engine(tmp_path, steps=(1,))
    audio = streams.song(1.5, RATE_HZ)
    want = streams.pushed(engine.stream("Ada", RATE_HZ, block_ms=50, lookahead_ms=60), audio, [PIECE])
    conversion, got = begun(engine.stream("Ada", RATE_HZ, block_ms=50, lookahead_ms=60)), []
    for start in range(0, len(audio), PIECE):
        got.append(conversion.exchange(audio[start : start + PIECE]))
        settled(conversion)
    got = np.concatenate(got)
    delay = int(np.flatnonzero(got)[0]) - int(np.flatnonzero(want)[0])
    assert np.array_equal(got[delay:], want[: len(want) - delay]) and conversion.counts.late == 0
