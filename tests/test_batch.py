"""Batches: exact lengths, skipping, failures that stop nothing, Ctrl-C, the report."""

import json
import math

import fake_engine
import numpy as np
import pytest
from fake_engine import FakeEngine
from recordings import bad_folder, put, tone

from fastsvc.audio import io
from fastsvc.convert import batch, decode
from fastsvc.convert.index import INDEX
from fastsvc.convert.plan import plan
from fastsvc.convert.report import DONE, FAILED, SKIPPED, save
from fastsvc.engine.request import Request
from fastsvc.errors import OutputError


def convert(tmp_path, engine=None, format="wav", inputs=None, **settings):
    planned = plan(inputs or [tmp_path / "in"], tmp_path / "out", format)
    return batch.run(engine or FakeEngine(), planned, fake_engine.settings(**settings))


def test_bad_files_are_failures_and_the_rest_is_converted(tmp_path):
    expected = bad_folder(tmp_path / "in")
    report = convert(tmp_path)
    assert len(report.entries) == report.planned == len(expected)
    for entry in report.entries:
        word = expected[entry.input[len(str(tmp_path / "in")) + 1 :]]
        assert entry.status == (FAILED if word else DONE), entry
        assert (word in entry.reason) if word else entry.reason == ""
        if not word:
            source, result = io.probe(entry.input), io.probe(entry.output)
            assert (result.samples, result.rate_hz, result.channels) == (source.samples, source.rate_hz, 1)
            assert entry.seconds == source.seconds and set(entry.timings_s) == {"read", "convert", "write"}
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        INDEX, "8k.wav", "96k.wav", "deep", "good.wav", "one.wav", "silence.wav"
    ]  # fmt: skip


def test_the_right_audio_lands_in_the_right_file(tmp_path):
    for i in range(5):
        put(tmp_path / "in" / f"{i}.wav", tone(0.1 + 0.05 * i, hz=200 + 50 * i))
    convert(tmp_path)
    for i in range(5):
        source, result = (io.read(tmp_path / place / f"{i}.wav")[0] for place in ("in", "out"))
        np.testing.assert_allclose(result, -0.5 * source, atol=1e-4)


@pytest.mark.parametrize("shares", [False, True])
def test_every_setting_reaches_the_engine(tmp_path, shares):
    for name in "ab":
        put(tmp_path / "in" / f"{name}.wav")
    engine = FakeEngine(shares_batches=shares)
    sung = {"speaker": {"bert": 1.0}, "steps": 2, "formant": -1.5, "seed": 7, "noise_scale": 0.5}
    heard = {"transpose": 3.0, "f0_method": "pyin", "f0_weights": "w.pt", "normalise": True, "high_pass": False}
    heard |= {"f0_range": (60.0, 1400.0), "rms_mix_rate": 0.5, "f0_fill": "hold", "resampler": "short"}
    heard |= dict.fromkeys(("index_rate", "protect", "index_search", "unvoiced"))  # of RVC's voices
    assert convert(tmp_path, engine, rate_hz=12000, **sung, **heard).count(DONE) == 2
    assert engine.asked == [tuple(sung.values())] * (1 if shares else 2)
    assert engine.calls == [(6000, 24000, {"bert": 1.0}, heard | {"rate_out_hz": 12000})] * 2


@pytest.mark.parametrize("rate, out_hz, samples", [(44100, 24000, 10007), (8000, 44100, 7001), (96000, 48000, 9999)])
def test_another_rate(tmp_path, rate, out_hz, samples):
    put(tmp_path / "in" / "a.wav", tone(1.0, rate)[:, :samples], rate)
    assert convert(tmp_path, rate_hz=out_hz).count(DONE) == 1
    info = io.probe(tmp_path / "out" / "a.wav")
    assert info.rate_hz == out_hz and abs(info.samples - samples * out_hz / rate) <= 0.5


