"""Checkpoints of Amphion's DiffComoSVC, made up: upstream's keys and shapes, random weights, the files about them.

The weights come from numpy's RandomState, whose stream never changes, so that the golden results need no weights.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

SINGERS = {"opencpop_female1": 0, "m4singer_Alto-1": 2, "svcc_CDF1": 1}


@dataclass(frozen=True)
class Sizes:
    """The full recipe (config/comosvc.json with egs/svc/DiffComoSVC/exp_config.json)."""

    bins: int = 100
    whisper: int = 1024
    contentvec: int = 256
    hidden: int = 384
    inner: int = 512
    heads: int = 2
    conformer: int = 6
    width: int = 384
    layers: int = 20
    table: int = 512


SMALL = Sizes(
    bins=20, whisper=24, contentvec=16, hidden=48, inner=40, heads=2, conformer=3, width=32, layers=5, table=8
)


def condition_shapes(size: Sizes) -> dict[str, tuple[int, ...]]:
    h, w = size.hidden, size.hidden // size.heads
    shapes = {
        "0.whisper_encoder.nn.weight": (h, size.whisper),
        "0.whisper_encoder.nn.bias": (h,),
        "0.contentvec_encoder.nn.weight": (h, size.contentvec),
        "0.contentvec_encoder.nn.bias": (h,),
        "0.melody_encoder.nn.weight": (256, h),
        "0.melody_encoder.uv_embedding.weight": (2, h),
        "0.loudness_encoder.energy_bins": (255,),
        "0.loudness_encoder.nn.weight": (256, h),
        "0.singer_encoder.nn.weight": (size.table, h),
        "1.encoder.projection.weight": (size.bins, h, 1),
        "1.encoder.projection.bias": (size.bins,),
    }
    for i in range(size.conformer):
        part = "1.encoder.conformer_encoder."
        for name in ("emb_rel_k", "emb_rel_v"):
            shapes[f"{part}attn_layers.{i}.{name}"] = (1, 9, w)
        for name in "qkvo":
            shapes[f"{part}attn_layers.{i}.conv_{name}.weight"] = (h, h, 1)
            shapes[f"{part}attn_layers.{i}.conv_{name}.bias"] = (h,)
        for name in ("norm_layers_1", "norm_layers_2"):
            shapes[f"{part}{name}.{i}.gamma"] = shapes[f"{part}{name}.{i}.beta"] = (h,)
        shapes[f"{part}ffn_layers.{i}.conv_1.weight"] = (size.inner, h, 3)
        shapes[f"{part}ffn_layers.{i}.conv_1.bias"] = (size.inner,)
        shapes[f"{part}ffn_layers.{i}.conv_2.weight"] = (h, size.inner, 3)
        shapes[f"{part}ffn_layers.{i}.conv_2.bias"] = (h,)
    return shapes


def denoiser_shapes(size: Sizes) -> dict[str, tuple[int, ...]]:
    c, m = size.width, size.bins
    net = "neural_network."
    shapes = {
        "diff_encoder.out.0": (512, 128),
        "diff_encoder.out.2": (512, 512),
        "diff_encoder.out.4": (c, 512),
        net + "input.0": (c, m, 1),
        net + "out_proj.0": (c, c, 1),
        net + "out_proj.2": (m, c, 1),
    }
    for i in range(size.layers):
        shapes[f"{net}residual_blocks.{i}.gau.conv"] = (2 * c, c, 3)
        shapes[f"{net}residual_blocks.{i}.gau.context_proj"] = (2 * c, m, 1)
        shapes[f"{net}residual_blocks.{i}.out_proj"] = (2 * c, c, 1)
    return {f"{name}.weight": shape for name, shape in shapes.items()} | {
        f"{name}.bias": shape[:1] for name, shape in shapes.items()
    }


def state(size: Sizes = SMALL, student: bool = True, seed: int = 1) -> dict[str, torch.Tensor]:
    """A state dict as accelerate saves it; the copies of a student's denoiser differ."""
    random = np.random.RandomState(seed)
    copies = ["denoise_fn", "denoise_fn_ema", "denoise_fn_pretrained"][: 3 if student else 1]
    shapes = condition_shapes(size)
    for copy in copies:
        shapes |= {f"1.decoder.{copy}.{name}": shape for name, shape in denoiser_shapes(size).items()}

    def values(name: str, shape) -> torch.Tensor:
        if name.endswith("energy_bins"):
            return torch.exp(torch.linspace(np.log(1e-30), np.log(1.5), shape[0]))
        draw = random.standard_normal(shape)
        if name.endswith("gamma"):
            draw = 1 + 0.1 * draw
        elif len(shape) == 1:
            draw = 0.1 * draw
        elif "_encoder.nn" not in name or "whisper" in name or "contentvec" in name:
            draw = draw / np.prod(shape[1:]) ** 0.5
        return torch.from_numpy(draw.astype(np.float32))

    return {name: values(name, shape) for name, shape in shapes.items()}


