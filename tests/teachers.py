"""Small teachers: random, perfect for a mixture of Gaussians that is known, and settings to train one."""

import torch
import yaml
from toy_corpus import MEL

from fastsvc.config import AcousticConfig, ConditionConfig, DenoiserConfig, EdmConfig, FeatureConfig, NormConfig
from fastsvc.model.acoustic import AcousticModel

EDM = EdmConfig()
TINY = {"channels": 48, "layers": 4, "dilation_cycle": 3, "cond_channels": 32}


def random_model(bins=5, speakers=2) -> AcousticModel:
    config = AcousticConfig(
        mel=type(MEL)(bins=bins),
        features=FeatureConfig(unit_channels=3),
        condition=ConditionConfig(unit_channels=3, channels=8, speakers=speakers, key_shift=False),
        denoiser=DenoiserConfig(mel_bins=bins, channels=8, layers=3, cond_channels=8, dilation_cycle=2),
        norm=NormConfig((-6.0,), (1.5,)),
    )
    model = AcousticModel(config)
    torch.nn.init.normal_(model.denoiser.output_projection.weight)  # it starts at zero
    return model.requires_grad_(False)


MEANS, SPREAD = torch.tensor([-0.8, 0.1, 0.9], dtype=torch.float64), 0.05


def perfect(x, sigma):
    """E[x0 | x] for x0 from the mixture with equal weights, elementwise."""
    sigma = torch.as_tensor(sigma, dtype=torch.float64)[..., None]
    variance = SPREAD**2 + sigma**2
    weight = torch.softmax(-((x[..., None] - MEANS) ** 2) / (2 * variance), dim=-1)
    return (weight * (SPREAD**2 * x[..., None] + sigma**2 * MEANS) / variance).sum(-1)


def drawn(count=4000):
    pick = torch.randint(len(MEANS), (count,))
    return MEANS[pick] + SPREAD * torch.randn(count, dtype=torch.float64)


def write_config(path, corpus, **changes):
    config = {
        "corpus": str(corpus.path),
        "out": str(path.parent / "run"),
        "device": "cpu",
        "precision": "fp32",
        "batch": {"size": 8, "frames": 64},
        "ema": 0.98,
        "log_every": 50,
    }
    path.write_text(yaml.safe_dump(config | changes))
    return path