def test_channels_are_kept_or_mixed(tmp_path):
    audio = tone(channels=2)
    put(tmp_path / "in" / "a.wav", audio)
    engine = FakeEngine()
    convert(tmp_path, engine, keep_channels=True)
    np.testing.assert_allclose(io.read(tmp_path / "out/a.wav")[0], -0.5 * audio, atol=1e-4)
    assert engine.sung == [[47], [47]]
    convert(tmp_path, overwrite=True)
    np.testing.assert_allclose(io.read(tmp_path / "out/a.wav")[0], -0.5 * audio.mean(axis=0, keepdims=True), atol=1e-4)


def test_channels_share_the_automatic_transpose_of_the_loudest(tmp_path):
    audio = tone(channels=2)
    audio[0] *= 0.01
    put(tmp_path / "in" / "a.wav", audio)
    engine = FakeEngine()
    report = convert(tmp_path, engine, keep_channels=True, transpose="auto")
    assert [call[3]["transpose"] for call in engine.calls] == ["auto", 7.0]
    assert report.entries[0].transpose == 7.0
    np.testing.assert_allclose(io.read(tmp_path / "out/a.wav")[0], -0.5 * audio, atol=1e-4)


def test_existing_results_are_skipped_and_a_broken_run_goes_on(tmp_path):
    for name in "abc":
        put(tmp_path / "in" / f"{name}.wav")
    report = convert(tmp_path, FakeEngine(fail={2: KeyboardInterrupt()}))
    assert report.interrupted and [entry.status for entry in report.entries] == [DONE]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [INDEX, "a.wav"]
    before = (tmp_path / "out" / "a.wav").stat()
    report = convert(tmp_path)
    assert not report.interrupted and (report.count(DONE), report.count(SKIPPED)) == (2, 1)
    assert (tmp_path / "out" / "a.wav").stat() == before
    assert convert(tmp_path).count(SKIPPED) == 3 and convert(tmp_path, overwrite=True).count(DONE) == 3


@pytest.mark.parametrize(
    "error, words, ours",
    [
        (RuntimeError("bad\nluck"), "a fault of fastsvc: RuntimeError: bad luck at ", True),
        (ZeroDivisionError("x"), "a fault of fastsvc: ZeroDivisionError: x at ", True),
        (MemoryError(), "memory is too small (", False),
        (OSError(28, "No space left on device", "/tmp/x"), "/tmp/x: No space left on device (free space", False),
    ],
)
def test_a_stray_exception_is_that_files_failure(tmp_path, error, words, ours):
    for name in "abc":
        put(tmp_path / "in" / f"{name}.wav")
    report = convert(tmp_path, FakeEngine(fail={2: error}))
    assert [entry.status for entry in report.entries] == [DONE, FAILED, DONE]
    failed = report.failures[0]
    assert failed.reason.startswith(words) and "\n" not in failed.reason
    assert ("Traceback" in failed.traceback) == ours and ("versions: fastsvc" in failed.traceback) == ours


def test_an_engine_of_the_wrong_length_is_found_out(tmp_path):
    put(tmp_path / "in" / "a.wav")

    class Short(FakeEngine):
        def join(self, *args):
            return super().join(*args)[:-1]

    report = convert(tmp_path, Short())
    assert "instead of 6000" in report.failures[0].reason and not (tmp_path / "out").exists()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_result_with_nan_is_that_files_failure(tmp_path, bad):
    for i, name in enumerate("abc"):
        put(tmp_path / "in" / f"{name}.wav", tone(0.2 + 0.1 * i))

    class Poisoned(FakeEngine):
        def synthesise_many(self, heard, *args, **options):
            made = super().synthesise_many(heard, *args, **options)
            return [np.full_like(audio, bad) if len(audio) == 7200 else audio for audio in made]

    report = convert(tmp_path, Poisoned())
    assert [entry.status for entry in report.entries] == [DONE, FAILED, DONE]
    assert "NaN" in report.failures[0].reason and not report.failures[0].traceback
    assert sorted(path.name for path in (tmp_path / "out").glob("[!.]*")) == ["a.wav", "c.wav"]


