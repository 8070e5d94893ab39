"""Checkpoints in the layouts of other projects, with random weights: the keys and shapes as documented, written out
here rather than taken from fastsvc's modules, so that a reader is held against the format and not against itself."""

from pathlib import Path

import numpy as np
import torch
import yaml

SMALL = {"channels": 32, "layers": 3, "hidden": 16, "units": 12}
HEARD = {"channels": 32, "layers": 3, "hidden": 16, "units": 8, "encoder": "vec8l3"}  # units of huberts.TINY
FULL = {"channels": 512, "layers": 20, "hidden": 256, "units": 768}


def wavenet(channels: int, layers: int, hidden: int, bins: int) -> dict[str, tuple[int, ...]]:
    """The denoiser of CoMoSVC, Diffusion-SVC, so-vits-svc 4.1 and DDSP-SVC 3 (170 keys with 20 layers)."""
    c = channels
    shapes = {
        "input_projection.weight": (c, bins, 1),
        "input_projection.bias": (c,),
        "mlp.0.weight": (4 * c, c),
        "mlp.0.bias": (4 * c,),
        "mlp.2.weight": (c, 4 * c),
        "mlp.2.bias": (c,),
        "skip_projection.weight": (c, c, 1),
        "skip_projection.bias": (c,),
        "output_projection.weight": (bins, c, 1),
        "output_projection.bias": (bins,),
    }
    for i in range(layers):
        layer = f"residual_layers.{i}."
        shapes |= {
            layer + "dilated_conv.weight": (2 * c, c, 3),
            layer + "dilated_conv.bias": (2 * c,),
            layer + "diffusion_projection.weight": (c, c),
            layer + "diffusion_projection.bias": (c,),
            layer + "conditioner_projection.weight": (2 * c, hidden, 1),
            layer + "conditioner_projection.bias": (2 * c,),
            layer + "output_projection.weight": (2 * c, c, 1),
            layer + "output_projection.bias": (2 * c,),
        }
    return shapes


def condition(hidden: int, units: int, speakers: int = 1, key_shift: bool = True) -> dict[str, tuple[int, ...]]:
    shapes = {"unit_embed.weight": (hidden, units), "f0_embed.weight": (hidden, 1), "volume_embed.weight": (hidden, 1)}
    shapes |= {name.replace("weight", "bias"): (hidden,) for name in shapes}
    if key_shift:
        shapes["aug_shift_embed.weight"] = (hidden, 1)
    if speakers > 1:
        shapes["spk_embed.weight"] = (speakers, hidden)
    return shapes


