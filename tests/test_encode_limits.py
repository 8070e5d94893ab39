"""What a format can carry is known before the work; what passes 4 GiB is written as RF64, the rest as plain WAV."""

import errno
import io as memory_file

import numpy as np
import pytest
import soundfile
from audio_files import music, put
from fake_engine import FakeEngine

from fastsvc.audio import encode, io
from fastsvc.convert import batch
from fastsvc.convert.plan import plan
from fastsvc.engine.request import Request
from fastsvc.errors import OutputError


def number(content, place, width=4):
    return int.from_bytes(content[place : place + width], "little")


@pytest.mark.parametrize("subtype, width", [("16", 2), ("24", 3), ("float", 4)])
def test_wav_over_the_limit_becomes_rf64(tmp_path, monkeypatch, subtype, width):
    """The limit is lowered: the header is that of a file over 4 GiB."""
    audio, path = music(2, 5000), tmp_path / "a.wav"
    size = audio.size * width
    monkeypatch.setattr(encode, "LARGEST_WAV", size - 1)
    assert io.write(path, audio, 44100, "wav", subtype).large
    content = path.read_bytes()
    data = content.index(b"data")
    assert content[:4] == b"RF64" and content[8:16] == b"WAVEds64" and number(content, 4) == 0xFFFFFFFF
    assert number(content, 20, 8) == len(content) - 8 and number(content, 28, 8) == size
    assert number(content, data + 4) == 0xFFFFFFFF and len(content) >= data + 8 + size
    assert io.probe(path).samples == 5000
    np.testing.assert_allclose(io.read(path)[0], audio, atol=4e-5)
    monkeypatch.setattr(encode, "LARGEST_WAV", size)
    assert not io.write(path, audio, 44100, "wav", subtype).large


@pytest.mark.parametrize("subtype", ["16", "24", "float"])
def test_smaller_files_are_plain_wav_byte_for_byte(tmp_path, subtype):
    audio, plain = music(2, 5000), memory_file.BytesIO()
    io.write(tmp_path / "a.wav", audio, 44100, "wav", subtype)
    kinds = {"16": "PCM_16", "24": "PCM_24", "float": "FLOAT"}
    soundfile.write(plain, audio.T, 44100, kinds[subtype], format="WAV")
    content, wanted = bytearray((tmp_path / "a.wav").read_bytes()), bytearray(plain.getvalue())
    for one in (content, wanted):  # libsndfile notes the second in which a file of floats was written
        peak = one.find(b"PEAK")
        one[peak + 12 : peak + 16] = bytes(4) if peak > 0 else one[peak + 12 : peak + 16]
    assert content == wanted and content[:4] == b"RIFF" and number(content, 4) == len(content) - 8


def test_what_4_gib_are():
    assert encode.LARGEST_WAV + 4096 < 1 << 32
    for subtype, width in (("16", 2), ("24", 3), ("float", 4), (None, 2)):
        most = encode.LARGEST_WAV // width // 2
        assert not encode.is_large("wav", most, 2, subtype) and encode.is_large("wav", most + 1, 2, subtype)
        assert not encode.is_large("flac", most + 1, 2, subtype)


@pytest.mark.parametrize(
    "format, samples, words",
    [
        ("mp3", 30 * 3600 * 44100, "30.0 h: mp3 carries 29.8 h at most"),
        ("flac", 1 << 36, "68,719,476,736 samples: flac carries 68,719,476,735 at most"),
    ],
)
def test_lengths_that_a_format_cannot_carry(format, samples, words):
    with pytest.raises(OutputError, match=words):
        encode.check_length(format, samples, 44100)
    encode.check_length(format, int(0.99 * samples), 44100)
    for other in ("wav", "ogg"):
        encode.check_length(other, samples, 44100)


@pytest.mark.parametrize("known", ["by the header", "when it is read"])
def test_a_batch_knows_before_the_conversion(tmp_path, monkeypatch, known):
    path, _, _ = put(tmp_path, ".wav", music(1, 44100))
    monkeypatch.setitem(encode.MOST_SECONDS, "mp3", 0.9)
    monkeypatch.setattr("fastsvc.convert.results._LONG", 0 if known == "by the header" else 1 << 26)
    engine = FakeEngine()
    monkeypatch.setattr(engine, "extract", None)
    if known == "by the header":
        monkeypatch.setattr(io, "read", lambda *a, **b: pytest.fail("it was read"))
    report = batch.run(engine, plan([path], tmp_path / "out", "mp3"), batch.ConversionSettings(Request("anna")))
    assert "0.0 h: mp3 carries 0.0 h at most (choose --format wav" in report.entries[0].reason
    assert not list((tmp_path / "out").glob("*.mp3"))


def test_a_batch_notes_rf64(tmp_path, monkeypatch):
    path, _, _ = put(tmp_path, ".wav", music(1, 44100))
    monkeypatch.setattr(encode, "LARGEST_WAV", 1000)
    report = batch.run(FakeEngine(), plan([path], tmp_path / "out"), batch.ConversionSettings(Request("anna")))
    assert report.entries[0].notes == ["its result is written as RF64, which is WAV for more than 4 GiB"]
    assert io.probe(report.entries[0].output).samples == 44100


@pytest.mark.parametrize("rate_hz", [65535, 65536, 96001, 192000, 655351])
def test_rates_of_flac_above_65535_are_tens(tmp_path, rate_hz):
    written = encode.writable_rate("flac", rate_hz)
    assert written == {65536: 65540, 96001: 96010, 655351: 655350}.get(rate_hz, rate_hz)
    io.write(tmp_path / "a.flac", music(1, 1000), written, "flac")
    assert io.probe(tmp_path / "a.flac").rate_hz == written
    if written != rate_hz:
        with pytest.raises(OutputError, match=f"flac cannot carry {rate_hz} Hz.*use {written} Hz"):
            io.write(tmp_path / "b.flac", music(1, 1000), rate_hz, "flac")


def test_no_python_object_in_what_the_encoder_says():
    """soundfile names the file, which is an object of ours."""
    with pytest.raises(OSError, match="the encoder failed") as error:
        encode._encode(encode._Sink(memory_file.BytesIO()), np.zeros((9, 10), np.float32), 44100, 1.0, "flac", None)
    assert error.value.errno == errno.EIO and "<" not in str(error.value)
