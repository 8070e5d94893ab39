"""Reading and writing recordings: every format, every kind of damage, nothing half-written."""

import errno
import os
import socket
import tracemalloc

import numpy as np
import pytest
import soundfile
from failing import fail_after

from fastsvc import reading
from fastsvc.audio import encode, io
from fastsvc.errors import AudioError, OutputError


def noise(channels=1, samples=20000, seed=0):
    return (np.random.default_rng(seed).standard_normal((channels, samples)) * 0.1).astype(np.float32)


@pytest.mark.parametrize("format, subtype, error", [("wav", None, 5e-5), ("wav", "24", 3e-7), ("wav", "float", 0)])
@pytest.mark.parametrize("channels, rate", [(1, 8000), (2, 96000), (3, 24001)])
def test_wav_round_trip(tmp_path, format, subtype, error, channels, rate):
    audio = noise(channels)
    assert io.write(tmp_path / "a.wav", audio, rate, format, subtype).gain == 1.0
    got, got_rate = io.read(tmp_path / "a.wav")
    assert got.shape == audio.shape and got.dtype == np.float32 and got_rate == rate
    assert np.abs(got - audio).max() <= error


@pytest.mark.parametrize("format", ["flac", "mp3", "ogg"])
def test_compressed_round_trip_keeps_the_length(tmp_path, format):
    path = tmp_path / f"a.{format}"
    time = np.arange(44100 + 7) / 44100
    audio = np.stack([np.sin(2 * np.pi * 440 * time), np.sin(2 * np.pi * 660 * time)]).astype(np.float32) * 0.5
    io.write(path, audio, 44100, format)
    info = io.probe(path)
    assert (info.rate_hz, info.channels, info.samples) == (44100, 2, 44107) and info.seconds == 44107 / 44100
    got, _ = io.read(path)
    assert got.shape == audio.shape
    assert np.sqrt(np.mean((got - audio) ** 2)) < (1e-4 if format == "flac" else 0.02)


def test_mono_is_the_mean_of_the_channels_and_blocks_join(tmp_path, monkeypatch):
    audio = noise(2, 10001)
    io.write(tmp_path / "a.wav", audio, 24000, "wav", "float")
    monkeypatch.setattr(io, "_BLOCK_SAMPLES", 777)
    np.testing.assert_array_equal(io.read(tmp_path / "a.wav")[0], audio)
    np.testing.assert_allclose(io.read(tmp_path / "a.wav", mono=True)[0], audio.mean(axis=0, keepdims=True), atol=1e-7)


def test_one_sample(tmp_path):
    io.write(tmp_path / "a.wav", np.array([0.5]), 44100)
    got, _ = io.read(tmp_path / "a.wav")
    assert got.shape == (1, 1) and got[0, 0] == 0.5


