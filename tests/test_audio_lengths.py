"""Inputs of which a header gives the length wrongly or not at all: read in full, or refused in one clear line."""

import re
import struct

import audio_parts
import numpy as np
import pytest
import soundfile
from audio_files import RATE_HZ, music, put
from audio_parts import ID3V2
from test_joined import read, refused

from fastsvc.audio import chunks, completeness, io, mp3
from fastsvc.audio.file_part import FilePart, SndfileStream
from fastsvc.errors import AudioError

SAMPLES = 50_021
SENTINELS = re.compile(r"[\d,]{14,}|2,147,4\d\d,|4,294,9\d\d,|-1\b|None|<|\{")


def change(path, place, content):
    data = bytearray(path.read_bytes())
    data[place : place + len(content)] = content
    path.write_bytes(data)


def say_frames(path, frames):
    place = audio_parts.tag_place(path.read_bytes())
    change(path, place + 8, frames.to_bytes(4, "big"))


@pytest.mark.parametrize("wrong", ["none", 10, -8, -1, 1, 5, "all bits"])
def test_an_mp3_whose_tag_counts_wrongly(tmp_path, wrong):
    """Its bytes are right, so the frames that are there are all that ever were."""
    path, audio, _ = put(tmp_path, ".mp3")
    right = io.read(path)[0]
    frames = audio_parts.untagged(path.read_bytes())[1]
    said = {"none": 0, 10: 10, "all bits": 2**32 - 1}.get(wrong)
    say_frames(path, frames + wrong if said is None else said)
    np.testing.assert_array_equal(read(path, path.read_bytes()), right)
    assert right.shape == audio.shape


def test_an_mp3_whose_tag_counts_itself_and_no_bytes(tmp_path):
    path, audio, _ = put(tmp_path, ".mp3")
    content = path.read_bytes()
    place, frames = audio_parts.tag_place(content), audio_parts.untagged(content)[1]
    say_frames(path, frames + 1)
    change(path, place + 12, bytes(4))
    assert read(path, path.read_bytes()).shape == audio.shape
    say_frames(path, frames + 2)
    assert "damaged or cut short" in refused(path, path.read_bytes())


@pytest.mark.parametrize("number", [2**31 - 1, 2**32 - 1])
def test_an_mp3_whose_tag_says_that_nobody_knew(tmp_path, number):
    path, _, _ = put(tmp_path, ".mp3")
    right = io.read(path)[0]
    place = audio_parts.tag_place(path.read_bytes())
    change(path, place + 8, 2 * number.to_bytes(4, "big"))
    np.testing.assert_array_equal(read(path, path.read_bytes()), right)
    assert not SENTINELS.search(refused(path, path.read_bytes()[: place + 400]).split(": ", 1)[1])


def test_an_mp3_whose_tag_does_not_count(tmp_path):
    """Its delays are not known then: 1152 samples a frame, less the decoder's."""
    path, _, _ = put(tmp_path, ".mp3")
    content = path.read_bytes()
    frames = audio_parts.untagged(content)[1]
    change(path, audio_parts.tag_place(content) + 7, b"\x0e")  # as before, without the number of frames
    assert read(path, path.read_bytes()).shape == (2, 1152 * frames - 529)


@pytest.mark.parametrize("rate_hz", [8000, 11025, 22050, 44100, 48000])
def test_mp3_of_every_version(tmp_path, rate_hz):
    """MPEG 1, 2 and 2.5: 1152 or 576 samples a frame."""
    samples = 40_000
    io.write(tmp_path / "a.mp3", music(1, samples), rate_hz, "mp3")
    bare, frames = audio_parts.untagged((tmp_path / "a.mp3").read_bytes())
    assert read(tmp_path / "b.mp3", (tmp_path / "a.mp3").read_bytes()).shape == (1, samples)
    assert read(tmp_path / "b.mp3", bare).shape == (1, (1152 if rate_hz > 32000 else 576) * frames - 529)


