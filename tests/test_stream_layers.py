"""Layers whose final rows a stream keeps: block by block they give what one pass over everything gives."""

from dataclasses import replace

import golden
import pytest
import torch
from test_engine_blocks import lowered_plan, sampler_of, tiny

from bench.rewindowed import ContinuedUnits
from fastsvc.artifact import engine_folder
from fastsvc.config import DdpmConfig, RecogniserConfig
from fastsvc.engine.cpu.denoiser_bf16 import Bf16Denoiser
from fastsvc.engine.cpu.rows import ahead
from fastsvc.engine.cpu.sampler import SeededNoise
from fastsvc.engine.stream.draws import AHEAD, Draws
from fastsvc.engine.stream.intake import Intake
from fastsvc.engine.stream.mels import MelMaker
from fastsvc.engine.stream.settled import Span
from fastsvc.engine.stream.units import CachedUnits, WindowUnits, units_of
from fastsvc.features.content import RecogniserEncoder
from fastsvc.model import schedule
from fastsvc.model.modules import module

FRAMES = 90
BLOCKS = [1, 7, 8, 23]


def one_pass(model, cond: torch.Tensor, steps: int, first: int = 0) -> torch.Tensor:
    """The engine's own mel of condition rows, the first of which is the frame ``first``."""
    draw, levels = SeededNoise(3, 80), model.schedules[steps]
    evaluations = schedule.evaluations(model.method, levels)
    x = model._sample(cond, levels, lambda step: draw(step, first, first + len(cond)), evaluations, None)
    return x.add(1).mul_((model.high - model.low) / 2).add_(model.low)


def by_blocks(maker: MelMaker, cond: torch.Tensor, block: int, ahead: int, extra: int = 0):
    """(span, end of the mel, condition rows as the stream sees them, mel) of each block; each is made twice, as after a
    change of voice, from other rows the first time."""
    frames = len(cond)
    for first in range(0, frames, block):
        last = min(first + block, frames)
        total = frames if last + ahead >= frames else None
        span = Span(first, last, min(last + ahead, frames), total)
        mel_end = min(last + extra, span.end)
        rows = maker.rows(span, mel_end)
        seen = cond[: span.end]
        held = torch.cat((seen, seen[-1:].expand(max(0, rows.end - span.end), -1)))
        if first:
            maker.make(held[rows.begin : rows.end] + 1, rows)
        mels = maker.make(held[rows.begin : rows.end], rows)
        maker.settle(mels)
        yield span, mel_end, seen, mels.rows


def sizes(maker: MelMaker) -> list[int]:
    return [len(one.rows) for each in maker.kept for one in (each.x, *each.states, *each.skips)]


