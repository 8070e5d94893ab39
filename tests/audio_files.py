"""One recording in every format that is read, by extension."""

import numpy as np
import soundfile

from fastsvc.audio import io

RATE_HZ, SAMPLES = 44100, 50021
# extension: (libsndfile's format, subtype, endian, largest error when read again; None: compressed with loss)
WRITTEN = {
    ".wav": ("WAV", "PCM_16", None, 4e-5),
    ".wave": ("WAVEX", "PCM_24", None, 2e-7),
    ".flac": ("FLAC", "PCM_16", None, 4e-5),
    ".mp3": ("MP3", "MPEG_LAYER_III", None, None),
    ".ogg": ("OGG", "VORBIS", None, None),
    ".oga": ("OGG", "VORBIS", None, None),
    ".opus": ("OGG", "OPUS", None, None),
    ".aif": ("AIFF", "PCM_24", None, 2e-7),
    ".aiff": ("AIFF", "PCM_16", None, 4e-5),
    ".aifc": ("AIFF", "FLOAT", None, 0.0),
    ".au": ("AU", "PCM_16", None, 4e-5),
    ".snd": ("AU", "FLOAT", "LITTLE", 0.0),
    ".caf": ("CAF", "PCM_24", None, 2e-7),
    ".w64": ("W64", "PCM_16", None, 4e-5),
    ".rf64": ("RF64", "PCM_16", None, 4e-5),
}
assert WRITTEN.keys() == io.SNDFILE


def music(channels=2, samples=SAMPLES, seed=0):
    """[channels, samples] of tones and a little noise: something for every encoder to do."""
    time = np.arange(samples) / RATE_HZ
    rng = np.random.default_rng(seed)
    tones = [0.3 * np.sin(2 * np.pi * 220 * (i + 1) * time) for i in range(channels)]
    return (np.stack(tones) + 0.05 * rng.standard_normal((channels, samples))).astype(np.float32)


def put(folder, extension, audio=None):
    """(path, what was written, its rate in Hz)"""
    format, subtype, endian, _ = WRITTEN[extension]
    rate_hz = 48000 if subtype == "OPUS" else RATE_HZ
    audio = music() if audio is None else audio
    path = folder / f"a{extension}"
    with soundfile.SoundFile(path, "w", rate_hz, len(audio), subtype, endian, format) as file:
        for start in range(0, audio.shape[1], 1 << 16):  # as encode.py does, which says why
            file.write(audio[:, start : start + (1 << 16)].T)
    return path, audio, rate_hz