def settings(size: Sizes = SMALL, distill: bool = True) -> dict:
    """What `args.json` says, as far as it matters."""
    return {
        "model_type": "DiffComoSVC",
        "dataset": ["opencpop"],
        "preprocess": {
            "sample_rate": 24000,
            "hop_size": 256,
            "n_fft": 1024,
            "win_size": 1024,
            "n_mel": size.bins,
            "fmin": 0,
            "fmax": 12000,
            "f0_min": 50,
            "f0_max": 1100,
            "use_min_max_norm_mel": True,
            "mel_min_max_stats_dir": "mel_min_max_stats",
            "processed_dir": "somewhere, // not a comment",
        },
        "model": {
            "condition_encoder": {
                "merge_mode": "add",
                "use_f0": True,
                "use_uv": True,
                "use_energy": True,
                "n_bins_melody": 256,
                "n_bins_loudness": 256,
                "use_whisper": True,
                "use_contentvec": True,
                "whisper_dim": size.whisper,
                "contentvec_dim": size.contentvec,
                "singer_table_size": size.table,
                "use_spkid": True,
            },
            "comosvc": {
                "distill": distill,
                "input_dim": size.hidden,
                "output_dim": size.bins,
                "n_heads": size.heads,
                "n_layers": size.conformer,
                "filter_channels": size.inner,
                "sigma_data": 0.5,
                "sigma_min": 0.002,
                "sigma_max": 80,
                "rho": 7,
            },
            "diffusion": {
                "model_type": "bidilconv",
                "step_encoder": {
                    "dim_raw_embedding": 128,
                    "dim_hidden_layer": 512,
                    "activation": "SiLU",
                    "num_layer": 2,
                    "max_period": 10000,
                },
                "bidilconv": {
                    "base_channel": size.width,
                    "n_res_block": size.layers,
                    "conv_kernel_size": 3,
                    "dilation_cycle_length": 4,
                    "conditioner_size": size.bins,
                },
            },
        },
    }


def mel_range(bins: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.RandomState(7)
    low = -11.5 + random.uniform(0, 1, bins)
    return low.astype(np.float32), (low + 9 + 4 * random.uniform(0, 1, bins)).astype(np.float32)


def experiment(folder: Path, size: Sizes = SMALL, student: bool = True, tensors=None, plain=None) -> Path:
    """An experiment's folder, as training leaves it, with the mel's range beside; → its checkpoint's folder."""
    checkpoint = folder / "checkpoint" / "epoch-0100_step-0004321_loss-0.215000"
    checkpoint.mkdir(parents=True)
    torch.save(tensors or state(size, student), checkpoint / "pytorch_model.bin")
    text = json.dumps(plain or settings(size, student), indent=4)
    (folder / "args.json").write_text("// by json5\n" + text.replace('"\n', '",\n').replace("\n}", ",\n}"))
    (folder / "singers.json").write_text(json.dumps(SINGERS))
    low, high = mel_range(size.bins)
    np.save(folder / "mel_min.npy", low)
    np.save(folder / "mel_max.npy", high)
    return checkpoint


def features(frames: int, size: Sizes = SMALL) -> dict[str, torch.Tensor]:
    """units [T, U], f0_hz [T] with gaps and values beyond the bins, energy [T] from silence to above the bins."""
    random = np.random.RandomState(100 + frames)
    f0_hz = 55 * 2 ** (5 * random.uniform(0, 1, frames))
    f0_hz[random.uniform(0, 1, frames) < 0.3] = 0
    f0_hz[::17] = 30.0
    energy = 10 ** random.uniform(-4, 1, frames)
    energy[1::19] = 0
    units = random.standard_normal((frames, size.whisper + size.contentvec))
    return {
        name: torch.from_numpy(value.astype(np.float32))
        for name, value in (("units", units), ("f0_hz", f0_hz), ("energy", energy))
    }
