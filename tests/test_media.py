"""Recordings that FFmpeg reads through PyAV: each sample at its place, and each bad file in one line."""

import re

import numpy as np
import pytest
from fake_engine import FakeEngine
from media_cases import EXACT, LOOSE, SAMPLES, check, name_of, put, reason
from media_files import aac_in_caf, chirp, edited, encode, lag, write

from fastsvc.audio import io
from fastsvc.convert import batch
from fastsvc.convert.plan import plan
from fastsvc.data.prepare import prepare
from fastsvc.engine.request import Request

av = pytest.importorskip("av")


@pytest.mark.parametrize("case", EXACT, ids=name_of)
def test_what_was_written_comes_back_at_its_place(tmp_path, case):
    path, audio = put(tmp_path, case)
    check(path, audio, case[3])
    got = io.read(path, mono=True)[0]
    np.testing.assert_allclose(got, io.read(path)[0].mean(axis=0, keepdims=True), atol=1e-6)
    if case[2] in ("alac", "flac", "wavpack", "tta") or case[2].startswith("pcm"):
        np.testing.assert_allclose(io.read(path)[0], audio, atol=4e-5)


@pytest.mark.parametrize("case", LOOSE, ids=name_of)
def test_without_a_word_of_the_container_all_packets_are_read(tmp_path, case):
    path, audio = put(tmp_path, case)
    check(path, audio, case[3], behind=case[6], before=case[5])


@pytest.mark.parametrize("case", EXACT, ids=name_of)
def test_short_ones(tmp_path, case):
    for samples in (700, 1025):
        if case[2] != "libopus" or case[1] != "mp4" or samples > 960:  # FFmpeg drops what is shorter than a packet
            path, audio = put(tmp_path, case, samples)
            assert io.read(path)[0].shape == audio.shape and io.probe(path).samples == samples


def test_aac_in_caf(tmp_path):
    audio = chirp()
    aac = encode(tmp_path / "a.aac", audio, 44100, "aac", "adts")
    check(aac_in_caf(tmp_path / "a.caf", aac, SAMPLES), audio, 44100)


@pytest.mark.parametrize("case", [EXACT[0], EXACT[7], EXACT[11], EXACT[16]], ids=name_of)
def test_long_ones_are_read_by_blocks(tmp_path, case, monkeypatch):
    monkeypatch.setattr(io, "_BLOCK_SAMPLES", 5000)
    path, audio = put(tmp_path, case, 90001)
    assert io.read(path)[0].shape == audio.shape


PIPED = [
    ("webm", "libopus", 48000, {}),
    ("webm", "libopus", 48000, {"live": "1"}),
    ("matroska", "flac", 44100, {}),
    ("asf", "wmav2", 44100, {}),
    ("mp4", "aac", 44100, {"movflags": "frag_keyframe+empty_moov"}),
    ("wv", "wavpack", 44100, {}),
]


@pytest.mark.parametrize("container, codec, rate, how", PIPED)
def test_written_to_a_pipe(tmp_path, monkeypatch, container, codec, rate, how):
    """Without a length in the header, or with none that is true."""

    class Pipe(bytearray):
        def write(self, content):
            self.extend(content)
            return len(content)

    pipe, audio, path, real = Pipe(), chirp(60011, rate), tmp_path / "a.any", av.open
    options = {"b": 128000} if container == "asf" else {}
    with monkeypatch.context() as patched:
        patched.setattr(av, "open", lambda path, *others, **more: real(pipe, *others, **more))
        encode(path, audio, rate, codec, container, container=how, **options)
    path.write_bytes(pipe)
    got = io.read(path)[0]
    assert io.probe(path).samples == got.shape[1]
    assert abs(got.shape[1] - 60011) < 2500 and io.probe(path, exact=False).samples < 70000


def test_the_kind_is_told_by_the_content(tmp_path):
    audio = chirp()
    encode(tmp_path / "a.m4a", audio, 44100, "aac", "ipod").rename(tmp_path / "a.wav")
    check(tmp_path / "a.wav", audio, 44100)
    encode(tmp_path / "b.wav", audio, 44100, "pcm_s16le", "wav").rename(tmp_path / "b.m4a")
    assert io.probe(tmp_path / "b.m4a").format == "WAV" and io.read(tmp_path / "b.m4a")[0].shape == audio.shape


def test_floats_and_absurd_samples(tmp_path):
    audio = chirp()
    path = encode(tmp_path / "a.mka", 3 * audio, 44100, "pcm_f32le", "matroska")
    np.testing.assert_array_equal(io.read(path)[0], 3 * audio)
    for value in (np.nan, np.inf, 1e20):
        audio[1, 9000] = value
        path = encode(tmp_path / "a.mka", audio, 44100, "pcm_f32le", "matroska")
        assert "the first at 0.204 s" in reason(path)


