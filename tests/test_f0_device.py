"""Pitch as a GPU works it out, on a CPU: the tree against the loop, filling, prepared lengths, networks in float16."""

import dataclasses
import importlib

import engines
import numpy as np
import pytest
import torch
from test_f0 import FORMANTS, HOP, PITCH, RATE, sing
from test_f0_networks import golden_audio, packaged

from fastsvc.engine import extraction
from fastsvc.engine.cuda.pitch import Yin, YinProgram
from fastsvc.features import f0
from fastsvc.features.f0 import device_yin, networks, neural, path, tree
from fastsvc.model import crepe

REST, TONE = np.zeros(RATE // 4, np.float32), np.full(RATE // 4, 200.0)
SONG = np.concatenate((REST, sing(TONE), REST, sing(2 * TONE), REST, sing(3 * TONE, FORMANTS["aa"], noise=0.3)))
LIMITS = 50.0, 1100.0
WIDE = f0.ranges(*LIMITS, RATE)


def random_candidates(frames, count=6, seed=0):
    """Costs without ties, some of them missing."""
    rng = np.random.default_rng(seed)
    f0_hz, cost = 100 * 2 ** rng.uniform(0, 2, (frames, count)), rng.uniform(0, 1, (frames, count))
    cost[rng.uniform(size=cost.shape) < 0.2] = np.inf
    return f0_hz.astype(np.float32), cost.astype(np.float32)


def by_loop(f0_hz, cost, frame_s=0.005):
    return path.best_path(f0_hz[None], cost[None], frame_s, **path.COSTS)[0]


def by_tree(f0_hz, cost, frame_s=0.005, **options):
    given = torch.from_numpy(f0_hz), torch.from_numpy(cost)
    return tree.best_path(*given, frame_s, **path.COSTS, **options).numpy()


def price(choice, f0_hz, cost, frame_s=0.005):
    """What a path costs, float64."""
    costs, scale = path.COSTS, 0.01 / frame_s
    count = cost.shape[1]
    local = np.append(cost.astype(np.float64), np.full((len(cost), 1), costs["unvoiced_cost"]), 1)
    total = local[np.arange(len(choice)), choice].sum()
    voiced = choice < count
    total += costs["switch_cost"] * scale * np.count_nonzero(voiced[1:] != voiced[:-1])
    octave = np.log2(f0_hz[np.arange(len(choice)), np.minimum(choice, count - 1)].astype(np.float64))
    return total + costs["jump_cost"] * scale * np.abs(np.diff(octave))[voiced[1:] & voiced[:-1]].sum()


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 8, 9, 17, 64, 333])
@pytest.mark.parametrize("block", [8192, 5, 1])
def test_the_tree_takes_the_path_of_the_loop(frames, block, monkeypatch):
    monkeypatch.setattr(tree, "BLOCK_FRAMES", block)
    given = random_candidates(frames, seed=frames)
    np.testing.assert_array_equal(by_tree(*given), by_loop(*given))


@pytest.mark.parametrize("frames", [1, 2, 7, 30])
@pytest.mark.parametrize("block", [8192, 5])
def test_free_frames_change_nothing(frames, block, monkeypatch):
    monkeypatch.setattr(tree, "BLOCK_FRAMES", block)
    f0_hz, cost = random_candidates(40)
    got = by_tree(f0_hz, cost, frames=torch.tensor(frames))
    np.testing.assert_array_equal(got[:frames], by_loop(f0_hz[:frames], cost[:frames]))


def test_costs_of_hours_keep_the_digits_that_decide(monkeypatch):
    """Every frame costs 900 more, so that 3000 of them cost what 2000 hours would: nothing may follow from that."""
    f0_hz, cost = random_candidates(3000, count=3)
    cost[np.isinf(cost)] = 90
    best = price(by_loop(f0_hz, cost), f0_hz, cost)
    for module in (path, tree):
        monkeypatch.setattr(module, "BLOCK_FRAMES", 16)
    monkeypatch.setattr(path, "COSTS", {**path.COSTS, "unvoiced_cost": 900.42})
    taken = [price(way(f0_hz, cost + 900), f0_hz, cost + 900) - 900 * 3000 for way in (by_loop, by_tree)]
    assert [round(loss - best, 1) for loss in taken] == [0, 0]


