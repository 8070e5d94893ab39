"""Labels for recordings without transcripts: clusters of content units, found by k-means (as HuBERT's targets are).

The centres lie in ``clusters.npy`` beside corpus.json; the label of each frame is computed from its unit when the
corpus is read. A recogniser trained on such labels names clusters, so CTC and frame losses work on any folder of songs.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fastsvc import arguments, screen
from fastsvc.data.records import alone
from fastsvc.data.store import save_array, save_json
from fastsvc.errors import ConfigError
from fastsvc.reading import arrays

FILE = "clusters.npy"
MOST_UNITS = 200_000  # a random choice of them, if there are more
ROUNDS = 50
SMOOTH = 2  # units to each side whose mean is labelled
CHUNK = 8192


def add_pseudo_labels(corpus_dir, clusters: int, seed: int = 0, progress: bool = False) -> float:
    """Cluster the units of the training split; → the share of their variance that the centres explain.

    The same units, clusters and seed give the same centres. Raises ConfigError where the corpus has no units, or
    fewer than clusters.
    """
    corpus_dir = arguments.path("corpus_dir", corpus_dir)
    clusters, seed = arguments.whole_number("clusters", clusters, *arguments.CLUSTERS), arguments.seed(seed)
    arguments.flag("progress", progress)
    with alone(corpus_dir / "corpus.json", "labelling it") as corpus:
        return _add(corpus_dir, corpus, clusters, seed, progress)


def _add(corpus_dir: Path, corpus: dict, clusters: int, seed: int, progress: bool) -> float:
    if not corpus.get("encoder"):
        raise ConfigError(f"{corpus_dir}: has no units to make labels from", "prepare it with --encoder")
    rng = np.random.default_rng([seed, clusters])
    items = [item for item in corpus["items"] if item["split"] == "train"]
    units = np.concatenate([arrays.npz(corpus_dir / item["file"])["units"].astype(np.float32) for item in items])
    if len(units) > MOST_UNITS:
        units = units[rng.choice(len(units), MOST_UNITS, replace=False)]
    if clusters > len(units):
        raise ConfigError(f"{len(units)} units cannot form {clusters} clusters", f"ask for 2 to {len(units)}")
    centres, explained = k_means(torch.from_numpy(units), clusters, int(rng.integers(2**31)), progress)
    save_array(corpus_dir / FILE, centres.numpy())
    corpus["pseudo"] = {"clusters": clusters, "seed": seed, "encoder_hash": corpus["encoder"]["hash"]}
    save_json(corpus_dir / "corpus.json", corpus)
    return explained


def mark(centres: np.ndarray) -> str:
    """Identifies a clustering: after a new one the same names mean other units."""
    return hashlib.sha256(np.ascontiguousarray(centres, np.float32).tobytes()).hexdigest()


def names(clusters: int) -> list[str]:
    """Names of the clusters, in place of phones."""
    return [f"unit{index:03d}" for index in range(clusters)]


def k_means(points: Tensor, clusters: int, seed: int = 0, progress: bool = False) -> tuple[Tensor, float]:
    """points [N, D] → (centres [K, D], share of the variance explained). Lloyd's rounds after k-means++ seeding.

    A cluster that falls empty moves to the point that its own centre explains worst. Written here, because scikit-learn
    would be one more package for forty lines, and would take the units off the GPU.
    """
    generator = torch.Generator().manual_seed(seed)
    centres = _spread(points, clusters, generator)
    previous = None
    with screen.bar(total=ROUNDS, desc="clusters", unit="round", disable=not progress) as bar:
        for rounds in range(ROUNDS):
            label, square = assign(points, centres)
            if previous is not None and torch.equal(label, previous):
                bar.update(ROUNDS - rounds)
                break
            previous = label
            count = torch.bincount(label, minlength=clusters)
            sums = torch.zeros_like(centres).index_add_(0, label, points)
            centres = torch.where(count[:, None] > 0, sums / count.clamp(min=1)[:, None], centres)
            empty = (count == 0).nonzero()[:, 0]
            centres[empty] = points[square.topk(len(empty)).indices]
            bar.update()
    _, square = assign(points, centres)
    total = (points - points.mean(0)).square().sum()
    return centres, float(1 - square.sum() / total.clamp(min=1e-12))


def _spread(points: Tensor, clusters: int, generator: torch.Generator) -> Tensor:
    """k-means++ (Arthur and Vassilvitskii 2007): each centre is drawn in proportion to its squared distance from the
    centres so far."""
    chosen = [int(torch.randint(len(points), (1,), generator=generator))]
    square = (points - points[chosen[0]]).square().sum(1)
    for _ in range(clusters - 1):
        running = square.double().cumsum(0)
        position = torch.rand(1, generator=generator, dtype=torch.float64) * running[-1]
        chosen.append(min(int(torch.searchsorted(running, position, right=True)), len(points) - 1))
        square = torch.minimum(square, (points - points[chosen[-1]]).square().sum(1))
    return points[chosen].clone()


def assign(points: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """points [N, D] → (nearest centre [N], squared distance to it [N])."""
    parts = [torch.cdist(part, centres).min(1) for part in points.split(CHUNK)]
    return torch.cat([part.indices for part in parts]), torch.cat([part.values for part in parts]).square()


def labels(units: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """units [Tu, D] → the cluster of each unit's mean with its neighbours, int16 [Tu].

    The mean keeps labels from flickering: CTC needs labels that last, or it has no freedom.
    """
    units = torch.from_numpy(units.astype(np.float32))
    near = torch.nn.functional.pad(units.T[None], (SMOOTH, SMOOTH), mode="replicate")
    mean = torch.nn.functional.avg_pool1d(near, 2 * SMOOTH + 1, 1)[0].T
    return assign(mean, torch.from_numpy(centres))[0].numpy().astype(np.int16)
