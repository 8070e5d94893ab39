"""Pseudo-labels: k-means over units, stored with the corpus, standing in for phones."""

import json

import numpy as np
import pytest
import torch
from toy_corpus import make

from fastsvc.data import pseudo
from fastsvc.data.corpus import Corpus
from fastsvc.data.units import add_units
from fastsvc.errors import ConfigError


def blobs(count=60):
    generator = torch.Generator().manual_seed(0)
    centres = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0], [4.0, 4.0]])
    label = torch.arange(4).repeat_interleave(count)
    return centres[label] + 0.2 * torch.randn(4 * count, 2, generator=generator), label


def test_k_means_finds_the_clusters_and_repeats_itself():
    points, label = blobs()
    centres, explained = pseudo.k_means(points, 4, seed=3)
    found, square = pseudo.assign(points, centres)
    pairs = set(zip(found.tolist(), label.tolist()))
    assert len(pairs) == 4 and explained > 0.97  # one cluster for each blob
    for k in range(4):  # each centre is the mean of its points
        torch.testing.assert_close(centres[k], points[found == k].mean(0))
    torch.testing.assert_close(square, (points - centres[found]).square().sum(1), rtol=1e-3, atol=1e-4)
    assert torch.equal(pseudo.k_means(points, 4, seed=3)[0], centres)


def test_as_many_clusters_as_points_and_points_that_coincide():
    points = torch.arange(6.0)[:, None]
    assert sorted(pseudo.k_means(points, 6)[0][:, 0].tolist()) == [0, 1, 2, 3, 4, 5]
    centres, _ = pseudo.k_means(torch.ones(9, 2), 3)
    assert bool(centres.isfinite().all())


def test_labels_do_not_flicker():
    units = np.repeat(np.eye(3, dtype=np.float32), 10, axis=0)
    units[4] = units[15]  # one stray unit
    assert pseudo.labels(units, np.eye(3, dtype=np.float32)).tolist() == [0] * 10 + [1] * 10 + [2] * 10


def test_the_corpus_names_units_where_it_had_no_phones(tmp_path):
    corpus = make(tmp_path / "toy")
    assert corpus.phones == [] and (corpus.cut(corpus.items[0], 0, 20)["phone_labels"] == -1).all()
    assert pseudo.add_pseudo_labels(corpus.path, 3) > 0.99  # units are one of three vowels
    labelled = Corpus(corpus.path)
    assert labelled.phones == ["unit000", "unit001", "unit002"]
    for item in labelled.items:
        crop = labelled.cut(item, 5, 120)  # beyond the end
        labels, vowel = crop["phone_labels"][crop["mask"]], crop["units"][crop["mask"]].argmax(1)
        assert (crop["phone_labels"][~crop["mask"]] == -1).all()
        name = {v: labels[vowel == v] for v in set(vowel)}
        for v, found in name.items():  # but for the frames about a change
            assert np.mean(found == np.bincount(found).argmax()) > 0.8, v
        runs = [label for i, label in enumerate(labels) if i == 0 or label != labels[i - 1]]
        assert crop["phones"].tolist() == runs
    batch = labelled.batch(np.random.default_rng(0), "train", 3, 40)
    assert batch["phone_counts"].min() >= 1 and batch["phone_labels"].dtype == torch.int64


class Encoder:
    """Another encoder than the toy's."""

    name, rate_hz, hop_samples, channels, hash = "other", 16000, 320, 2, "new"

    def encode(self, audio):
        frames = len(audio) // 320
        return torch.stack([torch.arange(frames), torch.ones(frames)], dim=1)


def test_new_units_take_the_labels_with_them(tmp_path):
    pytest.importorskip("tqdm")
    corpus = make(tmp_path / "toy")
    pseudo.add_pseudo_labels(corpus.path, 3)
    add_units(corpus.path, Encoder(), progress=False)
    assert "pseudo" not in json.loads((corpus.path / "corpus.json").read_text())
    assert Corpus(corpus.path).phones == []


def test_prepare_labels_a_folder_of_songs(tmp_path):
    """The command, from recordings without transcripts to a corpus that a recogniser can be trained on."""
    import engines
    from click.testing import CliRunner

    from fastsvc.cli import main

    soundfile = pytest.importorskip("soundfile")
    rng = np.random.default_rng(0)
    for singer in ("ada", "bruno"):
        (tmp_path / "songs" / singer).mkdir(parents=True)
        for song in range(2):
            tone = np.sin(np.arange(24000) * rng.uniform(0.03, 0.2)) * np.linspace(0.1, 0.5, 24000)
            soundfile.write(
                tmp_path / "songs" / singer / f"{song}.wav", tone + 0.01 * rng.standard_normal(24000), 24000
            )
    encoder = engines.native(tmp_path / "encoder.pt", "recogniser", engines.CONTENT)
    command = ["prepare", str(tmp_path / "songs"), "-o", str(tmp_path / "corpus"), "--jobs", "1"]
    result = CliRunner().invoke(main, [*command, "--encoder", str(encoder), "--pseudo-labels", "4"])
    assert result.exit_code == 0 and "4 clusters in place of phones" in result.output
    corpus = Corpus(tmp_path / "corpus")
    assert len(corpus.phones) == 4 and corpus.clusters.shape == (4, 6)
    assert {label for item in corpus.items for label in corpus.cut(item, 0, 90)["phone_labels"].tolist()} <= set(
        range(4)
    )
    again = CliRunner().invoke(main, command)  # nothing new: the labels stay
    assert again.exit_code == 0 and len(Corpus(tmp_path / "corpus").phones) == 4


def test_what_cannot_be_labelled_is_named(tmp_path):
    corpus = make(tmp_path / "toy")
    with pytest.raises(ConfigError, match="ask for 2 to 384"):
        pseudo.add_pseudo_labels(corpus.path, 5000)
    pseudo.add_pseudo_labels(corpus.path, 3)
    (corpus.path / "clusters.npy").write_bytes(b"torn")
    with pytest.raises(ConfigError, match="clusters.npy: cannot be read"):
        Corpus(corpus.path)
    data = json.loads((corpus.path / "corpus.json").read_text())
    del data["encoder"]
    (corpus.path / "corpus.json").write_text(json.dumps(data))
    with pytest.raises(ConfigError, match="pseudo-labels and units differ|cannot be read"):
        Corpus(corpus.path)
    with pytest.raises(ConfigError, match="no units to make labels from"):
        pseudo.add_pseudo_labels(corpus.path, 3)
