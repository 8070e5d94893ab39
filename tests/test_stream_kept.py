"""Streams that keep final rows against streams that compute every window anew (bench/rewindowed.py), to rounding."""

import numpy as np
import pytest
import streams

import fastsvc
from bench import rewindowed
from fastsvc.engine import Engine
from fastsvc.engine.stream.units import CachedUnits

RATE_HZ = 24000


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return streams.engine(tmp_path_factory.mktemp("kept"), steps=(1, 2, 4)).path


def changed(model, way: str, audio, options: dict, changes: dict) -> np.ndarray:
    """A stream whose voice changes in the middle; its engine is its own."""
    engine = Engine.open(model, device="cpu", vocoder_backend="torch")
    stream = rewindowed.prepare(engine.stream("Ada", RATE_HZ, **options), way)
    half = len(audio) // 2
    first = stream.push(audio[:half])
    stream.set(**changes)
    return np.concatenate([first, stream.push(audio[half:]), stream.flush()])


@pytest.mark.parametrize(
    "block_ms, steps, changes",
    [
        (16, 1, {"speaker": "Bert"}),
        (40, 2, {"transpose": 5}),
        (43, 4, {"speaker": "Cleo", "transpose": -3, "gain": 0.5}),
    ],
)
def test_kept_rows_change_nothing(model, block_ms, steps, changes):
    """Also through a change of voice, which leaves the frames before it as they were, and to the end."""
    audio, options = streams.song(0.5, RATE_HZ), {"block_ms": block_ms, "lookahead_ms": 30, "steps": steps}
    kept, trimmed, anew = (changed(model, way, audio, options, changes) for way in ("kept", "trimmed", "rewindowed"))
    assert len(kept) == len(audio)
    for other in (trimmed, anew):
        assert np.sqrt(np.square(kept - other).mean()) < 2e-6 * np.sqrt(np.square(anew).mean())
    plain = changed(model, "kept", audio, options, {})
    assert np.abs(plain - kept).max() > 1e-2 * np.abs(plain).max()  # the change is one


def test_a_stream_keeps_rows_by_itself_and_few(model):
    engine = fastsvc.load(model, device="cpu")
    stream, other = (engine.stream("Ada", RATE_HZ, steps=2) for _ in range(2))
    assert isinstance(stream.front.units, CachedUnits) and stream.maker.acoustic.maker.keeps
    assert stream.maker.acoustic.maker.denoiser.weight is other.maker.acoustic.maker.denoiser.weight

    def sizes():
        maker, units, pitch = stream.maker.acoustic.maker, stream.front.units.state, stream.front.pitch.kept
        kept = [part for one in maker.kept for part in (one.x, *one.states, *one.skips)] + units.kept
        return [len(one.rows) for one in kept] + [len(pitch.cost)]

    audio = streams.song(0.5, RATE_HZ)
    for _ in range(3):
        stream.push(audio)
    early = sizes()
    for _ in range(3):
        stream.push(audio)
    assert max(np.abs(np.subtract(sizes(), early))) <= 1 and max(early) < 200
    stream.flush()
    assert stream.front.units.state is None and not stream.maker.acoustic.maker.kept