@pytest.mark.parametrize("voiced", ["none", "one", "first", "last", "gaps", "all"])
def test_filling(voiced):
    rng = np.random.default_rng(0)
    known = {name: np.zeros(50, bool) for name in ("none", "one", "first", "last")}
    known["one"][20] = known["first"][0] = known["last"][-1] = True
    known |= {"gaps": rng.uniform(size=50) < 0.3, "all": np.ones(50, bool)}
    f0_hz = np.where(known[voiced], rng.uniform(80, 900, 50), 0).astype(np.float32)
    got = device_yin.fill(torch.from_numpy(f0_hz), torch.from_numpy(known[voiced]))
    assert got.dtype == torch.float32
    np.testing.assert_allclose(got.numpy(), f0.fill(f0_hz, known[voiced]), rtol=2e-7)


def cents(got, want):
    return 1200 * torch.log2(got.clamp_min(1) / want.clamp_min(1)).abs()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [*PITCH, "song", "noise", "silence", "short", "one frame", "two samples", "siren", "low glide"]
)
def test_yin_as_on_the_cpu(name):
    audio = {
        "song": SONG,
        "noise": (0.1 * np.random.default_rng(0).normal(size=RATE)).astype(np.float32),
        "silence": np.zeros(RATE, np.float32),
        "short": sing(np.full(3000, 220.0)),
        "one frame": sing(np.full(HOP, 220.0)),
        "two samples": np.ones(2, np.float32),
        "siren": sing(np.geomspace(400, 2100, RATE)),
        "low glide": sing(np.geomspace(40, 80, RATE)),
    }.get(name)
    audio = torch.from_numpy(sing(PITCH[name], FORMANTS["aa"]) if audio is None else audio)
    frames = max(1, len(audio) // HOP) + (name == "song")  # the last one reaches past the end
    for beyond in (None, WIDE[1]):
        want = f0.extract(audio, RATE, HOP, frames, beyond=beyond)
        got = device_yin.extract(audio, RATE, HOP, frames, *LIMITS, beyond=beyond)
        assert torch.equal(got[1], want[1])
        assert cents(got[0], want[0]).max() < 0.1


def config_of(**changes):
    config = engines.ACOUSTIC
    return dataclasses.replace(config, mel=dataclasses.replace(config.mel, rate_hz=RATE, hop_samples=HOP, **changes))


@pytest.mark.parametrize("frames", [1, 2, 63, 64, 65, 100, 140])
def test_prepared_lengths(frames):
    """One network of 64, 96, 128 … frames gives what the recording's own length gives, and what came before is gone."""
    yin, audio = Yin(config_of(), "cpu"), torch.from_numpy(SONG[: frames * HOP].copy())
    want = device_yin.extract(audio, RATE, HOP, frames, *LIMITS, beyond=WIDE[1])
    for before in (torch.randn(300 * HOP), torch.full((frames * HOP,), torch.nan)):
        frames_before = len(before) // HOP
        yin(before, frames_before)
        got = yin(audio, frames)
        assert torch.equal(got[1], want[1]) and cents(got[0], want[0]).max() < 0.1
    assert len(yin.programs.by_shape) <= 2
    spec = config_of().features
    assert (spec.f0_low_hz, spec.f0_high_hz) == LIMITS


def test_a_graph_keeps_its_tables(monkeypatch):
    """A graph reads them at the addresses of its capture, however many other ranges have been tracked meanwhile."""
    module = importlib.import_module("fastsvc.features.f0.candidates")
    program = YinProgram(config_of(), 8, torch.device("cpu"))
    used, find, decimate = [], module.Analysis.find, module.decimate
    monkeypatch.setattr(module.Analysis, "find", lambda self, frames: used.append(self) or find(self, frames))
    monkeypatch.setattr(
        module, "decimate", lambda audio, factor, *taps: used.append(taps) or decimate(audio, factor, *taps)
    )
    program.run()
    captured, used[:] = list(used), []
    for cache in (module._analysis, module._low_pass):
        cache.cache_clear()  # as eight other ranges do
    program.run()
    assert len(captured) > 1 and all(a is b for a, b in zip(captured[1:], used[1:], strict=True))
    assert captured[0][0] is used[0][0] is program.tables.taps


def test_what_fits_and_what_does_not():
    yin, audio = Yin(config_of(), "cpu"), torch.zeros(10 * HOP)
    assert yin.fits("yin", "fastsvc", audio, 10, *WIDE)
    for given in (("dio", "fastsvc", audio, 10), ("yin", "comosvc", audio, 10), ("yin", "fastsvc", audio, 9)):
        assert not yin.fits(*given, *WIDE)
    assert not yin.fits("yin", "fastsvc", torch.zeros(5000 * HOP), 5000, *WIDE)
    for ranges in ((LIMITS, LIMITS), (LIMITS, (40.0, 2000.0)), ((60.0, 1100.0), WIDE[1])):
        assert not yin.fits("yin", "fastsvc", audio, 10, *ranges)


def test_melody_through_it():
    """f0, voicing and loudness as without it, however the recording lies between the prepared lengths."""
    config, audio = config_of(), torch.from_numpy(SONG[: 90 * HOP].copy())
    want = extraction.melody(audio, 90, config)
    got = extraction.melody(audio, 90, config, yin=Yin(config, "cpu"))
    assert torch.equal(got[1], want[1]) and torch.equal(got[2], want[2]) and cents(got[0], want[0]).max() < 0.1


def test_cutting_the_audio_to_samples_that_are_told():
    module = importlib.import_module("fastsvc.features.f0.candidates")
    audio = torch.from_numpy(SONG[:20000].copy())[None]
    want = module.candidates(audio, RATE, HOP, 78, *LIMITS)
    longer = torch.cat((audio, torch.zeros(1, 5000)), 1)
    for samples in (20000, torch.tensor(20000)):
        got = module.candidates(longer, RATE, HOP, 78, *LIMITS, samples=samples)
        torch.testing.assert_close(got[0], want[0], rtol=1e-3, atol=0)  # half a cent; flat minima are uncertain
        torch.testing.assert_close(got[1], want[1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("method, frames", [("fcpe", 25), ("crepe-tiny", 25), ("crepe", 4)])
def test_networks_in_half_precision(method, frames, monkeypatch):
    """Less than a cent, the same voicing. CREPE at full size has variances past 65504 in its norms."""
    packaged(method)
    audio = golden_audio()[2000:][: frames * 160]
    want = neural.frames_of(method, audio, 16000, 160, frames, *LIMITS)
    monkeypatch.setattr(networks, "dtype_on", lambda method, device: torch.float16)
    got = neural.frames_of(method, audio, 16000, 160, frames, *LIMITS)
    both = want[1] & got[1]
    assert both.sum() > frames // 3 and (want[1] == got[1]).all()
    off = 1200 * np.abs(np.log2(got[0][both] / want[0][both]))
    assert 0 < off.max() < 1
    assert next(networks.salience(method, audio)).dtype == torch.float32


def test_what_is_too_loud_for_half_precision_stays_finite():
    torch.manual_seed(0)
    network = crepe.Crepe("tiny").eval()
    network.conv1.weight.data.fill_(300.0)
    for part in network.modules():
        if not isinstance(part, crepe.FrozenNorm):
            for value in part.parameters(recurse=False):
                value.data = value.data.half()
    with torch.no_grad():
        assert torch.isfinite(network(torch.full((2, 1024), 30.0).half())).all()


def test_which_networks_run_in_half_precision():
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    half = [method for method in neural.THRESHOLD if networks.dtype_on(method, gpu) == torch.float16]
    assert half == ["crepe", "crepe-tiny", "fcpe"]
    assert all(networks.dtype_on(method, cpu) == torch.float32 for method in neural.THRESHOLD)
