"""openvpi's NSF-HiFi-GAN and PC-NSF-HiFi-GAN (`mini_nsf`): `model`, `*.ckpt` or `*.pt` with `config.json` beside it.

The vocoders of Diffusion-SVC, so-vits-svc 4.1, DDSP-SVC and DiffSinger; written by SingingVocoders' export_ckpt.py.
Their mels are natural logarithms. `pc_aug` and `discriminator_periods` are settings of their training and do not
change the generator.
"""

from __future__ import annotations

from pathlib import Path

from fastsvc.checkpoints.checkpoint import Checkpoint
from fastsvc.checkpoints.files.json_file import JsonFile
from fastsvc.checkpoints.read_options import ReadOptions
from fastsvc.checkpoints.readers.generators import VOCODER_MEL_FIELDS, generator, refuse_absurd, resblock, rows, sizes
from fastsvc.config import MelConfig, VocoderConfig
from fastsvc.errors import CheckpointError, ConfigError
from fastsvc.reading.loading import state_dict

TRAINING = "generator.conv_pre."  # SingingVocoders' own training checkpoints: Lightning's state_dict


def recognises(content: dict) -> bool:
    if isinstance(content.get("generator"), dict):
        return True
    state = content.get("state_dict")
    return isinstance(state, dict) and any(str(name).startswith(TRAINING) for name in state)


def read(content: dict, path: Path, options: ReadOptions) -> Checkpoint:
    if "generator" not in content:
        raise CheckpointError(
            f"{path} is a training checkpoint of SingingVocoders, not its export",
            "export it with SingingVocoders' export_ckpt.py, which writes config.json as well",
        )
    state = state_dict(content, "generator", path)
    json = JsonFile(path, options)
    try:
        vocoder = _config(json)
    except ConfigError as error:
        raise CheckpointError(f"{json.path}: {error.message}", error.remedy) from None
    tensors, notes = generator(state, vocoder, path)
    if vocoder.source == "sine":
        notes += ("PC-NSF: one sine, added at stage 1",)
    return Checkpoint(
        path=path,
        format="nsf_hifigan",
        kind="vocoder",
        config=vocoder,
        tensors=tensors,
        notes=notes,
        mel_fields=VOCODER_MEL_FIELDS,
    )


def _config(json: JsonFile) -> VocoderConfig:
    rates, dilations = sizes(json, "upsample_rates"), rows(json, "resblock_dilation_sizes")
    refuse_absurd(rates, dilations, json.path)
    rate_hz = json.get("sampling_rate", int)
    return VocoderConfig(
        family="openvpi",
        mel=MelConfig(
            rate_hz=rate_hz,
            hop_samples=json.get("hop_size", int),
            fft_samples=json.get("n_fft", int),
            window_samples=json.get("win_size", int),
            bins=json.get("num_mels", int),
            low_hz=json.get("fmin", float),
            high_hz=json.get("fmax", float, rate_hz / 2),
            log_base="e",
        ),
        initial_channels=json.get("upsample_initial_channel", int),
        upsample_rates=rates,
        upsample_kernels=sizes(json, "upsample_kernel_sizes"),
        resblock=resblock(json),
        resblock_kernels=sizes(json, "resblock_kernel_sizes"),
        resblock_dilations=dilations,
        source="sine" if json.get("mini_nsf", bool, False) else "sines",
        noise_sigma=json.get("noise_sigma", float, 0.0),
    )
