"""From a folder of songs to an engine in one command: prepare, student, build, with one state on the disk."""

from __future__ import annotations


def train(songs, out=None, **options):
    """See :func:`fastsvc.recipe.run.train`; imported on call, since it needs PyTorch."""
    from fastsvc.recipe import run

    return run.train(songs, out, **options)
