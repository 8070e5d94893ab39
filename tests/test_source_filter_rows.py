"""The source-filter vocoder block by block, with its final rows kept, against one pass over the whole recording."""

from dataclasses import replace

import pytest
import torch
from test_source_filter_engine import CONFIGS, SMALL, excited, specification, voice

from fastsvc.engine.cpu.source_filter import SourceFilterVocoder
from fastsvc.engine.cpu.source_filter_rows import FilterRows
from fastsvc.model import pulses

SHORT = {future: replace(SMALL, kernel=5, future_frames=future) for future in (0, 1, 3)}


def by_blocks(rows: FilterRows, mel, f0_hz, blocks, lookahead=None):
    """The audio of one recording, mel [T, M]; each block is made twice, as after a change of voice. With
    ``lookahead`` frames, later ones are noise."""
    frames, hop, pieces, state, first, turn = len(mel), rows.hop, [], None, 0, 0
    phase = pulses.frame_phase(f0_hz[None], rows.vocoder.config)
    while first < frames:
        last = min(first + blocks[turn % len(blocks)], frames)
        total = frames if last + rows.ahead >= frames else None
        window = rows.window(first, last, total, state)
        seen, pitch = mel[window.begin : window.end], f0_hz[window.begin : window.end]
        if lookahead is not None:
            seen = seen.clone()
            seen[max(0, last + lookahead - window.begin) :] += 3

        def excitation(a, b):
            return pulses.seeded(f0_hz[None, a:b], rows.vocoder.config, 3, a, phase[:, a:b])

        rows(seen + 1, pitch, excitation, first, last, total, state)
        audio, state = rows(seen, pitch, excitation, first, last, total, state)
        assert len(audio) == (last - first) * hop
        pieces.append(audio)
        first, turn = last, turn + 1
    return torch.cat(pieces), state


@torch.inference_mode()
@pytest.mark.parametrize("blocks", [(1,), (3,), (7, 1, 19)])
@pytest.mark.parametrize("name", [*CONFIGS, *SHORT])
def test_blocks_are_one_pass(name, blocks):
    config = (CONFIGS | SHORT)[name]
    form, (mel, f0_hz) = SourceFilterVocoder(specification(config).state_dict(), config), voice(config, 47)
    want = form(mel, pulses.seeded(f0_hz, config, 3), f0_hz)[0]
    got, state = by_blocks(FilterRows(form), mel[0], f0_hz[0], blocks)
    assert float((got - want).abs().max()) < 1e-6 * float(want.abs().max())
    assert max(len(kept.rows) for kept in state.kept) < 32 and len(state.ringing) < 12 * config.mel.hop_samples


@torch.inference_mode()
@pytest.mark.parametrize("future", SHORT)
@pytest.mark.parametrize("batch, frames", [(1, 1), (2, 2), (3, 29)])
def test_a_short_future_is_the_specification(future, batch, frames):
    config = SHORT[future]
    model, (mel, f0_hz) = specification(config), voice(config, frames, batch)
    form, source = SourceFilterVocoder(model.state_dict(), config), excited(config, f0_hz)
    want = model(mel, f0_hz, source)
    assert float((form(mel, source, f0_hz) - want).abs().max()) < 1e-5 * float(want.abs().max())


@torch.inference_mode()
def test_frames_beyond_the_future_change_nothing():
    config = SHORT[0]
    rows = FilterRows(SourceFilterVocoder(specification(config).state_dict(), config))
    mel, f0_hz = (value[0] for value in voice(config, 47))
    whole = by_blocks(rows, mel, f0_hz, (4,))[0]
    assert rows.ahead == 2
    assert torch.equal(by_blocks(rows, mel, f0_hz, (4,), lookahead=2)[0], whole)
    assert float((by_blocks(rows, mel, f0_hz, (4,), lookahead=1)[0] - whole).abs().max()) > 1e-4
