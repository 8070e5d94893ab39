"""The adversary of distribution matching: whom its gradients reach; padding changes no loss."""

import torch
from gaussians import EDM
from teachers import random_model

from fastsvc.training import adversary, distribution

# ---- the adversary


def adversary_parts(frames=9):
    model = random_model()
    config = model.config
    net = config.denoiser
    head = adversary.Head(net.layers * net.channels, net.cond_channels, channels=12)
    return model, head, torch.randn(2, frames, 8), torch.tensor([0.1, 3.0])


def scored(model, head, x, z, sigma, cond, valid):
    skips = adversary.features(model.denoiser, model.config, x, sigma, z, cond, valid)
    return head(skips, cond, sigma, valid)


def test_gradients_of_the_adversary_reach_x_or_the_head_and_never_the_fake_score():
    model, head, cond, sigma = adversary_parts()
    model.denoiser.requires_grad_(True)
    x, z, valid = torch.randn(2, 9, 5), torch.randn(2, 9, 5), torch.ones(2, 9)
    real, made = (scored(model, head, each, z, sigma, cond, valid) for each in (x, x + 0.5))
    adversary.head_loss(real, made, valid).backward()
    assert all(p.grad is None for p in model.parameters())
    assert all(p.grad is not None for p in head.parameters())
    at = x.requires_grad_(True)
    (pull,) = torch.autograd.grad(adversary.student_loss(scored(model, head, at, z, sigma, cond, valid), valid), at)
    assert pull.abs().min() > 0 and all(p.grad is None for p in model.parameters())


def test_the_head_learns_to_tell_and_the_student_to_please_it():
    model, head, cond, sigma = adversary_parts()
    valid, optimizer = torch.ones(2, 9), torch.optim.Adam(head.parameters(), lr=3e-3)

    def mels(shift):
        return 0.5 * torch.randn(2, 9, 5) + shift

    for _ in range(60):
        z = torch.randn(2, 2, 9, 5)
        real, made = (scored(model, head, mels(s), z[i], sigma, cond, valid) for i, s in enumerate((0.0, 0.8)))
        optimizer.zero_grad()
        adversary.head_loss(real, made, valid).backward()
        optimizer.step()
    assert float(real.detach().mean()) > 0.6 > 0.4 > float(made.detach().mean())
    x, z = mels(0.8).requires_grad_(True), torch.randn(2, 9, 5)
    before = adversary.student_loss(scored(model, head, x, z, sigma, cond, valid), valid)
    (pull,) = torch.autograd.grad(before, x)
    with torch.no_grad():
        after = adversary.student_loss(scored(model, head, x - 20 * pull, z, sigma, cond, valid), valid)
    assert float(after) < float(before.detach()) - 0.05 and float(pull.mean()) > 0  # back towards the real mean


# ---- padding


def longer(value, fill, count=3):
    return torch.cat([value, torch.full((2, count, *value.shape[2:]), fill)], dim=1)


def test_padding_changes_nothing():
    model, head, cond, sigma = adversary_parts(7)
    x, z, valid = torch.randn(2, 7, 5), torch.randn(2, 7, 5), torch.ones(2, 7)

    def losses(x, z, cond, valid):
        def real(x, s):
            return model.denoise(x, s, cond, valid)

        def fake(x, s):
            return 1.1 * real(x, s) + 0.1

        scores = scored(model, head, x, z, sigma, cond, valid)
        return torch.stack(
            [
                distribution.matching_loss(x, fake, real, sigma, z, valid),
                distribution.fake_loss(fake, EDM, x, sigma, z, valid),
                adversary.head_loss(scores, 2 * scores, valid),
                adversary.student_loss(scores, valid),
            ]
        )

    mask = torch.cat([valid, torch.zeros(2, 3)], dim=1)
    padded = losses(longer(x, float("nan")), longer(z, 50.0), longer(cond, 50.0), mask)
    torch.testing.assert_close(padded, losses(x, z, cond, valid), rtol=1e-6, atol=1e-6)
    unmasked = losses(longer(x, 1.0), longer(z, 50.0), longer(cond, 50.0), torch.ones(2, 10))
    assert bool(((unmasked - padded).abs() > 1e-3).all())
