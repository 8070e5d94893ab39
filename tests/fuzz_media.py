"""300 damaged recordings of the kinds that FFmpeg reads: no crash, hang, traceback, nor a file cut unnoticed.

Run by `make fuzz`. FASTSVC_FUZZ: how many (default 300); FASTSVC_FUZZ_SEED: others.
"""

import os

import audio_fuzz
import pytest
from media_files import aac_in_caf, chirp, encode

pytest.importorskip("av")
COUNT, SEED = int(os.environ.get("FASTSVC_FUZZ", "300")), int(os.environ.get("FASTSVC_FUZZ_SEED", "0"))
# extension: (container, codec, rate in Hz)
WRITTEN = {
    ".m4a": ("ipod", "aac", 44100),
    ".m4b": ("ipod", "alac", 44100),
    ".aac": ("adts", "aac", 44100),
    ".mp4": ("mp4", "flac", 44100),
    ".mov": ("mov", "pcm_s16be", 44100),
    ".webm": ("webm", "libopus", 48000),
    ".mka": ("matroska", "vorbis", 44100),
    ".mkv": ("matroska", "aac", 44100),
    ".wma": ("asf", "wmav2", 44100),
    ".ac3": ("ac3", "ac3", 48000),
    ".eac3": ("eac3", "eac3", 48000),
    ".wv": ("wv", "wavpack", 44100),
    ".tta": ("tta", "tta", 44100),
    ".caf": ("caf", "alac", 44100),
}


def wholes(folder):
    """{extension: content}"""
    for extension, (container, codec, rate_hz) in WRITTEN.items():
        options = {"b": 128000} if container == "asf" else {}
        encode(folder / f"a{extension}", chirp(9001, rate_hz), rate_hz, codec, container, **options)
    aac_in_caf(folder / "a.x.caf", folder / "a.aac", 9001)
    (folder / "a.x.caf").rename(folder / "a.snd")
    return {one: (folder / f"a{one}").read_bytes() for one in [*WRITTEN, ".snd"]}


@pytest.mark.timeout(3600)
def test_damaged_recordings(tmp_path, record_property):
    faults, read, refused = audio_fuzz.run(tmp_path / "fuzz", COUNT, SEED, wholes=wholes)
    record_property("say", f"fuzz: {COUNT} damaged recordings: {read} read, {refused} refused, {len(faults)} faults")
    assert not faults, "\n".join(faults)
