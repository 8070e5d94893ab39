"""What listeners say of a mel."""

import numpy as np
import pytest
import torch
from phone_corpus import MEL, PhoneCorpus

from fastsvc.config import PitchConfig, RecogniserConfig, VerifierConfig, to_dict
from fastsvc.model.pitch import PitchNet
from fastsvc.model.recogniser import Recogniser
from fastsvc.model.verifier import Verifier
from fastsvc.training import losses, perceptual
from fastsvc.training.augment import NONE
from fastsvc.training.pitch import PitchTask
from fastsvc.training.repitch import repitched

PHONES = ("<blank>", "a", "b", "c")


def networks():
    """A random recogniser, verifier and pitch net, frozen, that hear the same mel."""
    made = (
        Recogniser(RecogniserConfig(mel=MEL, phones=PHONES, channels=12, layers=2, bottleneck=6)),
        Verifier(VerifierConfig(mel=MEL, channels=12, layers=2, embedding=6)),
        PitchNet(PitchConfig(mel=MEL, channels=12, layers=2)),
    )
    return [net.requires_grad_(False).eval() for net in made]


def all_losses(nets, mel, wanted, labels, f0_hz, voiced, valid):
    recogniser, verifier, pitch = nets
    logits = perceptual.phone_logits(recogniser, mel, valid)
    goal = torch.nn.functional.normalize(torch.ones(len(mel), 6), dim=1)
    return torch.stack(
        [
            perceptual.ctc_loss(logits, labels, valid),
            perceptual.frame_divergence(logits, perceptual.phone_logits(recogniser, wanted, valid), valid),
            perceptual.singer_loss(verifier, mel, valid, goal),
            perceptual.pitch_loss(pitch, mel, valid, f0_hz, voiced),
        ]
    )


def inputs(frames=12):
    generator = torch.Generator().manual_seed(4)
    mel, wanted = (torch.randn(2, frames, MEL.bins, generator=generator) - 2 for _ in range(2))
    labels = torch.tensor([1, 1, 2, 2, 2, 3, 0, 3, 1, 1, 1, 2])[:frames].expand(2, frames).clone()
    f0_hz = 200 + 50 * torch.rand(2, frames, generator=generator)
    return mel, wanted, labels, f0_hz, (torch.arange(frames) % 4 > 0).float().expand(2, frames), torch.ones(2, frames)


def test_gradients_reach_the_mel_and_no_listener():
    nets, (mel, *rest) = networks(), inputs()
    mel.requires_grad_(True)
    for number in range(4):
        (pull,) = torch.autograd.grad(all_losses(nets, mel, *rest)[number], mel)
        assert pull.isfinite().all() and pull.abs().max() > 0, number
    all_losses(nets, mel, *rest).sum().backward()
    assert all(p.grad is None for net in nets for p in net.parameters())


def test_padding_changes_no_loss():
    nets, (mel, wanted, labels, f0_hz, voiced, valid) = networks(), inputs()

    def longer(value, fill):
        return torch.cat([value, torch.full((2, 5, *value.shape[2:]), fill, dtype=value.dtype)], dim=1)

    nan = float("nan")
    padded = [longer(v, f) for v, f in ((mel, nan), (wanted, nan), (labels, -1), (f0_hz, 900.0), (voiced, 1.0))]
    mask = longer(valid, 0.0)
    expected = all_losses(nets, mel, wanted, labels, f0_hz, voiced, valid)
    torch.testing.assert_close(all_losses(nets, *padded, mask), expected, rtol=1e-6, atol=1e-6)


def test_of_unequal_lengths_each_counts_as_alone():
    """CTC of two items is the mean over their frames; the second ends after seven."""
    logits, labels = torch.randn(2, 12, 4), inputs()[2]
    valid = (torch.arange(12)[None] < torch.tensor([[12], [7]])).float()
    labels[1, 7:] = -1
    alone = [losses.ctc(logits[i : i + 1, :n], labels[i : i + 1, :n]) * n for i, n in ((0, 12), (1, 7))]
    torch.testing.assert_close(losses.ctc(logits, labels, valid), sum(alone) / 19)
    labels[1, 2] = -1  # inside: the item is not known
    torch.testing.assert_close(losses.ctc(logits, labels, valid), alone[0] / 12)


def test_ctc_is_the_sum_over_alignments():
    """Two frames, the sequence [1]: 11, 1-, -1 (0 is the blank)."""
    logits = torch.randn(1, 2, 4)
    p = torch.softmax(logits[0], dim=1)
    ways = p[0, 1] * p[1, 1] + p[0, 1] * p[1, 0] + p[0, 0] * p[1, 1]
    loss = perceptual.ctc_loss(logits, torch.tensor([[1, 1]]), torch.ones(1, 2))
    torch.testing.assert_close(loss, -ways.log() / 2)


