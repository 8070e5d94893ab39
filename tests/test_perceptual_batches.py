"""How a batch is converted to other voices."""

import torch

from fastsvc.training.conversion import converted


def test_half_of_a_batch_sings_with_other_voices_in_their_range():
    medians = torch.tensor([100.0, 200.0, 400.0, 0.0])
    batch = {"singer": torch.tensor([0, 1, 2, 3, 0, 1, 2, 3] * 50), "f0_hz": torch.full((400, 3), 150.0)}
    out = converted(batch, 0.5, medians, torch.Generator().manual_seed(0))
    moved = out["singer"] != batch["singer"]
    assert torch.equal(moved, out["other"]) and moved[:200].all() and not moved[200:].any()
    assert set(out["singer"][:200][batch["singer"][:200] == 1].tolist()) == {0, 2, 3}
    before, after = medians[batch["singer"]], medians[out["singer"]]
    ratio = torch.where((before > 0) & (after > 0), after / before.clamp(min=1), 1.0)
    torch.testing.assert_close(out["f0_hz"], 150 * ratio[:, None].expand(400, 3))
    assert torch.equal(out["f0_hz"][200:], batch["f0_hz"][200:])


def test_a_single_singer_is_converted_to_nobody():
    batch = {"singer": torch.zeros(4, dtype=torch.int64), "f0_hz": torch.ones(4, 2)}
    out = converted(batch, 1.0, torch.tensor([150.0]), torch.Generator())
    assert torch.equal(out["singer"], batch["singer"]) and not out["other"].any()
