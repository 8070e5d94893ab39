"""Several recordings in one file, as by `cat`: all of them are read, or the file is refused in one line."""

import audio_parts
import numpy as np
import pytest
from audio_files import RATE_HZ, WRITTEN, music, put
from audio_parts import APE, ID3V1, ID3V2
from fake_engine import FakeEngine

from fastsvc.audio import io, sounds
from fastsvc.convert import batch
from fastsvc.convert.plan import plan
from fastsvc.data.prepare import prepare
from fastsvc.engine.request import Request
from fastsvc.errors import AudioError

LENGTHS = (20_011, 31_003)  # samples


def two(folder, extension, channels=2):
    """(the bytes of two recordings, what is read of each alone)"""
    contents, audio = [], []
    for seed, samples in enumerate(LENGTHS):
        path, _, _ = put(folder, extension, music(channels, samples, seed))
        contents.append(path.read_bytes())
        audio.append(io.read(path)[0])
        assert audio[-1].shape == (channels, samples)
    return *contents, *audio


def read(path, content):
    """All channels; what must be the same in every way of reading is."""
    path.write_bytes(content)
    audio, rate_hz = io.read(path)
    mixed, info = io.read(path, mono=True)[0], io.probe(path)
    assert mixed.shape == (1, audio.shape[1]) and info.samples == audio.shape[1]
    assert (info.channels, info.rate_hz) == (len(audio), rate_hz)
    np.testing.assert_allclose(mixed[0], audio.mean(axis=0), atol=1e-6)
    return audio


def refused(path, content):
    path.write_bytes(content)
    with pytest.raises(AudioError) as error:
        io.read(path)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("extension", sorted(WRITTEN))
def test_the_sum_of_its_parts(tmp_path, extension):
    first, second, audio, more = two(tmp_path, extension)
    path = tmp_path / f"joined{extension}"
    np.testing.assert_array_equal(read(path, first + second + first), np.concatenate([audio, more, audio], axis=1))
    np.testing.assert_array_equal(read(path, first + first), np.concatenate([audio, audio], axis=1))