def test_a_long_stereo_file_read_as_mono_is_held_once(tmp_path):
    samples = 3_000_000
    io.write(tmp_path / "a.wav", np.zeros((2, samples), np.float32), 96000)
    tracemalloc.start()
    io.read(tmp_path / "a.wav", mono=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.3 * samples * 4  # held once, plus the parts that are freed while joining


def reason(path):
    with pytest.raises(AudioError) as caught:
        io.read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


def damaged(path, keep):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    return path


@pytest.mark.parametrize(
    "name, content, expected",
    [
        ("empty.wav", b"", "empty"),
        ("text.wav", b"not a recording\n" * 50, "not an audio file"),
        ("text.mp3", b"not a recording\n" * 50, "not an audio file"),
        ("headless.wav", b"RIFF\x10\x00\x00\x00WAVEfmt ", "damaged"),
        ("voice.m4a", b"\x00\x00\x00\x20ftypM4A " + bytes(100), "its index (moov) is missing"),
        ("x.raw", bytes(1000), "not an audio file"),
    ],
)
def test_what_is_not_audio_is_named(tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content)
    assert expected in reason(tmp_path / name)


@pytest.mark.parametrize("format", ["wav", "flac", "mp3"])
def test_cut_short(tmp_path, format):
    path = tmp_path / f"a.{format}"
    io.write(path, noise(2, 50000), 44100, format)
    assert "cut short" in reason(damaged(path, 0.5))


def test_wav_of_unknown_length_and_sloppy_headers_are_read(tmp_path):
    path = tmp_path / "a.wav"
    io.write(path, noise(1, 5000), 24000)
    data = bytearray(path.read_bytes())
    for size in (0xFFFFFFFF, 10000 + 44):  # a pipe's "unknown", and a header counted in
        data[40:44] = size.to_bytes(4, "little")
        path.write_bytes(data)
        assert io.read(path)[0].shape == (1, 5000)


def test_no_samples_and_nan(tmp_path):
    soundfile.write(tmp_path / "none.wav", np.zeros((0, 1)), 24000)
    assert "no samples" in reason(tmp_path / "none.wav")
    for bad in (np.nan, np.inf, -np.inf, 1e20, -1e20):
        audio = noise(2)
        audio[1, 12000] = bad
        soundfile.write(tmp_path / "bad.wav", audio.T, 24000, subtype="FLOAT")
        assert "the first at 0.500 s" in reason(tmp_path / "bad.wav")


def test_missing_folder_and_device(tmp_path):
    assert "no such file" in reason(tmp_path / "none.wav")
    assert "is a folder" in reason(tmp_path)
    os.mkfifo(tmp_path / "pipe.wav")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket.wav"))
    (tmp_path / "zero.wav").symlink_to("/dev/zero")
    for name in ("pipe.wav", "socket.wav", "zero.wav"):
        assert "not a regular file" in reason(tmp_path / name)


def test_a_pipe_that_takes_the_files_place(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.wav")
    file = os.stat(__file__)
    with monkeypatch.context() as patch:
        patch.setattr(reading.os, "stat", lambda path, **options: file)
        said = reason(tmp_path / "pipe.wav")
    assert "not a regular file" in said


def test_no_permission(tmp_path, monkeypatch):
    io.write(tmp_path / "a.wav", noise(), 24000)

    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(reading, "open", refuse, raising=False)
    assert "no permission" in reason(tmp_path / "a.wav")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_no_permission_for_real(tmp_path):
    io.write(tmp_path / "a.wav", noise(), 24000)
    (tmp_path / "a.wav").chmod(0)
    assert "no permission" in reason(tmp_path / "a.wav")


def test_names_that_are_not_text(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.wav")
    io.write(path, noise(), 24000)
    assert io.read(path)[0].shape == (1, 20000)


def test_peaks_are_turned_down_not_clipped(tmp_path):
    audio = noise() * 20
    peak = np.abs(audio).max()
    done = io.write(tmp_path / "a.wav", audio, 24000, subtype="24")
    assert done.gain == pytest.approx(1 / peak) and done.peak == pytest.approx(peak)
    np.testing.assert_allclose(io.read(tmp_path / "a.wav")[0], audio / peak, atol=1e-6)
    assert io.write(tmp_path / "a.wav", audio, 24000, subtype="float").gain == 1.0
    np.testing.assert_array_equal(io.read(tmp_path / "a.wav")[0], audio)


def test_formats_and_rates_are_checked(tmp_path):
    for format, subtype in (("m4a", None), ("flac", "float"), ("mp3", "24"), ("wav", "12")):
        with pytest.raises(OutputError):
            io.write(tmp_path / "a", noise(), 24000, format, subtype)
    with pytest.raises(OutputError, match="mp3 cannot carry 96000 Hz.*use 48000 Hz"):
        io.write(tmp_path / "a.mp3", noise(), 96000, "mp3")
    assert [io.writable_rate("mp3", rate) for rate in (7000, 24000, 24001, 96000)] == [8000, 24000, 32000, 48000]
    assert io.writable_rate("wav", 1234567) == 1234567 and io.writable_rate("ogg", 384000) == 192000
    with pytest.raises(OutputError, match="NaN"):
        io.write(tmp_path / "a.wav", np.array([0.1, np.nan]), 24000)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", ["wav", "flac", "mp3", "ogg"])
@pytest.mark.parametrize("after", [0, 5000])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, format, after, error):
    path = tmp_path / f"a.{format}"
    path.write_bytes(b"old")

    fail_after(monkeypatch, after, error)
    if isinstance(error, OSError):
        with pytest.raises(OutputError, match="the disk is full"):
            io.write(path, noise(2, 100_000), 24000, format)
    else:
        with pytest.raises(KeyboardInterrupt):
            io.write(path, noise(2, 100_000), 24000, format)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_full_disk_for_real():
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    with pytest.raises(OSError, match="No space left"), open("/dev/full", "wb") as raw:
        encode._encode(encode._Sink(raw), noise(1, 2_000_000), 24000, 1.0, "wav", None)


def test_folders_are_made_and_obstacles_named(tmp_path):
    io.write(tmp_path / "x" / "y" / "a.wav", noise(), 24000)
    assert io.read(tmp_path / "x" / "y" / "a.wav")[1] == 24000
    with pytest.raises(OutputError, match="part of its path is a file"):
        io.write(tmp_path / "x" / "y" / "a.wav" / "b.wav", noise(), 24000)
    with pytest.raises(OutputError, match="a folder of that name exists"):
        io.write(tmp_path / "x", noise(), 24000)
    assert [p.name for p in (tmp_path).iterdir()] == ["x"]