def test_the_free_format(tmp_path):
    """Frames whose header gives no bit rate: what is between them tells how long they are."""
    try:
        soundfile.write(tmp_path / "a.mp3", music(1).T, RATE_HZ, bitrate_mode="CONSTANT", compression_level=0.5)
    except TypeError:
        pytest.skip("this soundfile knows no bit rates")
    bare, frames = audio_parts.untagged((tmp_path / "a.mp3").read_bytes())
    right, sizes, content, place = read(tmp_path / "a.mp3", bare), audio_parts.sizes(bare), bytearray(bare), 0
    assert right.shape == (1, 1152 * frames - 529) and max(sizes) == min(sizes) + 1
    for size in sizes:
        content[place + 2] &= 0x0F
        place += size
    assert mp3.frame(content).size == 0
    np.testing.assert_array_equal(read(tmp_path / "a.mp3", bytes(content)), right)
    assert read(tmp_path / "a.mp3", bytes(content) * 2).shape == (1, 2304 * frames - 529)


@pytest.mark.parametrize("head, size", [(b"\xff\xfd\x80\xc0", 417), (b"\xff\xf5\x80\xc0", 417)], ids=["1", "2"])
def test_layer_2(tmp_path, head, size):
    """1152 samples a frame, whatever the version; all zeros are silence. Their encoders write no tags."""
    content = (head + bytes(size - 4)) * 40
    assert audio_parts.sizes(content) == [size] * 40
    assert read(tmp_path / "a.mp3", content).shape == (1, 1152 * 40)
    assert read(tmp_path / "a.mp3", content + ID3V2 + content).shape == (1, 1152 * 80)


def test_mp3_in_wav(tmp_path):
    """Format tag 0x55: libsndfile estimates how long it is."""
    bare, frames = audio_parts.untagged(put(tmp_path, ".mp3")[0].read_bytes())
    words = struct.pack("<HHIIHHHHIHHH", 0x55, 2, RATE_HZ, 16000, 1, 0, 12, 1, 2, 417, 1, 1393)
    chunk = b"fmt " + struct.pack("<I", len(words)) + words + b"data" + struct.pack("<I", len(bare)) + bare
    content = b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WAVE" + chunk + bytes(len(bare) & 1)
    right = read(tmp_path / "a.mp3", bare)
    np.testing.assert_array_equal(read(tmp_path / "a.wav", content), right)
    assert right.shape == (2, 1152 * frames - 529)
    assert read(tmp_path / "a.wav", content * 2).shape == (2, 2 * right.shape[1])
    assert "cut short: holds" in refused(tmp_path / "a.wav", content[:-5000])


def test_flac_in_ogg(tmp_path):
    """Which libsndfile cannot read: its pages hold a FLAC file."""
    path, audio, _ = put(tmp_path, ".flac", music(1))
    flac = path.read_bytes()
    header = 42  # with the first of its blocks; the others are left out
    frames = flac[audio_parts.flac_frames(flac) :]
    first = b"\x7fFLAC\x01\x00\x00\x00" + flac[:4] + b"\x80" + flac[5:header]
    content = audio_parts.paged([first, *(frames[at : at + 5000] for at in range(0, len(frames), 5000))], len(audio[0]))
    np.testing.assert_allclose(read(tmp_path / "a.oga", content), audio, atol=4e-5)
    assert read(tmp_path / "a.oga", content * 2).shape == (1, 2 * len(audio[0]))
    for gone in (3000, 30_000):
        assert "cut short" in refused(tmp_path / "a.oga", content[:-gone])


@pytest.mark.parametrize("extension", [".ogg", ".opus"])
@pytest.mark.parametrize("place", [-1, 2**40, 2**63 - 1])
def test_an_ogg_whose_last_page_lies(tmp_path, extension, place):
    path, _, _ = put(tmp_path, extension, music(1, 2 * RATE_HZ))
    pages = audio_parts.pages(path.read_bytes())
    audio_parts.placed(pages[-1], place)
    words = refused(path, audio_parts.put_together(pages))
    assert "does not say" in words and not SENTINELS.search(words.split(": ", 1)[1])


@pytest.mark.parametrize("size", [-1, 0, 2**62, 2**63 - 1])
def test_a_caf_to_the_end_of_the_file(tmp_path, size):
    path, audio, _ = put(tmp_path, ".caf")
    change(path, path.read_bytes().index(b"data") + 4, size.to_bytes(8, "big", signed=True))
    np.testing.assert_allclose(read(path, path.read_bytes()), audio, atol=2e-7)


