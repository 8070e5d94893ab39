"""Readers for tests: pieces of their recordings, archives that lack one, what Moonshine writes down."""

import hashlib
import io
import sys
import tarfile
import types
import zipfile

import numpy as np
import pytest
import soundfile

from bench import phones
from bench.speech import readers
from bench.speech.fetch import FetchError


def test_pieces_are_whole_and_cut_where_it_is_quiet():
    rng = np.random.default_rng(0)
    audio = rng.normal(size=20 * readers.RATE_HZ).astype(np.float32)
    quiet = slice(int(5.5 * readers.RATE_HZ), int(5.8 * readers.RATE_HZ))
    audio[quiet] = 0
    cut = list(readers.pieces(audio))
    assert quiet.start <= len(cut[0]) <= quiet.stop
    assert np.array_equal(np.concatenate(cut), audio[: sum(map(len, cut))])
    assert sum(map(len, cut)) > len(audio) - readers.SHORTEST_S * readers.RATE_HZ
    assert all(len(piece) <= readers.LONGEST_S * readers.RATE_HZ for piece in cut)
    assert list(readers.pieces(audio[:100])) == []


def packed(path, name: str, content: bytes) -> str:
    """Write the archive → its SHA-256."""
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_recordings_lie_in_archives_and_archives_within_them(tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("assets/b.wav", b"second")
        archive.writestr("assets/a.wav", b"first")
    first = packed(tmp_path / "one-1.tar.gz", "one-1/res/job.zip", inner.getvalue())
    second = packed(tmp_path / "two-2.tar.gz", "two-2/data/c.wav", b"third")
    nested = readers.Reader("x", "one==1", first, ("a.wav", "b.wav"), "res/job.zip")
    assert list(readers.recordings(nested, tmp_path)) == [b"first", b"second"]
    plain = readers.Reader("y", "two==2", second, ("data/c.wav",))
    assert list(readers.recordings(plain, tmp_path)) == [b"third"]
    with pytest.raises(FetchError, match="remove it"):
        list(readers.recordings(readers.Reader("y", "two==2", first, ("data/c.wav",)), tmp_path))
    with pytest.raises(FetchError, match=r"holds no data/d\.wav"):
        list(readers.recordings(readers.Reader("y", "two==2", second, ("data/d.wav",)), tmp_path))


def test_moonshine_writes_down_what_no_text_says(tmp_path, monkeypatch):
    said = {3.0: ["five", "words", "are", "said", "here"], 2.5: ["too", "few"]}
    judge = types.ModuleType("words")
    judge.words = lambda audio, rate_hz: said[len(audio) / rate_hz]
    monkeypatch.setitem(sys.modules, "fastsvc.evaluation.ears.words", judge)
    from fastsvc.evaluation import ears

    monkeypatch.setattr(ears, "words", judge, raising=False)
    (tmp_path / "below").mkdir()
    for name, seconds in (("below/long", 3.0), ("few", 2.5), ("short", 1.0), ("endless", 11.0)):
        soundfile.write(tmp_path / f"{name}.wav", np.zeros(int(seconds * 8000)), 8000)
    assert phones.heard(tmp_path) == {"below/long": "five words are said here"}