def test_joined_aac_is_read_as_a_whole_and_changes_within_are_not(tmp_path):
    a = encode(tmp_path / "a.aac", chirp(), 44100, "aac", "adts").read_bytes()
    b = encode(tmp_path / "b.aac", chirp(8000, 22050, 1), 22050, "aac", "adts").read_bytes()
    alone = io.probe(tmp_path / "a.aac").samples
    (tmp_path / "c.aac").write_bytes(b"ID3\4\0\0\0\0\0\x08PRIV" + bytes(4) + a + a + b"TAG" + bytes(125))
    assert io.probe(tmp_path / "c.aac").samples == io.read(tmp_path / "c.aac")[0].shape[1] == 2 * alone
    (tmp_path / "d.aac").write_bytes(a + b)
    changed = r"after 0.4\d s \(goes on with 22050 Hz and \d channels? after 44100 Hz"
    assert re.search(changed, reason(tmp_path / "d.aac"))


def test_of_several_streams_one_is_taken_and_said(tmp_path):
    audio, other, notes = chirp(), chirp(9000, 22050, 1), []
    streams = [(audio, 44100, "flac", "s16", 0, {}), (other, 22050, "flac", "s16", 0, {})]
    (tmp_path / "in").mkdir()
    write(tmp_path / "in/a.mka", "matroska", streams)
    assert io.read(tmp_path / "in/a.mka", note=notes.append)[0].shape == audio.shape
    assert notes == ["holds 2 streams of sound, number 1 is taken"]
    write(tmp_path / "b.mka", "matroska", streams, dispositions=(0, 1))
    assert io.read(tmp_path / "b.mka", note=notes.append)[0].shape == other.shape
    assert notes[1] == "holds 2 streams of sound, number 2 is taken"
    report = batch.run(
        FakeEngine(), plan([tmp_path / "in"], tmp_path / "out"), batch.ConversionSettings(Request("anna"))
    )
    assert report.entries[0].status == batch.DONE and notes[0] in report.entries[0].notes


def test_sound_may_begin_later_and_end_earlier_than_what_else_a_film_holds(tmp_path):
    late = encode(tmp_path / "late.mka", chirp(), 44100, "flac", "matroska", begin=88200)
    assert io.read(late)[0].shape == chirp().shape
    short, long = (chirp(count, 44100, 1) for count in (9000, 40000))
    write(tmp_path / "two.mka", "matroska", [(one, 44100, "flac", "s16", 0, {}) for one in (short, long)])
    assert io.read(tmp_path / "two.mka")[0].shape == short.shape


def test_training_data_may_be_of_these_kinds(tmp_path):
    (tmp_path / "set" / "ann").mkdir(parents=True)
    encode(tmp_path / "set" / "ann" / "a.m4a", chirp(66150, 44100, 1), 44100, "aac", "ipod")
    report = prepare(tmp_path / "set", tmp_path / "out", jobs=1, progress=False)
    assert not report.bad and report.seconds == pytest.approx(1.5, abs=0.02)


def test_names_that_are_no_text_do_not_matter(tmp_path):
    path = tmp_path / "a.m4a"
    with av.open(str(path), "w", format="ipod") as file:
        file.metadata["title"] = "TITLETITLE"
        stream = file.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        stream.layout, frame.sample_rate, frame.pts = "mono", 44100, 0
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    path.write_bytes(path.read_bytes().replace(b"TITLETITLE", "女声".encode("gbk") + b"\xff\xfe\xfd\xfc\x80\x81"))
    assert io.read(path)[0].shape == (1, 1024)


def test_edits_are_followed_to_the_sample(tmp_path):
    """What was trimmed without encoding it again: 0.2 s from 5000 samples on, after the encoder's 1024."""
    audio = chirp()
    path = edited(encode(tmp_path / "a.m4a", audio, 44100, "aac", "ipod"), (200, 6024))
    assert io.probe(path).samples == 8820
    got = io.read(path)[0]
    assert got.shape == (2, 8820) and abs(lag(got[0], audio[0, 5000:13820])) <= 1
    path = edited(encode(tmp_path / "a.m4a", audio, 44100, "aac", "ipod"), (300, -1), (100, 2024), (200, 10024))
    assert io.probe(path).samples == 13230
    got = io.read(path)[0]
    assert got.shape == (2, 13230) and abs(lag(got[0, :4410], audio[0, 1000:5410])) <= 1
    assert abs(lag(got[0, 4410:], audio[0, 9000:17820])) <= 1
    path = edited(encode(tmp_path / "a.m4a", audio, 44100, "aac", "ipod"), (100, 6024), (200, 2024))
    assert "play parts of it again" in reason(path)
    for samples in (20480 - 1024, 20480 - 1024 + 10):  # the last packet begins where the edit's end is rounded to
        audio = chirp(samples)
        check(encode(tmp_path / "b.m4a", audio, 44100, "aac", "ipod"), audio, 44100)


def test_a_batch_of_them(tmp_path):
    (tmp_path / "in").mkdir()
    for case in (EXACT[0], EXACT[10], LOOSE[6], EXACT[12]):
        put(tmp_path / "in", case)
    report = batch.run(
        FakeEngine(), plan([tmp_path / "in"], tmp_path / "out"), batch.ConversionSettings(Request("anna"))
    )
    assert [entry.status for entry in report.entries] == 4 * [batch.DONE]
    for entry in report.entries:
        assert io.probe(entry.output).samples == io.probe(entry.input).samples
