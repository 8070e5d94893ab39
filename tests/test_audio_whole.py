"""A cut recording is refused whatever its format; what merely looks odd is read."""

import audio_fuzz
import numpy as np
import pytest
import soundfile
from audio_files import RATE_HZ, WRITTEN, music, put

from fastsvc.audio import io, mp3
from fastsvc.errors import AudioError

LARGEST_LOSS = 0.05  # RMS of what lossy formats may change; of music() it is 0.22
CUTS = {"1 byte": 1, "5 bytes": 5, "a tenth off": 0.1, "half": 0.5, "a tenth left": 0.9, "almost all": 0.995}


@pytest.mark.parametrize("extension", sorted(WRITTEN))
def test_whole(tmp_path, extension):
    path, audio, rate_hz = put(tmp_path, extension)
    info = io.probe(path)
    assert (info.samples, info.channels, info.rate_hz) == (audio.shape[1], 2, rate_hz)
    got, got_hz = io.read(path)
    assert got.shape == audio.shape and got_hz == rate_hz
    error = WRITTEN[extension][3]
    if error is None:
        assert np.sqrt(np.mean((got - audio) ** 2)) < LARGEST_LOSS
    else:
        assert np.abs(got - audio).max() <= error


@pytest.mark.parametrize("extension", sorted(WRITTEN))
@pytest.mark.parametrize("cut", CUTS)
def test_cut(tmp_path, extension, cut):
    path, _, _ = put(tmp_path, extension)
    whole, share = path.read_bytes(), CUTS[cut]
    gone = share if isinstance(share, int) else int(len(whole) * share)
    path.write_bytes(whole[:-gone])
    reasons = []
    for look in (io.read, io.probe):
        try:
            look(path)
        except AudioError as error:
            reasons.append(str(error))
    assert reasons and "\n" not in reasons[0] and str(path) in reasons[0]
    if "byte" not in cut or WRITTEN[extension][0] not in ("FLAC", "MP3"):  # within their last frame
        assert len(reasons) == 2
    if share < 0.9:
        assert "cut short" in reasons[0]


@pytest.mark.parametrize("extension", [".ogg", ".oga", ".opus"])
def test_an_ogg_cut_between_two_pages(tmp_path, extension):
    """Every page that is there is whole; what is missing is the one that says that it is the last."""
    path, _, _ = put(tmp_path, extension, music(samples=4 * RATE_HZ))
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"OggS")])
    for look in (io.probe, io.read):
        with pytest.raises(AudioError, match="its last page is missing"):
            look(path)


def rewritten(path, place, content):
    data = bytearray(path.read_bytes())
    data[place : place + len(content)] = content
    path.write_bytes(data)


def place(path, name):
    return path.read_bytes().index(name)


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0x7FFFF000, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFF - 36])
@pytest.mark.parametrize("extension", [".wav", ".aiff", ".au"])
def test_sizes_that_mean_unknown(tmp_path, extension, size):
    """As programs leave them that write to a pipe, in all places."""
    path, audio, _ = put(tmp_path, extension)
    if extension == ".au":
        rewritten(path, 8, (size or 0xFFFFFFFF).to_bytes(4, "big"))
    else:
        order, chunk = ("little", b"data") if extension == ".wav" else ("big", b"SSND")
        rewritten(path, 4, size.to_bytes(4, order))
        rewritten(path, place(path, chunk) + 4, size.to_bytes(4, order))
    assert io.read(path)[0].shape == audio.shape == (2, io.probe(path).samples)


@pytest.mark.parametrize("extension", [".wav", ".aiff", ".rf64", ".caf", ".w64", ".mp3", ".flac"])
def test_what_follows_the_audio_may_be_anything(tmp_path, extension):
    path, audio, _ = put(tmp_path, extension)
    for trailer in (b"TAG" + bytes(125), bytes(1000), b"LIST\xff\xff\xff\x00INFO"):
        whole = path.read_bytes()
        path.write_bytes(whole + trailer)
        assert io.read(path)[0].shape == audio.shape
        path.write_bytes(whole)


@pytest.mark.parametrize("size", [0, 2**63 - 1, 2**64 - 1])
@pytest.mark.parametrize("extension", [".rf64", ".w64"])
def test_sizes_in_64_bits_that_mean_unknown(tmp_path, extension, size):
    path, audio, _ = put(tmp_path, extension)
    if extension == ".rf64":
        at = place(path, b"ds64")
        rewritten(path, at + 8, 3 * size.to_bytes(8, "little"))
        rewritten(path, place(path, b"data") + 4, b"\xff\xff\xff\xff")
    else:
        rewritten(path, place(path, b"data") + 16, size.to_bytes(8, "little"))
    assert io.read(path)[0].shape == audio.shape == (2, io.probe(path).samples)


def test_a_size_near_2_to_the_32_is_no_excuse(tmp_path):
    """A long recording cut short: its size is large, but says something."""
    path, _, _ = put(tmp_path, ".wav")
    rewritten(path, place(path, b"data") + 4, (0xF0000000).to_bytes(4, "little"))
    rewritten(path, 4, (0xF0000024).to_bytes(4, "little"))
    with pytest.raises(AudioError, match="cut short: holds 200,084 of 4,026,531,840 bytes"):
        io.probe(path)


