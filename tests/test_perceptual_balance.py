"""How losses of listeners are balanced, and when a run is stopped."""

import math

import pytest
import torch

from fastsvc.config import from_dict
from fastsvc.errors import ConfigError
from fastsvc.training import alarms
from fastsvc.training.balance import Balance, Term
from fastsvc.training.dmo_settings import DmoSettings, Listeners, Losses
from fastsvc.training.dmo_validation import phone_errors
from fastsvc.training.guard import Guard

# ---- balance


def test_terms_ramp():
    term = Term(2.0, 0.2, 0.1)
    assert [round(term.weight_at(p), 6) for p in (0.0, 0.19, 0.2, 0.25, 0.3, 1.0)] == [0, 0, 0, 1, 2, 2]
    assert not term.active(0.19) and term.active(0.2) and not Term(0.0).active(1.0)
    assert Term(1.0).weight_at(0.0) == 1.0
    for bad in ({"weight": -1.0}, {"start": 1.5}, {"match": "often"}):
        with pytest.raises(ConfigError, match="losses"):
            Term(**bad)


def test_scales_are_measured_once():
    terms = {"adversarial": Term(1.0, match="equal"), "ctc": Term(1.0, match="cap"), "singer": Term(1.0)}
    balance = Balance(terms, steps=3)
    assert balance.scale("adversarial") == 1.0
    for own in (1.0, 3.0, 0.0, 2.0, 1000.0):  # 0: no transcript; the last comes too late
        balance.observe("adversarial", torch.tensor(own), torch.tensor(0.0))  # the scores agree: nothing to go by
        balance.observe("adversarial", torch.tensor(own), torch.tensor(4.0))
        balance.observe("ctc", torch.tensor(own), torch.tensor(4.0))
        balance.observe("singer", torch.tensor(own), torch.tensor(4.0))
    assert balance.scale("adversarial") == pytest.approx(2.0)  # 12 / 6
    assert balance.scale("ctc") == 1.0 and balance.scale("singer") == 1.0  # below the cap; not matched
    loud = Balance({"ctc": Term(1.0, match="cap")}, 1)
    loud.observe("ctc", torch.tensor(50.0), torch.tensor(1.0))
    assert loud.scale("ctc") == pytest.approx(0.02)
    again = Balance({"ctc": Term(1.0, match="cap")}, 1)
    again.load_state_dict(loud.state_dict())
    assert again.scale("ctc") == loud.scale("ctc")


# ---- the guard and the alarms


def test_the_guard_stops_where_only_the_listener_is_better_pleased():
    guard = Guard(("recogniser",), 0.02, patience=1)
    for trained, twin in ((0.80, 0.78), (0.84, 0.82), (0.88, 0.815), (0.90, 0.801)):
        assert not guard.check("recogniser", trained, twin)
    assert "held-out twin" in guard.check("recogniser", 0.91, 0.799)  # 0.021 below its best


def test_the_guard_lets_both_get_worse_or_better():
    guard = Guard(("singer",), 0.02, patience=1)
    for trained, twin in ((0.5, 0.5), (0.4, 0.3), (0.6, 0.6), (0.6, 0.5), (math.nan, 0.1), (0.9, math.nan)):
        assert not guard.check("singer", trained, twin)
    assert guard.check("singer", 0.7, 0.57)


def test_the_guards_memory_is_saved():
    guard, again = Guard(("singer",)), Guard(("singer",))
    assert not guard.check("singer", 0.5, 0.5) and not guard.check("singer", 0.6, 0.4)
    again.load_state_dict(guard.state_dict())
    assert again.check("singer", 0.6, 0.4)  # the second time in a row


def test_the_guard_waits_for_a_second_opinion():
    guard = Guard(("singer",), patience=2)
    said = [guard.check("singer", *pair) for pair in ((0.5, 0.5), (0.6, 0.4), (0.6, 0.49), (0.6, 0.4), (0.7, 0.3))]
    assert not any(said[:4]) and "0.500 before, 0.300 now" in said[4]


def test_alarms_have_bounds():
    assert alarms.warnings({"diversity": 0.31, "fake_lag": 1.09}) == alarms.warnings({}) == []
    low, late = alarms.warnings({"diversity": 0.29, "fake_lag": 1.1})
    assert "29%" in low and "fake_updates" in late


def test_errors_are_counted_over_known_items():
    said = torch.nn.functional.one_hot(torch.tensor([[1] * 8 + [2] * 8, [3] * 16]), 4) * 20.0
    labels = torch.tensor([[1] * 8 + [3] * 8, [1] * 16])
    valid = torch.ones(2, 16)
    assert phone_errors(said, labels, valid) == pytest.approx(2 / 3)
    labels[1, 3] = -1
    assert phone_errors(said, labels, valid) == pytest.approx(1 / 2)
    valid[1, 3] = 0
    assert phone_errors(said, labels, valid) == pytest.approx(2 / 3)
    labels[:] = -1
    assert math.isnan(phone_errors(said, labels, torch.ones(2, 16)))


def test_settings_name_what_is_missing():
    with pytest.raises(ConfigError, match="losses.ctc has a weight, but no task.listeners.recogniser"):
        DmoSettings(teacher="t")
    alone = {name: Term() for name in ("adversarial", "ctc", "frames", "pitch", "singer")}
    assert DmoSettings(teacher="t", losses=Losses(**alone)).losses.dmd.weight == 1
    some = from_dict(Losses, {"ctc": {"weight": 0.5}, "singer": {"match": "none"}})  # the rest keeps its defaults
    assert (some.ctc.weight, some.ctc.start, some.ctc.match) == (0.5, 0.12, "cap")
    assert (some.singer.start, some.singer.match, some.adversarial.match) == (0.25, "none", "equal")
    everyone = Listeners("r", "s", "p")
    assert DmoSettings(teacher="t", listeners=everyone).fake_updates == 5
    with pytest.raises(ConfigError, match="dmd has no weight"):
        DmoSettings(teacher="t", listeners=everyone, losses=Losses(dmd=Term(0.0)))
