"""Cases of recordings that FFmpeg reads, for tests: how each is written, and what must come back."""

import numpy as np
import pytest
from media_files import chirp, encode, lag

from fastsvc.audio import io
from fastsvc.errors import AudioError

SAMPLES = 20011
# (suffix, container, codec, rate in Hz, channels, what comes before, what may come behind): the container says where
# the recording begins and ends, or the codec keeps each sample.
EXACT = [
    ("m4a", "ipod", "aac", 44100, 2),
    ("m4a", "ipod", "aac", 8000, 1),
    ("mp4", "mp4", "aac", 22050, 2),
    ("mov", "mov", "aac", 48000, 2),
    ("3gp", "3gp", "aac", 44100, 1),
    ("m4a", "ipod", "aac", 96000, 1),
    ("m4a", "ipod", "alac", 44100, 2),
    ("caf", "caf", "alac", 44100, 2),
    ("mp4", "mp4", "flac", 96000, 2),
    ("mp4", "mp4", "libopus", 48000, 2),
    ("webm", "webm", "libopus", 48000, 1),
    ("mkv", "matroska", "flac", 44100, 2),
    ("mka", "matroska", "pcm_s16le", 22050, 1),
    ("mov", "mov", "pcm_s24le", 44100, 2),
    ("mov", "mov", "pcm_s16be", 8000, 1),
    ("wv", "wv", "wavpack", 44100, 2),
    ("tta", "tta", "tta", 44100, 2),
]
# The same, where nothing in the file says so: the encoder's delay stays, and the last packet's rest.
LOOSE = [
    ("aac", "adts", "aac", 44100, 2, 1024, 2048),
    ("ac3", "ac3", "ac3", 48000, 2, 256, 1536),
    ("eac3", "eac3", "eac3", 48000, 2, 256, 1536),
    ("wav", "wav", "ac3", 48000, 2, 256, 1536),
    ("webm", "webm", "vorbis", 44100, 2, 0, 64),
    ("wav", "wav", "libmp3lame", 44100, 2, 576, 2304),  # by libsndfile, which leaves 529 of the delay out
    ("wma", "asf", "wmav2", 44100, 2, -2048, 2048),  # FFmpeg's encoder begins 2048 samples later than Microsoft's
]
CUT = [*EXACT, *(one[:5] for one in LOOSE)]


def name_of(case):
    return "-".join(map(str, case[:5]))


def put(folder, case, samples=SAMPLES):
    suffix, container, codec, rate, channels = case[:5]
    audio, path = chirp(samples, rate, channels), folder / f"a.{suffix}"
    options = {"b": 128000} if container == "asf" else {}
    exact16 = {"wavpack": "s16p", "tta": "s16", "flac": "s16", "alac": "s16p"}
    return encode(path, audio, rate, codec, container, exact16.get(codec), **options), audio


def reason(path):
    with pytest.raises(AudioError) as caught:
        io.read(path)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(str(path))
    return str(caught.value)


def check(path, audio, rate, behind=0, before=0):
    info, (got, got_hz) = io.probe(path), io.read(path)
    assert (info.samples, info.rate_hz, info.channels) == (got.shape[1], got_hz, len(got)) and got.dtype == np.float32
    assert got_hz == rate and len(got) == len(audio)
    assert abs(got.shape[1] - audio.shape[1] - min(before, 0)) <= behind
    for made, wanted in zip(got, audio):
        assert abs(lag(made, wanted) - before) <= 1
    middle = slice(4096, 12288)
    level = np.sqrt(np.mean(got[:, middle] ** 2) / np.mean(audio[:, middle] ** 2))
    assert 0.93 < level < 1.07