def test_the_frame_divergence_is_that_from_the_recording():
    wanted, logits = torch.randn(2, 5, 4), torch.randn(2, 5, 4)
    valid = torch.ones(2, 5)
    assert float(perceptual.frame_divergence(wanted, wanted, valid)) == pytest.approx(0, abs=1e-7)
    p, q = (torch.distributions.Categorical(logits=x) for x in (wanted, logits))
    expected = torch.distributions.kl_divergence(p, q).mean()
    torch.testing.assert_close(perceptual.frame_divergence(logits, wanted, valid), expected)


def test_the_singer_loss_is_one_minus_the_cosine():
    _, verifier, _ = networks()
    mel = torch.randn(3, 9, MEL.bins)
    own = verifier(mel)
    valid = torch.ones(3, 9)
    assert float(perceptual.singer_loss(verifier, mel, valid, own)) == pytest.approx(0, abs=1e-6)
    assert float(perceptual.singer_loss(verifier, mel, valid, -own)) == pytest.approx(2, abs=1e-6)
    centre = perceptual.centroid(own)
    assert float(centre.norm()) == pytest.approx(1) and float((own @ centre).mean()) > 0


def test_the_pitch_loss_counts_sung_frames_in_semitones():
    class Fixed(PitchNet):
        def forward(self, mel, valid=None):
            place = (self.cents_of(torch.tensor(440.0)) / self.config.step_cents).round().long()
            return 200.0 * torch.nn.functional.one_hot(place, self.config.bins).expand(*mel.shape[:2], -1)

    net = Fixed(PitchConfig(mel=MEL, channels=4, layers=1, low_hz=55.0))
    mel, valid = torch.zeros(1, 4, MEL.bins), torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    f0_hz = torch.tensor([[440.0, 440.0 * 2 ** (2 / 12), 300.0, 300.0]])
    voiced = torch.tensor([[True, True, False, True]])
    assert float(perceptual.pitch_loss(net, mel, valid, f0_hz, voiced)) == pytest.approx(1.0, abs=1e-3)
    beyond = torch.tensor([[440.0, 55.0 * 2 ** (300 * 20 / 1200), 50.0, 300.0]])  # no bin stands for these two
    assert float(perceptual.pitch_loss(net, mel, valid, beyond, torch.ones(1, 4))) == pytest.approx(0.0, abs=1e-3)


def test_harmonics_move_and_formants_stay():
    rate_hz, bins, ratio = 24000, 513, 1.25
    hz = torch.arange(bins) * rate_hz / 2 / (bins - 1)
    envelope = torch.exp(-(((hz - 1500) / 900) ** 2)) + 0.02

    def sung(f0_hz):
        comb = sum(torch.exp(-(((hz - h * f0_hz) / 30) ** 2)) for h in range(1, 40))
        return ((envelope * (comb + 0.02)) ** 2)[None, None]

    moved = repitched(sung(300.0), torch.tensor([ratio]), rate_hz)[0, 0]
    peaks = [(moved[:100] * (hz[:100] - h * 375).abs().lt(40)).sum() for h in (2, 3, 4, 5, 6)]
    between = [(moved[:100] * (hz[:100] - (h + 0.5) * 375).abs().lt(40)).sum() for h in (2, 3, 4, 5, 6)]
    assert all(float(p) > 4 * float(b) for p, b in zip(peaks, between))
    same = repitched(sung(300.0), torch.tensor([1.0]), rate_hz)[0, 0]
    torch.testing.assert_close(same, sung(300.0)[0, 0] + 1e-9, rtol=1e-3, atol=1e-9)
    centre = (moved * hz).sum() / moved.sum()
    # within half a harmonic of where it was, while a plain stretch would take it to 1.25 of that
    assert float(centre) == pytest.approx(float((same * hz).sum() / same.sum()), rel=0.08)


@pytest.mark.slow
def test_the_pitch_net_learns_to_tell_a_pitch():
    from phone_corpus import train

    config = {"model": {"channels": 32, "layers": 3}, "augment": to_dict(NONE), "stretch": [0.9, 1.1]}
    task = PitchTask(config, PhoneCorpus(), "cpu", batch_size=8, batch_frames=40)
    with torch.no_grad():
        before = task.validate(task.model.eval())["cents"]
    history = train(task, 60, 6e-3)
    with torch.no_grad():
        after = task.validate(task.model.eval())
    assert history[-1]["loss_pitch"] < 0.75 * history[0]["loss_pitch"]
    assert after["cents"] < 0.65 * before


def test_a_stretched_spectrum_has_the_pitch_that_its_label_says():
    task = PitchTask({"model": {"channels": 4, "layers": 1}}, PhoneCorpus(), "cpu")
    crops = PhoneCorpus().batch(np.random.default_rng(0), "train", 3, 20)
    plain, low = (task.perturbed(crops, np.random.default_rng(1), NONE, (w, w)) for w in (1.0, 1.25))
    torch.testing.assert_close(low["f0_hz"] * 1.25, plain["f0_hz"])
    peak = [mel["mel"][:, 8, :12].argmax(1).float().mean() for mel in (plain, low)]  # of the lowest harmonics
    assert peak[1] < peak[0]


def test_the_default_pitch_net_is_small():
    assert sum(p.numel() for p in PitchNet(PitchConfig()).parameters()) < 1e6
