"""Recordings that are sung together: the same files as one at a time, and nobody harms a neighbour."""

import os
import threading
import time
import warnings
from pathlib import Path

import fake_engine
import numpy as np
import pytest
import torch
from fake_engine import FakeEngine
from recordings import bad_folder, put, tone

from fastsvc.audio import io
from fastsvc.convert import batch, decode, group
from fastsvc.convert.index import INDEX
from fastsvc.convert.plan import plan
from fastsvc.convert.report import DONE, FAILED
from fastsvc.errors import AudioError, EngineError


def together(**options):
    return FakeEngine(shares_batches=True, **options)


def convert(
    tmp_path, engine, out="out", progress=lambda recordings: None, on_entry=lambda report, entry: None, **settings
):
    planned = plan([tmp_path / "in"], tmp_path / out)
    return batch.run(engine, planned, fake_engine.settings(**settings), on_entry, progress)


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.wav"))}


def some(folder, count=5, channels=1):
    """Recordings of 0.1 s, 0.15 s, …"""
    for i in range(count):
        put(folder / f"{i}.wav", tone(0.1 + 0.05 * i, channels=channels, hz=200 + 50 * i))


@pytest.mark.parametrize("keep", [False, True])
def test_the_same_files_and_entries_as_one_at_a_time(tmp_path, keep):
    expected = bad_folder(tmp_path / "in")
    alone = convert(tmp_path, FakeEngine(), "alone", keep_channels=keep)
    engine = together()
    report = convert(tmp_path, engine, keep_channels=keep, batch=4)
    assert contents(tmp_path / "out") == contents(tmp_path / "alone") != {}
    assert [len(group) for group in engine.sung] == ([5, 2] if keep else [4, 2])
    for one, other in zip(report.entries, alone.entries, strict=True):
        assert (one.input, one.status, one.reason, one.seconds) == (
            other.input,
            other.status,
            other.reason,
            other.seconds,
        )
        assert set(one.timings_s) == set(other.timings_s) and (one.status == DONE) == ("write" in one.timings_s)
    assert report.count(DONE) == 6 and report.planned == len(report.entries) == len(expected)
    assert report.real_time_factor > 0


