"""Recordings, good and bad, made on the spot."""

import numpy as np
import soundfile


def tone(seconds=0.25, rate=24000, channels=1, hz=220.0, level=0.3):
    """[channels, samples]; each channel an octave above the one before."""
    time = np.arange(int(seconds * rate)) / rate
    return np.stack([level * np.sin(2 * np.pi * hz * 2**i * time) for i in range(channels)]).astype(np.float32)


def put(path, audio=None, rate=24000, subtype=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, (tone(rate=rate) if audio is None else audio).T, rate, subtype=subtype)
    return path


def bad_folder(folder):
    """One of everything that users have: {name: a word of its reason, or None if it is converted}."""
    put(folder / "good.wav")
    put(folder / "8k.wav", tone(rate=8000), 8000)
    put(folder / "96k.flac", tone(rate=96000, channels=2), 96000, "PCM_24")
    put(folder / "silence.wav", np.zeros((1, 6000), np.float32))
    put(folder / "one.wav", np.array([[0.5]], np.float32))
    put(folder / "deep" / "song.mp3", tone(1.0, 44100), 44100)
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("this is no recording\n" * 20)
    whole = put(folder / "cut.flac", np.random.default_rng(0).standard_normal((1, 60000)).astype(np.float32) * 0.1)
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    nan = tone()
    nan[0, 100] = np.nan
    put(folder / "nan.wav", nan, subtype="FLOAT")
    put(folder / "none.wav", np.zeros((1, 0), np.float32))
    good = ("good.wav", "8k.wav", "96k.flac", "silence.wav", "one.wav", "deep/song.mp3")
    bad = {"empty.wav": "empty", "text.wav": "not an audio file", "cut.flac": "cut short"}
    return dict.fromkeys(good) | bad | {"nan.wav": "NaN", "none.wav": "no samples"}