@pytest.mark.parametrize("extension", [".wav", ".aiff", ".au", ".caf", ".w64", ".rf64"])
@pytest.mark.parametrize("size", [404, 100_000])
def test_sizes_that_are_too_small(tmp_path, extension, size):
    """As a recorder leaves them that was stopped before it wrote the last: libsndfile reads no more than they say."""
    path, _, _ = put(tmp_path, extension, music(samples=100_000))
    place = {".caf": path.read_bytes().find(b"data") + 4, ".au": 8, ".aiff": path.read_bytes().find(b"SSND") + 4}
    place |= {".w64": path.read_bytes().find(b"data\xf3") + 16, ".rf64": path.read_bytes().find(b"ds64") + 16}
    width = 8 if extension in (".caf", ".w64", ".rf64") else 4
    order = "big" if extension in (".caf", ".au", ".aiff") else "little"
    change(path, place.get(extension, path.read_bytes().find(b"data") + 4), size.to_bytes(width, order))
    if extension == ".rf64":
        change(path, path.read_bytes().index(b"data") + 4, b"\xff\xff\xff\xff")
    for look in (io.probe, io.read):
        with pytest.raises(AudioError, match="damaged: its header promises [0-9,]+ bytes of audio, and [0-9,]+ bytes"):
            look(path)


@pytest.mark.parametrize("size", [2 * 2 * SAMPLES - 1, 2 * 2 * SAMPLES + 1])
def test_a_wav_of_an_odd_size(tmp_path, size):
    path, _, _ = put(tmp_path, ".wav")
    change(path, path.read_bytes().index(b"data") + 4, size.to_bytes(4, "little"))
    assert read(path, path.read_bytes()).shape == (2, min(SAMPLES, size // 4))


def test_large_tags_behind_the_audio(tmp_path):
    """A picture in a chunk, in ID3 or APE tags is no audio, and no damage."""
    path, audio, _ = put(tmp_path, ".wav")
    whole_file, picture = path.read_bytes(), bytes(range(256)) * 400
    sizes = bytes(len(picture) >> shift & 127 for shift in (21, 14, 7, 0))
    ape = b"APETAGEX" + (2000).to_bytes(4, "little") + len(picture).to_bytes(4, "little") + bytes(16)
    chunk = b"PICT" + len(picture).to_bytes(4, "little")
    for tag in (b"ID3\x03\0\0" + sizes + picture, ape + picture, chunk + picture, b"LIST\xff\xff\xff\0" + picture):
        assert read(path, whole_file + tag).shape == audio.shape


@pytest.mark.parametrize("samples", [2**36 - 1, 2**36 - 2, 0])
def test_a_flac_with_all_bits_set(tmp_path, samples):
    path, audio, _ = put(tmp_path, ".flac")
    head = int.from_bytes(path.read_bytes()[18:26], "big")
    change(path, 18, (head >> 36 << 36 | samples).to_bytes(8, "big"))
    np.testing.assert_allclose(read(path, path.read_bytes()), audio, atol=4e-5)


class Sparse(FilePart):
    """The header of a file, then silence up to ``size``."""

    def __init__(self, head, size):
        super().__init__(None, head)
        self.size = size

    def at(self, place, count):
        there = b"" if place >= self.size else super().at(place, count)
        return there.ljust(max(0, min(count, self.size - place)), b"\0")


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0xFFFFFFFF])
@pytest.mark.parametrize("gib", [1, 3, 5])
def test_a_wav_of_unknown_size_and_gibibytes(tmp_path, size, gib):
    path, _, _ = put(tmp_path, ".wav", music(samples=0))
    change(path, 40, size.to_bytes(4, "little"))
    source = Sparse(path.read_bytes(), gib << 30)
    assert completeness.kind(source) == ("wav", 0) and not completeness.fault(source, "wav", 0)
    with soundfile.SoundFile(SndfileStream(completeness.with_true_length(source, "wav", 0))) as file:
        assert (file.frames, file.channels) == (((gib << 30) - 44) // 4, 2)


@pytest.mark.parametrize("size", [1 << 31, (1 << 32) - (1 << 15)])
def test_a_size_near_those_that_mean_unknown(tmp_path, size):
    """It is true if the audio ends there."""
    path, _, _ = put(tmp_path, ".wav", music(samples=0))
    change(path, 40, size.to_bytes(4, "little"))
    for tail in (0, 100, 1 << 16):
        assert chunks.data(Sparse(path.read_bytes(), 44 + size + tail), "wav", 0).size == size
    assert chunks.data(Sparse(path.read_bytes(), 44 + size + (1 << 20)), "wav", 0).size is None
