"""M4Singer's HiFi-GAN, the vocoder of CoMoSVC: `model_ckpt_steps_N.ckpt` with `config.yaml` beside it."""

from __future__ import annotations

from pathlib import Path

from fastsvc.checkpoints.checkpoint import Checkpoint
from fastsvc.checkpoints.files.yaml_file import YamlFile
from fastsvc.checkpoints.read_options import ReadOptions
from fastsvc.checkpoints.readers.generators import VOCODER_MEL_FIELDS, generator, refuse_absurd, resblock, rows, sizes
from fastsvc.config import MelConfig, VocoderConfig
from fastsvc.errors import CheckpointError, ConfigError
from fastsvc.reading.loading import count, state_dict


def recognises(content: dict) -> bool:
    state = content.get("state_dict")
    return isinstance(state, dict) and "model_gen" in state


def read(content: dict, path: Path, options: ReadOptions) -> Checkpoint:
    state = state_dict(content["state_dict"], "model_gen", path)
    yaml = YamlFile(path, options, option=False)
    try:
        vocoder = _config(yaml)
    except ConfigError as error:
        raise CheckpointError(f"{yaml.path}: {error.message}", "use the vocoder's own config.yaml") from None
    tensors, notes = generator(state, vocoder, path)
    return Checkpoint(
        path=path,
        format="m4gan",
        kind="vocoder",
        config=vocoder,
        tensors=tensors,
        step=count(content, "global_step"),
        notes=notes,
        mel_fields=VOCODER_MEL_FIELDS,
    )


def _config(yaml: YamlFile) -> VocoderConfig:
    if not yaml.get("use_pitch_embed", bool, True):
        raise CheckpointError(
            f"{yaml.path}: use_pitch_embed is false", "use a generator with a harmonic source (use_pitch_embed: true)"
        )
    rates, dilations = sizes(yaml, "upsample_rates"), rows(yaml, "resblock_dilation_sizes")
    refuse_absurd(rates, dilations, yaml.path)
    return VocoderConfig(
        family="m4",
        mel=MelConfig(
            rate_hz=yaml.get("audio_sample_rate", int),
            hop_samples=yaml.get("hop_size", int),
            fft_samples=yaml.get("fft_size", int),
            window_samples=yaml.get("win_size", int),
            bins=yaml.get("audio_num_mel_bins", int),
            low_hz=yaml.get("fmin", float),
            high_hz=yaml.get("fmax", float),
        ),
        initial_channels=yaml.get("upsample_initial_channel", int),
        upsample_rates=rates,
        upsample_kernels=sizes(yaml, "upsample_kernel_sizes"),
        resblock=resblock(yaml),
        resblock_kernels=sizes(yaml, "resblock_kernel_sizes"),
        resblock_dilations=dilations,
    )
