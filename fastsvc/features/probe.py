"""How much of the singer a linear map can still read from content units."""

from __future__ import annotations

import numpy as np


def singer_probe(units: np.ndarray, singers: np.ndarray, groups: np.ndarray, ridge: float = 1e-3) -> dict[str, float]:
    """Frame-wise singer classification by ridge regression on one-hot targets (balanced by singer).

    ``units`` [N, D], ``singers`` [N] ids, ``groups`` [N] (song or item ids): every second group is for testing, so
    that the probe must know voices and not songs. Returns accuracy (mean over singers), chance and their ratio.
    Raises ValueError when fewer than two singers occur in both halves.
    """
    units, singers, groups = np.asarray(units, np.float64), np.asarray(singers), np.asarray(groups)
    order = np.unique(groups, return_inverse=True)[1]
    test = order % 2 == 1
    names = np.intersect1d(singers[test], singers[~test])
    if len(names) < 2:
        raise ValueError("singer_probe: at least two singers with two groups each are needed")
    keep = np.isin(singers, names)
    train, test = keep & ~test, keep & test
    label = np.searchsorted(names, singers)
    mean, deviation = units[train].mean(0), units[train].std(0) + 1e-6
    x = np.concatenate([(units - mean) / deviation, np.ones((len(units), 1))], axis=1)
    count = np.bincount(label[train], minlength=len(names))
    weight = (1.0 / count)[label[train]][:, None] / len(names)
    target = np.eye(len(names))[label[train]]
    gram = (x[train] * weight).T @ x[train] + ridge * np.eye(x.shape[1])
    solution = np.linalg.solve(gram, (x[train] * weight).T @ target)
    hit = (x[test] @ solution).argmax(1) == label[test]
    accuracy = float(np.mean([hit[label[test] == k].mean() for k in range(len(names))]))
    return {"accuracy": accuracy, "chance": 1 / len(names), "ratio": accuracy * len(names)}
