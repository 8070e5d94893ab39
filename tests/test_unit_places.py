"""Units placed by the hops: what a new corpus says, what one that was begun before keeps, and that crops follow."""

import json

import pytest
import toy_corpus
from song_folders import run, two_singers

from fastsvc.config import FeatureConfig
from fastsvc.data import records
from fastsvc.data.corpus import Corpus


def test_new_corpora_place_units_by_the_hops_and_old_ones_stay(tmp_path):
    dataset, out = two_singers(tmp_path / "set"), tmp_path / "out"
    run(dataset, out)
    assert Corpus(out).features.unit_align == "hops"
    path = out / "settings.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    assert stored["settings"]["features"]["unit_align"] == "hops"
    stored["settings"]["features"]["unit_align"] = "nearest"  # begun by an earlier version
    path.write_text(json.dumps(stored), encoding="utf-8")
    assert run(dataset, out).reused == 8 and Corpus(out).features.unit_align == "nearest"
    left = FeatureConfig(unit_align="left")  # of another project
    assert records.begun_features(out, left) == left == records.begun_features(tmp_path / "new", left)


@pytest.mark.parametrize("first, frames", [(0, 40), (50, 46)])
def test_crops_take_the_units_of_their_way(tmp_path, first, frames):
    toy_corpus.make(tmp_path / "toy")
    path = tmp_path / "toy" / "corpus.json"
    described = json.loads(path.read_text(encoding="utf-8"))
    described["features"]["unit_align"] = "hops"
    described["encoder"]["hop_samples"] = 320  # half as many units in a second
    path.write_text(json.dumps(described), encoding="utf-8")
    corpus = Corpus(tmp_path / "toy")
    item = corpus.items[0]
    crop = corpus.cut(item, first, frames)
    places = [(first + t) // 2 for t in range(frames)]
    assert (crop["units"] == item.units[places]).all() and corpus.unit_places == ("hops", 0.5)
