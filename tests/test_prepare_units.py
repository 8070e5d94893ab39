"""Units of a content encoder, added to a prepared corpus."""

import numpy as np
import pytest
from song_folders import Encoder, run, two_singers

from fastsvc.data.corpus import Corpus
from fastsvc.data.prepare import add_units
from fastsvc.errors import ConfigError


@pytest.fixture
def dataset(tmp_path):
    return two_singers(tmp_path / "set")


def test_add_units(dataset, tmp_path):
    run(dataset, tmp_path / "out")
    encoder = Encoder()
    assert add_units(tmp_path / "out", encoder, progress=False) == 8
    corpus = Corpus(tmp_path / "out")
    assert corpus.encoder["name"] == "toy" and len(corpus.encoder["hash"]) == 64
    assert all(item.units.shape == (25, 2) and item.units.dtype == np.float16 for item in corpus.items)
    assert add_units(tmp_path / "out", encoder, progress=False) == 0 and encoder.calls == 8
    assert run(dataset, tmp_path / "out").reused == 8 and Corpus(tmp_path / "out").encoder == corpus.encoder


def test_units_of_two_encoders_do_not_mix(dataset, tmp_path):
    run(dataset, tmp_path / "out")
    add_units(tmp_path / "out", Encoder(), progress=False)
    other = Encoder(2.0)

    def broken(audio):
        if other.calls == 3:
            raise KeyboardInterrupt
        return Encoder.encode(other, audio)

    other.encode = broken
    with pytest.raises(KeyboardInterrupt):
        add_units(tmp_path / "out", other, progress=False)
    half = Corpus(tmp_path / "out")
    assert half.encoder is None and all(item.units is None for item in half.items)
    assert add_units(tmp_path / "out", Encoder(2.0), progress=False) == 5
    assert all(item.units[:, 1].max() > 1.8 for item in Corpus(tmp_path / "out").items)


def test_units_must_be_finite(dataset, tmp_path):
    run(dataset, tmp_path / "out")
    with pytest.raises(ConfigError, match="not finite"):
        add_units(tmp_path / "out", Encoder(1e9), progress=False)