@pytest.mark.parametrize("samples", [1000, 10**6])
def test_a_flac_whose_header_lies(tmp_path, samples):
    path, _, _ = put(tmp_path, ".flac")
    head = int.from_bytes(path.read_bytes()[18:26], "big")
    rewritten(path, 18, (head >> 36 << 36 | samples).to_bytes(8, "big"))
    words = {1000: "holds 50,021 samples where its header promises 1,000", 10**6: "cut short"}
    with pytest.raises(AudioError, match=words[samples]):
        io.probe(path)


@pytest.mark.parametrize("samples", [50021, 4096, 100, 300_000])
def test_a_flac_of_unknown_length(tmp_path, samples):
    """As ffmpeg writes it to a pipe."""
    path, audio, _ = put(tmp_path, ".flac", music(samples=samples))
    head = int.from_bytes(path.read_bytes()[18:26], "big")
    rewritten(path, 18, (head >> 36 << 36).to_bytes(8, "big"))
    assert io.probe(path).samples == samples
    np.testing.assert_allclose(io.read(path)[0], audio, atol=4e-5)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(AudioError, match="cut short"):
        io.read(path)


@pytest.mark.parametrize("rate_hz", [0, 1, 999, 1_000_001, 2**31 - 1, 2**31, 2**32 - 1])
def test_rates_that_no_recording_has(tmp_path, rate_hz):
    """One sample a second would be resampled to a file of hours; libsoxr crashes at 2^31."""
    path, _, _ = put(tmp_path, ".wav")
    rewritten(path, 24, rate_hz.to_bytes(4, "little"))
    with pytest.raises(AudioError, match="damaged"):
        io.probe(path)


def test_neither_names_nor_neighbours_matter(tmp_path):
    """By path libsndfile takes what lies beside a file, and takes any .au for raw samples."""
    path, audio, _ = put(tmp_path, ".mp3")
    (tmp_path / "._a.mp3").write_bytes(b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        " + bytes(4000))
    assert io.read(path)[0].shape == audio.shape
    for name in ("a.au", "a.snd", "a.vox", "a.gsm", "a.raw"):
        (tmp_path / name).write_bytes(b"these are words, and no recording\n" * 100)
        with pytest.raises(AudioError, match="not an audio file"):
            io.read(tmp_path / name)


def test_a_few_damaged_recordings(tmp_path):
    """Sixty of the thousands of fuzz_audio.py."""
    faults, read, refused = audio_fuzz.run(tmp_path / "fuzz", 60, 3, 60)
    assert not faults and read + refused == 60 and read > 5 and refused > 20


def test_an_mp3_that_ends_within_its_tag(tmp_path):
    path, _, _ = put(tmp_path, ".mp3")
    content = path.read_bytes()
    at = content.index(b"Info") if b"Info" in content else content.index(b"Xing")
    for end in range(at, at + 12):
        path.write_bytes(content[:end])
        with pytest.raises(AudioError):
            io.read(path)


def test_tags_of_mp3_as_other_programs_write_them(tmp_path):
    """Bytes without the tag's own frame; no bytes; no delays, so that the encoder's silence is read, too."""
    path, audio, _ = put(tmp_path, ".mp3")
    content = path.read_bytes()
    at = content.index(b"Info") if b"Info" in content else content.index(b"Xing")
    size = int.from_bytes(content[at + 12 : at + 16], "big")
    for change, longer in (
        ({12: (size - 417).to_bytes(4, "big")}, False),
        ({12: bytes(4)}, False),
        ({141: bytes(3)}, True),
        ({120: bytes(36)}, True),
    ):
        path.write_bytes(content)
        for place, new in change.items():
            rewritten(path, at + place, new)
        samples = io.read(path)[0].shape[1]
        assert samples == io.probe(path).samples
        assert audio.shape[1] < samples < audio.shape[1] + 3000 if longer else samples == audio.shape[1]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate_hz", [44100, 22050])
def test_an_mp3_without_a_tag(tmp_path, channels, rate_hz):
    """As LAME and ffmpeg write it to a pipe: libsndfile guesses by the first frames, here a tenth of the truth."""
    audio = music(channels, 3 * RATE_HZ)
    audio[:, RATE_HZ:] *= 0.001
    path = tmp_path / "a.mp3"
    with soundfile.SoundFile(path, "w", rate_hz, channels, format="MP3") as file:
        for start in range(0, audio.shape[1], 1 << 16):
            file.write(audio[:, start : start + (1 << 16)].T)
    tagged, content = io.read(path)[0], path.read_bytes()
    first = mp3.frame(content)
    assert tagged.shape == audio.shape and first.size
    for tail in (b"", b"TAG" + bytes(125), b"APETAGEX" + bytes(500)):
        path.write_bytes(content[first.size :] + tail)
        info, got = io.probe(path), io.read(path)[0]
        assert got.shape[1] == info.samples and (got.shape[1] + 529) % (1152 if rate_hz == 44100 else 576) == 0
        # A decoder's delay is left out, an encoder's is not known.
        assert audio.shape[1] + 576 <= got.shape[1] < audio.shape[1] + 3 * 1152
        np.testing.assert_allclose(got[:, 576 : 576 + audio.shape[1]], tagged, atol=1e-3)


def test_an_mp3_without_a_tag_and_with_something_in_it(tmp_path):
    path, _, _ = put(tmp_path, ".mp3", music(samples=6 * RATE_HZ))
    content = path.read_bytes()
    content = content[mp3.frame(content).size :]
    path.write_bytes(content[: len(content) // 3] + bytes(100_000) + content[len(content) // 3 :])
    with pytest.raises(AudioError, match="does not say how long it is|damaged or cut short"):
        io.read(path)