def filled(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Random weights that keep signals at their level."""
    return {
        name: torch.randn(shape) / max(1, int(np.prod(shape[1:]))) ** 0.5 * (0.1 if name.endswith("bias") else 1.0)
        for name, shape in shapes.items()
    }


def chain(timesteps: int = 1000) -> dict[str, torch.Tensor]:
    """The buffers of upstream's GaussianDiffusion: betas 1e-4 … 0.02, mel −12 … 2."""
    betas = np.linspace(1e-4, 0.02, timesteps)
    alphas = np.cumprod(1 - betas)
    before = np.append(1.0, alphas[:-1])
    variance = betas * (1 - before) / (1 - alphas)
    values = {
        "betas": betas,
        "alphas_cumprod": alphas,
        "alphas_cumprod_prev": before,
        "sqrt_alphas_cumprod": np.sqrt(alphas),
        "sqrt_one_minus_alphas_cumprod": np.sqrt(1 - alphas),
        "log_one_minus_alphas_cumprod": np.log(1 - alphas),
        "sqrt_recip_alphas_cumprod": np.sqrt(1 / alphas),
        "sqrt_recipm1_alphas_cumprod": np.sqrt(1 / alphas - 1),
        "posterior_variance": variance,
        "posterior_log_variance_clipped": np.log(np.maximum(variance, 1e-20)),
        "posterior_mean_coef1": betas * np.sqrt(before) / (1 - alphas),
        "posterior_mean_coef2": (1 - before) * np.sqrt(1 - betas) / (1 - alphas),
    }
    tensors = {f"decoder.{name}": torch.tensor(value, dtype=torch.float32) for name, value in values.items()}
    limits = {"decoder.spec_min": torch.full((1, 1, 1), -12.0), "decoder.spec_max": torch.full((1, 1, 1), 2.0)}
    return tensors | limits


def unit2mel(size: dict, bins: int, speakers: int, key_shift: bool = True) -> dict[str, torch.Tensor]:
    """State dict of a `Unit2Mel`, without the chain."""
    net = wavenet(size["channels"], size["layers"], size["hidden"], bins)
    state = condition(size["hidden"], size["units"], speakers, key_shift)
    return filled(state | {f"decoder.denoise_fn.{name}": shape for name, shape in net.items()})


def _save(folder: Path, state: dict, config: dict, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    torch.save({"global_step": 4000, "model": state}, folder / name)
    return folder / name


def _encoder(size: dict, name: str) -> str:
    return size.get("encoder", name)


def _config(size: dict, speakers: int, data: dict, model: dict) -> dict:
    sizes = {"n_layers": size["layers"], "n_chans": size["channels"], "n_hidden": size["hidden"], "n_spk": speakers}
    return {
        "data": {"encoder_out_channels": size["units"], "encoder_sample_rate": 16000, "encoder_hop_size": 320} | data,
        "model": {"type": "Diffusion"} | sizes | model,
    }


def comosvc(folder: Path, size=SMALL, speakers: int = 3, student: bool = True, pitch_extractor: bool = True) -> Path:
    """Student files keep three copies of the network."""
    state = unit2mel(size, 80, speakers)
    if student:
        for copy in ("denoise_fn_ema", "denoise_fn_pretrained"):
            net = filled(wavenet(size["channels"], size["layers"], size["hidden"], 80))
            state |= {f"decoder.{copy}.{name}": value for name, value in net.items()}
    if pitch_extractor:
        state["decoder.pe.mel_prenet.weight"] = torch.randn(4, 80)
    data = {
        "sampling_rate": 24000,
        "hop_length": 128,
        "encoder": _encoder(size, "vec768l12"),
        "unit_interpolate_mode": "nearest",
    }
    config = _config(size, speakers, data, {"use_pitch_aug": True})
    config["spk"] = {f"SINGER{i}": i for i in range(speakers)}
    return _save(folder, state, config, "model_4000.pt")


def comosvc_fork(folder: Path, size=SMALL, embedding: int = 256) -> Path:
    """LuckyBian/COMOSVC: 256-channel units, a linear map of a speaker embedding, no key shift, no `pe`."""
    state = unit2mel(size | {"units": 256}, 80, 1, key_shift=False)
    state |= filled({"spk_embed.weight": (size["hidden"], embedding), "spk_embed.bias": (size["hidden"],)})
    data = {"sampling_rate": 24000, "hop_length": 128, "encoder": "vec256l9", "unit_interpolate_mode": "nearest"}
    return _save(folder, state, _config(size | {"units": 256}, 1, data, {"use_pitch_aug": True}), "model_100.pt")


def diffusion_svc(folder: Path, size=SMALL, speakers: int = 3, k_step_max: int = 0, combo: bool = False) -> Path:
    state = unit2mel(size, 128, speakers) | chain()
    data = {
        "f0_extractor": "crepe",
        "f0_min": 65,
        "f0_max": 800,
        "sampling_rate": 44100,
        "block_size": 512,
        "encoder": _encoder(size, "contentvec768l12"),
        "units_forced_mode": "nearest",
    }
    config = _config(size, speakers, data, {"use_pitch_aug": True, "k_step_max": k_step_max})
    config["vocoder"] = {"type": "nsf-hifigan", "ckpt": "pretrain/nsf_hifigan/model"}
    if not combo:
        return _save(folder, state, config, "model_4000.pt")
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "diff_model": {"global_step": 4000, "model": state},
        "diff_config_dict": config,
        "naive_model": {"global_step": 10, "model": {"stack.0.weight": torch.zeros(2, 2)}},
        "naive_config_dict": {"model": {"type": "Naive"}},
    }
    torch.save(content, folder / "combo.ptc")
    return folder / "combo.ptc"


def sovits(folder: Path, size=SMALL, speakers: int = 3, k_step_max: int = 0) -> Path:
    state = unit2mel(size, 128, speakers) | chain()
    data = {
        "sampling_rate": 44100,
        "block_size": 512,
        "encoder": _encoder(size, "vec768l12"),
        "training_files": "filelists/train.txt",
        "unit_interpolate_mode": "nearest",
    }
    config = _config(size, speakers, data, {"use_pitch_aug": True, "timesteps": 1000, "k_step_max": k_step_max})
    config["vocoder"] = {"type": "nsf-hifigan", "ckpt": "pretrain/nsf_hifigan/model"}
    config["spk"] = {f"singer {i}": i for i in range(speakers)}
    return _save(folder, state, config, "model_4000.pt")


def ddsp_svc(folder: Path, size=SMALL, speakers: int = 3) -> Path:
    """DDSP-SVC 3.0: no key shift, units gathered by rounding, ids from 1."""
    state = unit2mel(size, 128, speakers, key_shift=False) | chain()
    data = {
        "f0_extractor": "parselmouth",
        "f0_min": 65,
        "f0_max": 800,
        "sampling_rate": 44100,
        "block_size": 512,
        "encoder": _encoder(size, "contentvec"),
    }
    config = _config(size, speakers, data, {})
    config["vocoder"] = {"type": "nsf-hifigan", "ckpt": "pretrain/nsf_hifigan/model"}
    return _save(folder, state, config, "model_4000.pt")


ACOUSTIC = {
    "comosvc": comosvc,
    "diffusion_svc": diffusion_svc,
    "sovits": sovits,
    "ddsp_svc": ddsp_svc,
}
