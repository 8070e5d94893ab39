"""Errors that clients of the server see name nothing that only the command line has."""

import tempfile

import pytest

from fastsvc.checkpoints.files import config_search, index_beside
from fastsvc.engine.speakers import Speakers
from fastsvc.errors import FastsvcError
from fastsvc.features.f0 import pitch_weights
from fastsvc.reading import lookalikes
from fastsvc.serve.builds import build, limits
from fastsvc.serve.messages import public


def _remedy(text: str) -> str:
    return public(FastsvcError("what: why", text))["remedy"]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("mix them with --channels mono, or choose --format wav", "mix them with channels mono, or choose format wav"),
        ("so --index-rate, --protect and --f0 do not apply", "so index_rate, protect and f0 do not apply"),
        ("or build the engine again with --steps 8", "or use `fastsvc build` with its option steps 8"),
        (
            "name that HuBERT with --content, as no",
            "send that HuBERT with the voice, as the form's part content, as no",
        ),
        ("omit --config", "send the voice without a configuration"),
        ("build for this GPU, or use --device cpu", "build for this GPU, or ask who runs the server to use the CPU"),
        ("start the server with more --memory", "start the server with more --memory"),
    ],
)
def test_words(text, expected):
    assert _remedy(text) == expected


@pytest.mark.parametrize("text", [pitch_weights.RMVPE_SOURCE, index_beside.NAMED, lookalikes._INDEX_REMEDY])
def test_remedies_of_other_rooms_are_known_here(text):
    """They stand in other rooms' words, which may change: then these rules have to follow."""
    assert "--" in text and _remedy(text) and "--" not in _remedy(text)


def test_a_missing_configuration_is_sent_with_the_voice(tmp_path):
    remedy = _remedy(config_search.proposal(tmp_path / "voice.pt", "config.yaml"))
    assert remedy == "send the configuration with the voice"


def test_speakers_are_listed_where_clients_can_look():
    with pytest.raises(FastsvcError) as refused:
        Speakers(tuple(f"voice {number}" for number in range(20))).weights("nobody")
    assert "all in /api/v1/voices" in public(refused.value)["remedy"]


@pytest.mark.parametrize("content", [b"", b"no voice at all", b"PK\3\4" + bytes(50)])
def test_errors_of_builds_name_what_was_sent(tmp_path, content, monkeypatch):
    """The file lies under a name of ours, which nobody else has seen."""
    monkeypatch.setattr(limits, "apply", lambda memory_bytes: None)
    monkeypatch.setattr(tempfile, "tempdir", tempfile.gettempdir())
    (tmp_path / build.UPLOAD).mkdir()
    (tmp_path / build.UPLOAD / "voice.zip").write_bytes(content)
    values = {"voice": "x", "folder": str(tmp_path), "received": {"voice": "voice.zip"}, "engines": []}
    with pytest.raises(FastsvcError) as refused:
        build.run(lambda line: None, lambda share: None, name="Lena", memory_bytes=10**10, **values)
    assert str(refused.value).startswith("Lena ") and "voice.zip" not in str(refused.value)