@pytest.mark.parametrize("extension", sorted(WRITTEN))
def test_one_that_is_cut_is_named(tmp_path, extension):
    first, second, _, _ = two(tmp_path, extension)
    path = tmp_path / f"joined{extension}"
    last = refused(path, first + second[: len(second) // 2])
    assert "number 2 of 2 recordings joined into one file: " in last and "cut short" in last
    assert refused(path, first[:-3000] + second)


@pytest.mark.parametrize("extension", [".wav", ".aiff", ".flac", ".mp3", ".ogg", ".opus"])
def test_other_channels_are_refused(tmp_path, extension):
    first = two(tmp_path, extension)[0]
    path, _, _ = put(tmp_path, extension, music(1, 5000))
    rate_hz = 48000 if extension == ".opus" else RATE_HZ
    words = f"the first has {rate_hz} Hz and 2 channels, number 2 {rate_hz} Hz and 1 channel (split the file"
    assert words in refused(tmp_path / f"joined{extension}", first + path.read_bytes())


def test_other_rates_are_refused(tmp_path):
    for extension, format in ((".mp3", "mp3"), (".wav", "wav"), (".ogg", "ogg")):
        first = two(tmp_path, extension, 1)[0]
        io.write(tmp_path / "other", music(1, 9000), 32000, format)
        path = tmp_path / f"joined{extension}"
        assert "44100 Hz and 1 channel, number 2 32000 Hz" in refused(path, first + (tmp_path / "other").read_bytes())


@pytest.mark.parametrize(
    "between",
    [b"", ID3V2, ID3V1, APE, APE + ID3V1, ID3V1 + ID3V2, bytes(100), b"\xff\xfenobody knows" * 9],
    ids=["nothing", "ID3v2", "ID3v1", "APE", "APE, ID3v1", "ID3v1, ID3v2", "zeros", "what nobody knows"],
)
def test_mp3_with_tags(tmp_path, between):
    """Each part is as long as its own tag says, to the sample, whatever lies between them."""
    first, second, audio, more = two(tmp_path, ".mp3")
    got = read(tmp_path / "joined.mp3", ID3V2 + first + between + second + ID3V1)
    np.testing.assert_array_equal(got, np.concatenate([audio, more], axis=1))


@pytest.mark.parametrize("between", [b"", ID3V2, ID3V1 + ID3V2, APE], ids=["nothing", "ID3v2", "ID3", "APE"])
def test_mp3_without_tags(tmp_path, between):
    """1152 samples for each frame, less the decoder's 529 once: one stream cannot be told from two."""
    first, second, audio, more = two(tmp_path, ".mp3")
    (bare, frames), (other, others) = map(audio_parts.untagged, (first, second))
    path = tmp_path / "joined.mp3"
    both = read(path, bare + between + other)
    assert both.shape[1] == 1152 * (frames + others) - 529 > sum(LENGTHS)
    at = 1152 * frames  # where the second one begins; its encoder's delay is not known, 576 samples beyond ours
    np.testing.assert_allclose(both[:, 576 : 576 + LENGTHS[0]], audio, atol=1e-3)
    np.testing.assert_allclose(both[:, at + 576 : at + 576 + LENGTHS[1]], more, atol=1e-3)
    assert read(path, first + between + other).shape[1] == LENGTHS[0] + 1152 * others - 529
    assert read(path, bare + between + second).shape[1] == 1152 * frames - 529 + LENGTHS[1]
    assert read(path, first + between + other + first).shape[1] == 2 * LENGTHS[0] + 1152 * others - 529


def test_mp3_behind_something_else(tmp_path):
    """Without a tag of its own nobody knows what it is: nothing is lost in silence."""
    first, second, _, _ = two(tmp_path, ".mp3")
    bare, _ = audio_parts.untagged(second)
    words = refused(tmp_path / "joined.mp3", first + bytes(5000) + bare)
    assert "damaged: holds more than its header promises" in words


def test_tags_within_one_mp3(tmp_path):
    """As streams have them: what frames keep for later ones is not lost, so nothing is heard of the tags."""
    content = put(tmp_path, ".mp3", music(samples=60_000))[0].read_bytes()
    bare, _ = audio_parts.untagged(content)
    path = tmp_path / "a.mp3"
    whole, sizes = read(path, bare), audio_parts.sizes(bare)
    for frame in (7, 20, 33):
        place = sum(sizes[:frame])
        np.testing.assert_array_equal(read(path, bare[:place] + ID3V2 + bare[place:]), whole)


def test_links_of_a_stream(tmp_path):
    """Places go on from link to link, or begin anywhere."""
    for extension in (".ogg", ".opus"):
        content = put(tmp_path, extension, music(1, 100_000))[0].read_bytes()
        audio = io.read(tmp_path / f"a{extension}")[0]
        later = [
            audio_parts.placed(page, audio_parts.place_of(page) + 10**6) if audio_parts.place_of(page) > 0 else page
            for page in audio_parts.pages(content)
        ]
        got = read(tmp_path / f"joined{extension}", content + audio_parts.put_together(later) + content)
        assert got.shape == (1, 300_000)
        if extension == ".ogg":  # of Opus that begins late libsndfile does not skip the encoder's 312 samples
            np.testing.assert_allclose(got, np.concatenate([audio] * 3, axis=1), atol=1e-6)


def test_sizes_that_mean_unknown(tmp_path):
    """WAV and FLAC as programs write them to a pipe, joined."""
    first, second, audio, more = two(tmp_path, ".wav")
    parts = []
    for part in map(bytearray, (first, second)):
        at = part.index(b"data")
        part[4:8] = part[at + 4 : at + 8] = b"\xff\xff\xff\xff"
        parts.append(bytes(part))
    np.testing.assert_array_equal(read(tmp_path / "a.wav", b"".join(parts)), np.concatenate([audio, more], axis=1))
    first, second, audio, more = two(tmp_path, ".flac")
    parts = [part[:21] + bytes([part[21] & 0xF0]) + bytes(4) + part[26:] for part in (first, second)]
    np.testing.assert_array_equal(read(tmp_path / "a.flac", b"".join(parts)), np.concatenate([audio, more], axis=1))


def test_too_many(tmp_path, monkeypatch):
    first = put(tmp_path, ".ogg", music(1, 500))[0].read_bytes()
    assert read(tmp_path / "a.ogg", first * 20).shape == (1, 10_000)
    monkeypatch.setattr(sounds, "MOST", 19)
    assert "more than 19 recordings" in refused(tmp_path / "a.ogg", first * 20)


@pytest.fixture
def songs(tmp_path):
    """Six seconds in each of three joined files, below a singer's folder."""
    folder = tmp_path / "songs" / "anna"
    folder.mkdir(parents=True)
    for extension in (".mp3", ".ogg", ".flac"):
        path, _, _ = put(folder, extension, music(1, 3 * RATE_HZ))
        path.write_bytes(path.read_bytes() * 2)
        path.rename(folder / f"{extension[1:]}{extension}")
    return folder


def test_batches(tmp_path, songs):
    report = batch.run(FakeEngine(), plan([songs], tmp_path / "out"), batch.ConversionSettings(Request("anna")))
    assert [entry.seconds for entry in report.entries] == [6.0, 6.0, 6.0] and not report.failures
    for entry in report.entries:
        assert io.probe(entry.output).samples == 6 * RATE_HZ


def test_prepare(tmp_path, songs):
    report = prepare(songs.parent, tmp_path / "corpus", jobs=1, valid=0, test=0, progress=False)
    assert not report.bad and report.seconds == pytest.approx(18.0, abs=0.02)