def test_loud_results_are_turned_down_with_a_note(tmp_path):
    put(tmp_path / "in" / "a.wav")
    entry = convert(tmp_path, FakeEngine(gain=10.0)).entries[0]
    assert entry.gain == pytest.approx(1 / 3, rel=1e-3) and "turned down by 9.5 dB" in entry.notes[0]
    assert np.abs(io.read(tmp_path / "out/a.wav")[0]).max() == pytest.approx(1.0, abs=1e-3)


def test_mp3_at_a_rate_that_it_cannot_carry(tmp_path):
    put(tmp_path / "in" / "a.flac", tone(1.0, 96000), 96000, "PCM_24")
    entry = convert(tmp_path, format="mp3").entries[0]
    assert entry.status == DONE and "written at 48000 Hz" in entry.notes[0]
    assert io.probe(tmp_path / "out/a.mp3").samples == 48000


def test_bits_hold_where_the_format_has_them(tmp_path):
    put(tmp_path / "in" / "a.wav")
    put(tmp_path / "in" / "b.mp3", tone(1.0))
    assert convert(tmp_path, format="same", subtype="24").count(DONE) == 2
    assert io.probe(tmp_path / "out/a.wav").subtype == "PCM_24"


def test_a_full_disk_fails_each_file_with_its_reason(tmp_path, monkeypatch):
    for name in "ab":
        put(tmp_path / "in" / f"{name}.wav")

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    from fastsvc.audio import encode

    monkeypatch.setattr(encode, "_encode", full)
    report = convert(tmp_path)
    assert all("the disk is full" in entry.reason for entry in report.entries) and report.count(FAILED) == 2
    assert list((tmp_path / "out").iterdir()) == []


def test_long_recordings_are_not_decoded_ahead(tmp_path, monkeypatch):
    reads = []
    real = io.read
    monkeypatch.setattr(io, "read", lambda path, **how: reads.append(path.name) or real(path, **how))
    for name in "abc":
        put(tmp_path / "in" / f"{name}.wav")
    seen = []

    class Watching(FakeEngine):
        def extract(self, *args, **options):
            seen.append(len(reads))
            return super().extract(*args, **options)

    monkeypatch.setattr(decode, "AHEAD_BYTES", 100)
    convert(tmp_path, Watching())
    assert seen == [1, 2, 3]


def test_the_report_is_complete_and_written_at_once(tmp_path):
    bad_folder(tmp_path / "in")
    report = convert(tmp_path)
    save(tmp_path / "r" / "report.json", report.to_dict(date="today"))
    data = json.loads((tmp_path / "r" / "report.json").read_text())
    assert data["date"] == "today" and data["totals"]["converted"] == 6 and data["totals"]["failed"] == 5
    assert data["totals"]["planned"] == len(data["files"]) == 11
    assert math.isclose(
        data["totals"]["seconds"], sum(f["seconds"] for f in data["files"] if not f["reason"]), abs_tol=0.01
    )
    assert data["totals"]["real_time_factor"] > 0
    assert [p.name for p in (tmp_path / "r").iterdir()] == ["report.json"]
    with pytest.raises(OutputError, match="a folder of that name exists"):
        save(tmp_path / "r", data)


def test_callbacks(tmp_path):
    for name in "ab":
        put(tmp_path / "in" / f"{name}.wav", tone(channels=2))
    told, fractions = [], []
    batch.run(
        FakeEngine(),
        plan([tmp_path / "in"], tmp_path / "out"),
        batch.ConversionSettings(Request("anna"), keep_channels=True),
        lambda report, entry: told.append((len(report.entries), entry.status)),
        fractions.append,
    )
    assert told == [(1, DONE), (2, DONE)] and fractions == pytest.approx([0.15, 0.325, 0.65, 0.825] * 2)
