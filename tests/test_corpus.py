"""Crops of a prepared corpus: aligned with each other, deterministic, padded where an item is short."""

import json

import numpy as np
import pytest
import torch

from fastsvc.config import FeatureConfig, MelConfig, to_dict
from fastsvc.data.corpus import Corpus
from fastsvc.data.pseudo import add_pseudo_labels
from fastsvc.data.units import add_units
from fastsvc.errors import ConfigError

HOP = 100
MEL = MelConfig(rate_hz=10000, hop_samples=HOP, fft_samples=256, window_samples=256, bins=8, high_hz=5000.0)
FRAME_S = HOP / MEL.rate_hz
FRAMES = {"a": 50, "b": 200, "c": 7}


def save(folder, units=True, tail=37):
    """Each value of each array says which item and frame it belongs to."""
    items = []
    for index, (name, frames) in enumerate(FRAMES.items()):
        frame = np.arange(frames)
        audio = np.repeat(frame + 300 * index, HOP).astype(np.int16)
        arrays = {
            "audio": np.concatenate((audio, np.full(tail, 32000, np.int16))),
            "f0_hz": (100 + frame).astype(np.float32),
            "voiced": frame % 2 == 0,
            "volume": (frame / 1024).astype(np.float32),
        }
        if units:  # one for every two frames
            arrays["units"] = np.stack([np.arange((frames + 1) // 2)] * 3, 1).astype(np.float16)
            arrays["units_hash"] = np.array("abc")
        if name == "b":  # ten frames each, from frame 20 to 120
            arrays["phone_ids"] = np.arange(10, dtype=np.int16) % 4
            starts = (20 + 10 * np.arange(10)) * FRAME_S
            arrays["phone_times_s"] = np.stack((starts, starts + 10 * FRAME_S), 1).astype(np.float32)
        (folder / "items").mkdir(exist_ok=True, parents=True)
        np.savez(folder / "items" / f"{name}.npz", **arrays)
        split, singer = ("valid", "two") if name == "c" else ("train", ("one", "two")[index])
        item = {"id": name, "singer": singer, "song": name, "split": split, "frames": frames}
        items.append(item | {"samples": len(arrays["audio"]), "file": f"items/{name}.npz"})
    corpus = {"format": 1, "mel": to_dict(MEL), "features": to_dict(FeatureConfig()), "singers": ["one", "two"]}
    corpus |= {"phones": list("pqrs"), "items": items, "mel_mean": [0.0] * 8, "mel_std": [1.0] * 8}
    corpus |= {"singer_f0_hz": {"one": 120.0, "two": 200.0}}
    if units:
        corpus["encoder"] = {"name": "toy", "hash": "abc"}
    (folder / "corpus.json").write_text(json.dumps(corpus))
    return folder


@pytest.fixture
def corpus(tmp_path):
    return Corpus(save(tmp_path))


def test_crops_are_aligned(corpus):
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(100):
        crop = corpus.crop(rng, "train", 31)
        first = round(float(crop["f0_hz"][0]) - 100)
        frame = first + np.arange(31)
        item = int(np.rint(crop["audio"][0] * 32768)) // 300
        seen.add(item)
        np.testing.assert_array_equal(np.rint(crop["audio"] * 32768), np.repeat(frame + 300 * item, HOP))
        np.testing.assert_array_equal(crop["f0_hz"], 100 + frame)
        np.testing.assert_array_equal(crop["voiced"], frame % 2 == 0)
        np.testing.assert_allclose(crop["volume"], frame / 1024, rtol=1e-3)
        np.testing.assert_array_equal(crop["units"][:, 2], frame // 2)
        assert crop["singer"] == item and crop["mask"].all()
        sung = (item == 1) & (frame >= 20) & (frame < 120)
        np.testing.assert_array_equal(crop["phone_labels"], np.where(sung, (frame - 20) // 10 % 4, -1))
    assert seen == {0, 1}


def test_phone_sequence_holds_what_lies_mostly_inside(corpus):
    item = corpus.items[1]
    assert corpus.cut(item, 20, 100)["phones"].tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    assert corpus.cut(item, 24, 12)["phones"].tolist() == [0, 1]
    assert corpus.cut(item, 26, 12)["phones"].tolist() == [1]
    assert corpus.cut(item, 150, 20)["phones"].tolist() == []
    assert corpus.cut(corpus.items[0], 0, 20)["phones"].tolist() == []


def test_every_frame_is_as_likely(corpus):
    rng = np.random.default_rng(0)
    singers = [corpus.crop(rng, "train", 1)["singer"] for _ in range(2000)]
    assert np.mean(singers) == pytest.approx(200 / 250, abs=0.03)
    firsts = [corpus.crop(rng, "train", 50, singer=0)["f0_hz"][0] for _ in range(20)]
    assert set(firsts) == {100.0}
    firsts = {int(corpus.crop(rng, "train", 49, singer=0)["f0_hz"][0]) for _ in range(50)}
    assert firsts == {100, 101}


def test_short_items_are_padded(corpus):
    crop = corpus.crop(np.random.default_rng(0), "valid", 10)
    assert crop["mask"].tolist() == [True] * 7 + [False] * 3
    assert (crop["audio"][7 * HOP :] == 0).all() and (crop["audio"][6 * HOP : 7 * HOP] > 0).all()
    assert crop["f0_hz"].tolist() == [100, 101, 102, 103, 104, 105, 106, 106, 106, 106]
    assert crop["units"][:, 0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 3, 3]
    assert not crop["voiced"][7:].any() and (crop["volume"][7:] == 0).all()
    assert crop["phone_labels"].tolist() == [-1] * 10


def test_batches(corpus):
    batch = corpus.batch(np.random.default_rng(3), "train", 5, 33)
    assert batch["audio"].shape == (5, 33 * HOP) and batch["audio"].dtype == torch.float32
    assert batch["units"].shape == (5, 33, 3) and batch["units"].dtype == torch.float32
    assert batch["singer"].shape == (5,) and batch["singer"].dtype == torch.int64
    assert batch["phone_labels"].shape == (5, 33) and batch["phone_labels"].dtype == torch.int64
    assert batch["voiced"].dtype == batch["mask"].dtype == torch.bool
    assert batch["phones"].shape == (5, int(batch["phone_counts"].max()))
    for phones, count in zip(batch["phones"], batch["phone_counts"]):
        assert (phones[:count] >= 0).all() and (phones[count:] == -1).all()


def test_the_generator_decides_everything(corpus):
    draws = [corpus.batch(np.random.default_rng(seed), "train", 4, 20) for seed in (5, 5, 6)]
    assert all(torch.equal(draws[0][key], draws[1][key]) for key in draws[0])
    assert not torch.equal(draws[0]["f0_hz"], draws[2]["f0_hz"])


def test_one_frame(corpus):
    assert corpus.batch(np.random.default_rng(0), "valid", 1, 1)["audio"].shape == (1, HOP)


def test_without_units(tmp_path):
    corpus = Corpus(save(tmp_path, units=False))
    assert corpus.encoder is None and "units" not in corpus.crop(np.random.default_rng(0), "train", 5)


def test_bad_corpora(corpus, tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        Corpus(tmp_path / "none")
    with pytest.raises(ConfigError, match="unknown split 'dev'"):
        corpus.crop(np.random.default_rng(0), "dev", 5)
    with pytest.raises(ConfigError, match="no test items"):
        corpus.crop(np.random.default_rng(0), "test", 5)
    data = json.loads((tmp_path / "corpus.json").read_text())
    for change, match in (
        ({"encoder": {"hash": "other"}}, "lacks units"),
        ({"format": 9}, "format 9"),
        ({"mel": {"hops": 1}}, "unknown key 'hops'"),
    ):
        (tmp_path / "corpus.json").write_text(json.dumps(data | change))
        with pytest.raises(ConfigError, match=match):
            Corpus(tmp_path)
    (tmp_path / "corpus.json").write_text(json.dumps(data))
    (tmp_path / "items" / "b.npz").write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(ConfigError, match=r"b\.npz: cannot be read"):
        Corpus(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"items": None},
        {"items": {}},
        {"items": [3]},
        {"items": [{"id": "a", "song": "a", "split": "train", "singer": "one"}]},
        {"singers": ["x"]},
        {"singers": 3},
        {"singer_f0_hz": [1]},
        {"mel": 3},
        {"mel_mean": ["x"]},
        {"mel_std": None},
        {"encoder": {}},
        {"pseudo": 3},
    ],
)
def test_a_description_that_makes_no_sense(tmp_path, change):
    data = json.loads((save(tmp_path) / "corpus.json").read_text())
    (tmp_path / "corpus.json").write_text(json.dumps(data | change))
    for reader in (Corpus, lambda path: add_units(path, None), lambda path: add_pseudo_labels(path, 2)):
        with pytest.raises(ConfigError, match=f"has no {next(iter(change))}, or a wrong one"):
            reader(tmp_path)


@pytest.mark.parametrize("file", ["../a.npz", "items/../../a.npz", "/tmp/a.npz", "a\0.npz", 3])
def test_a_corpus_of_a_stranger_names_no_file_elsewhere(tmp_path, file):
    """Units would be written into it."""
    data = json.loads((save(tmp_path) / "corpus.json").read_text())
    data["items"][0]["file"] = file
    (tmp_path / "corpus.json").write_text(json.dumps(data))
    for reader in (Corpus, lambda path: add_units(path, None), lambda path: add_pseudo_labels(path, 2)):
        with pytest.raises(ConfigError, match="has no items, or a wrong one"):
            reader(tmp_path)