@pytest.mark.parametrize("steps", [1, 2, 4])
@pytest.mark.parametrize("block", BLOCKS)
@torch.inference_mode()
def test_mels_are_those_of_one_pass(steps, block):
    """Where the look-ahead is the halo; the condition jumps in the middle, as with another voice."""
    model = sampler_of(lowered_plan(tiny()))
    cond = torch.randn(FRAMES, 6)
    cond[FRAMES // 2 :] += 2
    maker = MelMaker(model, steps, SeededNoise(3, 80))
    want = one_pass(model, cond, steps)
    for span, mel_end, _, mel in by_blocks(maker, cond, block, model.denoiser.halo_frames * steps + 3, extra=3):
        assert len(mel) == mel_end - span.first
        assert golden.relative_rms(mel, want[span.first : mel_end]) < 1e-6, f"block from {span.first}"


@pytest.mark.parametrize("steps, block", [(1, 1), (2, 8), (4, 5)])
@torch.inference_mode()
def test_with_less_lookahead_they_are_those_of_a_window(steps, block):
    """The last row is repeated, and rows that it reached are computed again."""
    model = sampler_of(lowered_plan(tiny()))
    maker, halo = MelMaker(model, steps, SeededNoise(3, 80)), model.denoiser.halo_frames * steps
    for span, mel_end, seen, mel in by_blocks(maker, torch.randn(FRAMES, 6), block, 4, extra=2):
        begin, beyond = max(0, span.first - halo), 0 if span.total else halo
        window = torch.cat((seen[begin:], seen[-1:].expand(beyond, -1)))
        want = one_pass(model, window, steps, begin)[span.first - begin : mel_end - begin]
        assert golden.relative_rms(mel, want) < 1e-6, f"block from {span.first}"


@torch.inference_mode()
def test_kept_rows_do_not_grow_and_few_are_computed():
    model = sampler_of(lowered_plan(tiny(4, 8)))
    maker, seen = MelMaker(model, 2, SeededNoise(3, 80)), []
    for span, *_ in by_blocks(maker, torch.randn(240, 6), 4, 10):
        seen.append(sizes(maker))
        rows = maker.rows(span, span.last)
        half = len(maker.reaches) // 2
        assert rows.starts[half] >= max(0, span.first - ahead(maker.reaches)[half])  # the final ones are not among them
    assert seen[35] == seen[-10] and max(seen[-10]) < 400
    assert all(len(tape.buffer) < 400 for tape in maker.noise.tapes.values())
    assert all(tape.end < 240 + 3 * AHEAD for tape in maker.noise.tapes.values())


def test_noise_is_drawn_many_rows_at_a_time_and_each_row_once():
    asked: list[tuple[int, int]] = []

    def noise(step, first, last):
        asked.append((first, last))
        return SeededNoise(3, 80)(step, first, last)

    draws = Draws(noise, 80)
    for first in range(0, 4 * AHEAD, 3):
        assert torch.equal(draws.rows(0, first, first + 7), SeededNoise(3, 80)(0, first, first + 7))
    assert [first for first, _ in asked] == [0, *(last for _, last in asked[:-1])] and len(asked) <= 5


@pytest.mark.parametrize("method", ["euler", "heun", "dpm++"])
@torch.inference_mode()
def test_other_samplers_compute_all_that_a_block_depends_on(method):
    config = replace(tiny(), ddpm=DdpmConfig() if method == "dpm++" else None)
    model = sampler_of(lowered_plan(config, steps=(3,)))
    levels, constants = schedule.levels(config, method, 3), next(iter(model.denoiser.steps.values()))
    model.method, model.schedules, model.denoiser.steps = method, {3: levels}, dict.fromkeys(levels, constants)
    maker = MelMaker(model, 3, SeededNoise(3, 80))
    cond = torch.randn(60, 6)
    want = one_pass(model, cond, 3)
    assert not maker.keeps
    for span, mel_end, _, mel in by_blocks(maker, cond, 9, 60):
        assert golden.relative_rms(mel, want[span.first : mel_end]) < 1e-5


@torch.inference_mode()
def test_half_precision_rounds_only_products():
    plan = lowered_plan(tiny())
    model = sampler_of(plan)
    cond = torch.randn(FRAMES, 6)
    exact = one_pass(model, cond, 2)
    model.denoiser = Bf16Denoiser(plan.tensors[engine_folder.WEIGHTS], plan.acoustic_config, plan.levels)
    want, maker = one_pass(model, cond, 2), MelMaker(model, 2, SeededNoise(3, 80))
    mel = torch.cat([mel for *_, mel in by_blocks(maker, cond, 8, 90)])
    # A gate in bfloat16 hands the last bit of a sum, which depends on the number of rows, on to later layers.
    assert golden.relative_rms(mel, want) < 6e-3 and 1e-4 < golden.relative_rms(mel, exact) < 5e-2


def encoder_of(**changes) -> RecogniserEncoder:
    config = RecogniserConfig(**{"phones": ("-", "a"), "channels": 12, "layers": 5, "bottleneck": 6, **changes})
    torch.manual_seed(5)
    return RecogniserEncoder(config, module("recogniser", config).state_dict())


@pytest.mark.parametrize("changes", [{}, {"mean_frames": 6}, {"kernel": 5, "layers": 2}])
@pytest.mark.parametrize("block", [1, 3, 8])
@torch.inference_mode()
def test_units_are_those_of_one_pass(changes, block):
    encoder = encoder_of(**changes)
    units, hop, audio = units_of(encoder), encoder.hop_samples, 0.1 * torch.randn(16000)
    assert isinstance(units, CachedUnits)
    whole, intake = encoder.encode(audio), Intake(16000, {16000})
    intake.pushed.append(audio)
    intake.total = len(audio)
    total, ahead, parts = len(audio) // hop, encoder.model.halo_frames + 3, []
    for first in range(0, total, block):
        last = min((first + block + ahead) * hop + 31, len(audio))
        found, begin = units.find(intake.at[16000], first, last, 1.0)
        units.settle()
        parts.append(found[first - begin :][: min(block, total - first)])
        assert len(found) + begin == last // hop
        assert golden.relative_rms(parts[-1], whole[first : first + block]) < 1e-5, f"block from {first}"
    assert golden.relative_rms(torch.cat(parts), whole) < 1e-6
    assert max(len(one.rows) for one in units.state.kept) <= 40


@pytest.mark.parametrize("ahead", [0, 2, 9])
@torch.inference_mode()
def test_units_near_the_end_of_the_audio_are_those_of_a_window(ahead):
    """Also after a change of gain, of which the block before was made with the old one first, and of short audio."""
    encoder = encoder_of(mean_frames=3)
    kept, window, hop = units_of(encoder), ContinuedUnits(encoder), encoder.hop_samples
    audio = 0.1 * torch.randn(9600)
    audio[4000:6500] = 0.3 * torch.sin(torch.arange(2500) * 0.1).sign()  # a steady sound, which is held
    intake = Intake(16000, {16000})
    intake.pushed.append(audio)
    for first in range(0, 60, 4):
        gain = 1.0 if first < 32 else 3.0
        last = min((first + 4 + ahead) * hop + 90, len(audio))
        if first == 32:
            kept.find(intake.at[16000], first, last, 1.0)
        got, begin = kept.find(intake.at[16000], first, last, gain)
        kept.settle()
        want, window_begin = window.find(intake.at[16000], first, last, gain)
        assert golden.relative_rms(got[first - begin :], want[first - window_begin :]) < 2e-6
    for samples in (1, 50, 161, 400):
        kept.clear()
        got, want = (one.find(intake.at[16000], 0, samples, 1.0)[0] for one in (kept, window))
        assert got.shape == want.shape and golden.relative_rms(got, want) < 2e-6


def test_other_encoders_are_asked_for_windows():
    class Encoder:
        hop_samples, rate_hz = 320, 16000

    assert type(units_of(Encoder())) is WindowUnits
