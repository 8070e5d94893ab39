"""Batches in the current folder, converted by a fake engine."""

import fake_engine
from fake_engine import FakeEngine

from fastsvc.convert import batch
from fastsvc.convert.plan import plan


def convert(inputs="in", out="out", engine=None, format="wav", **settings):
    planned = plan([inputs] if isinstance(inputs, str) else inputs, out, format)
    return batch.run(engine or FakeEngine(), planned, fake_engine.settings(**settings))


def only(report):
    (entry,) = report.entries
    return entry