def test_how_many_are_together(tmp_path, monkeypatch):
    """As many as are asked for, fewer where they are long; one is on its own; what is foreseen is what happens."""
    some(tmp_path / "in", channels=2)
    frames = [-(-int(24000 * (0.1 + 0.05 * i)) // 128) for i in range(5)]
    for most, bound, expected in [
        (16, 65536, [10]),
        (2, 65536, [4, 4, 2]),
        (1, 65536, [1] * 10),
        (16, 90, [4, 3, 2, 1]),
        (2, 60, [3, 2, 2, 2, 1]),
    ]:
        monkeypatch.setattr(group, "MOST_FRAMES", bound)
        engine = together()
        convert(tmp_path, engine, keep_channels=True, batch=most, overwrite=True)
        assert [len(group) for group in engine.sung] == expected
        assert engine.sung == group.groups([[one, one] for one in frames], most)
    assert group.groups([], 4) == []


def test_the_times_of_a_group_are_shared_out(tmp_path):
    some(tmp_path / "in", 3)
    report = convert(tmp_path, together(), batch=3)
    spent = [entry.timings_s["convert"] for entry in report.entries]
    assert all(value > 0 for value in spent) and report.convert_s == pytest.approx(sum(spent))


@pytest.mark.parametrize("error", [AudioError("cannot be sung"), MemoryError(), RuntimeError("odd")])
def test_a_failure_is_its_own(tmp_path, error):
    some(tmp_path / "in")
    engine = together(fail_sing={int(24000 * 0.2): error})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = convert(tmp_path, engine)
    assert [entry.status for entry in report.entries] == [DONE, DONE, FAILED, DONE, DONE]
    assert (str(error) or "memory is too small") in report.entries[2].reason
    assert [len(group) for group in engine.sung] == [5, 1, 1, 1, 1, 1]
    assert len(contents(tmp_path / "out")) == 4


def test_what_fails_only_together_goes_well_alone_and_is_said(tmp_path):
    class Picky(FakeEngine):
        def synthesise_many(self, heard, *args, **options):
            if len(heard) > 1:
                raise EngineError("too many")
            return super().synthesise_many(heard, *args, **options)

    some(tmp_path / "in", 3)
    with pytest.warns(UserWarning, match="3 recordings failed together and went well alone: too many"):
        report = convert(tmp_path, Picky(shares_batches=True))
    assert report.count(DONE) == 3


def test_a_recording_whose_second_channel_fails(tmp_path):
    some(tmp_path / "in", 3, channels=2)
    engine = together(fail={4: AudioError("bad channel")})
    report = convert(tmp_path, engine, keep_channels=True)
    assert [entry.status for entry in report.entries] == [DONE, FAILED, DONE]
    assert [len(group) for group in engine.sung] == [4]


def test_channels_share_the_automatic_transpose_of_the_loudest(tmp_path):
    for name in "ab":
        audio = tone(channels=2)
        audio[0] *= 0.01
        put(tmp_path / "in" / f"{name}.wav", audio)
    engine = together()
    report = convert(tmp_path, engine, keep_channels=True, transpose="auto")
    assert [call[3]["transpose"] for call in engine.calls] == ["auto", 7.0] * 2
    assert [entry.transpose for entry in report.entries] == [7.0, 7.0] and len(engine.sung) == 1
    np.testing.assert_allclose(io.read(tmp_path / "out/b.wav")[0], -0.5 * audio, atol=1e-4)


def test_the_next_are_sung_while_others_are_written(tmp_path, monkeypatch):
    """The first group's writing waits for the second group's singing, which therefore cannot wait for the writing."""
    some(tmp_path / "in", 4)
    begun, real = threading.Event(), io.write

    class Watching(FakeEngine):
        def synthesise_many(self, *args, **options):
            if len(self.sung) == 1:
                begun.set()
            return super().synthesise_many(*args, **options)

    def write(*args):
        assert begun.wait(10), "the second group waits for the first to be written"
        return real(*args)

    monkeypatch.setattr(io, "write", write)
    told = []
    engine = Watching(shares_batches=True)
    report = convert(tmp_path, engine, on_entry=lambda _, entry: told.append(entry.input), batch=2)
    assert report.count(DONE) == 4 and [Path(path).name for path in told] == ["0.wav", "1.wav", "2.wav", "3.wav"]


def test_few_wait_to_be_written(tmp_path, monkeypatch):
    """Slow disks hold up the engine in the end: memory is bounded."""
    some(tmp_path / "in", 12)
    release, counts, real = threading.Event(), [], io.write
    monkeypatch.setattr(io, "write", lambda *args: release.wait(10) and real(*args))

    class Watching(FakeEngine):
        def extract(self, *args, **options):
            counts.append(len(self.calls))
            if len(self.calls) == 5:
                threading.Timer(0.2, release.set).start()
            return super().extract(*args, **options)

    seen = []
    convert(tmp_path, Watching(shares_batches=True), batch=2, on_entry=lambda *_: seen.append(max(counts)))
    assert len(seen) == 12 and seen[0] == 5


def test_ctrl_c_keeps_the_groups_that_are_done(tmp_path):
    some(tmp_path / "in")
    report = convert(tmp_path, together(fail={4: KeyboardInterrupt()}), batch=2)
    assert report.interrupted and [entry.status for entry in report.entries] == [DONE, DONE]
    assert sorted(contents(tmp_path / "out")) == ["0.wav", "1.wav"]
    assert sorted(os.listdir(tmp_path / "out")) == [INDEX, "0.wav", "1.wav"]
    again = together(fail_sing={int(24000 * 0.3): KeyboardInterrupt()})
    report = convert(tmp_path, again, batch=2)
    assert report.interrupted and len(contents(tmp_path / "out")) == 4


def test_progress_rises_to_all(tmp_path):
    some(tmp_path / "in", 5, channels=2)
    (tmp_path / "in" / "2.wav").write_text("no recording")
    done, told = [0.0], []
    convert(
        tmp_path,
        together(),
        keep_channels=True,
        batch=2,
        progress=lambda recordings: done.append(len(told) + recordings),
        on_entry=lambda report, entry: told.append(entry),
    )
    assert done == sorted(done) and 4 < done[-1] <= 5 and len(told) == 5


@pytest.mark.parametrize("bound, most", [(2**20, 4), (4 * 24000 * 0.6, 4), (4 * 24000 * 0.2, 2), (100, 1)])
def test_some_are_decoded_ahead(tmp_path, monkeypatch, bound, most):
    some(tmp_path / "in", 6)
    jobs, begun, real = plan([tmp_path / "in"], tmp_path / "out").jobs, [], decode.Decoded._read

    def read(self, job, mono):
        begun.append(job)
        real(self, job, mono)

    monkeypatch.setattr(decode, "AHEAD_BYTES", bound)
    monkeypatch.setattr(decode.Decoded, "_read", read)
    line = decode.decoded(jobs, True, ahead=3)
    first = next(line)
    for _ in range(100):
        time.sleep(0.01 * (len(begun) < most))
    line.close()
    assert first.job == jobs[0] and len(begun) == most and first.take()[0].shape == (1, 2400)


@pytest.mark.slow
def test_a_gpus_engine_gives_each_recording_what_it_gives_it_alone(tmp_path, monkeypatch):
    pytest.importorskip("triton")
    if torch.cuda.is_available():
        pytest.skip("the interpreter is not used where there is a GPU: tests/test_gpu.py")
    import engines
    import golden
    import interpreted

    from fastsvc.build.passes import measure

    interpreted.prepare(monkeypatch)
    monkeypatch.setattr(measure, "SECONDS_OF_AUDIO", {"denoiser": 0.1, "vocoder": 0.01})
    folder = engines.build_engine(tmp_path, precision="fp32", target="cpu", steps=(1,))
    engine = interpreted.engine(folder)
    assert engine.shares_batches and not engine.open(folder, "cpu").shares_batches
    for i, seconds in enumerate((0.1, 0.06)):
        put(tmp_path / "in" / f"{i}.wav", tone(seconds, channels=2), subtype="FLOAT")
    settings = {"speaker": "Bert", "keep_channels": True, "transpose": "auto", "subtype": "float", "seed": 3}
    batches = []
    run = engine.sampler._run
    monkeypatch.setattr(engine.sampler, "_run", lambda pieces, *a: batches.append(len(pieces)) or run(pieces, *a))
    for out, most in (("alone", 1), ("out", 16)):
        assert convert(tmp_path, engine, out, batch=most, **settings).count(DONE) == 2
    assert batches == [1] * 4 + [4]
    for i in range(2):
        alone, among = (io.read(tmp_path / place / f"{i}.wav")[0] for place in ("alone", "out"))
        for channel, other in zip(torch.from_numpy(among), torch.from_numpy(alone), strict=True):
            assert golden.relative(channel, other) < 1e-5
