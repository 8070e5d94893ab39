"""Checkpoints of CoMoSVC (Grace9994/CoMoSVC) and its 256-unit fork (LuckyBian/COMOSVC), with `config.yaml` beside.

Teacher and student hold the same network under `decoder.denoise_fn`; the student also keeps a moving average and
the pretrained copy, and both may keep an unused pitch extractor `pe`: none of them takes part in sampling.
"""

from __future__ import annotations

from pathlib import Path

from fastsvc.checkpoints.checkpoint import Checkpoint
from fastsvc.checkpoints.files.yaml_file import YamlFile
from fastsvc.checkpoints.read_options import ReadOptions
from fastsvc.checkpoints.readers import diffusion_svc, eras, unit2mel
from fastsvc.config import AcousticConfig, FeatureConfig, MelConfig
from fastsvc.errors import CheckpointError, ConfigError
from fastsvc.model.keys import fit
from fastsvc.reading.loading import count, state_dict

USED_OPTIONS = ("era", "speaker_vectors")  # fields of ReadOptions
OTHER_BINS = 128  # mel bins of Diffusion-SVC and similar projects; CoMoSVC's code has 80
UNUSED = ("decoder.denoise_fn_ema.", "decoder.denoise_fn_pretrained.", "decoder.pe.")


def recognises(content: dict) -> bool:
    model = content.get("model")
    return (
        "format" not in content
        and isinstance(model, dict)
        and not diffusion_svc.has_chain(model)
        and unit2mel.has_network(model)
    )


def read(content: dict, path: Path, options: ReadOptions) -> Checkpoint:
    state = state_dict(content, "model", path)
    student = any(name.startswith("decoder.denoise_fn_ema.") for name in state)
    tensors = {unit2mel.model_name(name): value for name, value in state.items() if not name.startswith(UNUSED)}
    yaml, missing_files = unit2mel.configuration(path, options, state, sampling_rate=24000, hop_length=128)
    weight = tensors.get("denoiser.input_projection.weight")
    has_other_bins = weight is not None and weight.dim() == 3 and weight.shape[1] == OTHER_BINS
    if has_other_bins or (yaml.get("data.block_size", int, 0) and not yaml.get("data.hop_length", int, 0)):
        raise CheckpointError(
            f"{path} lacks {diffusion_svc.BETAS}, the noise schedule that Diffusion-SVC, so-vits-svc and DDSP-SVC keep",
            "save its whole state dict, with the buffers",
        )
    layers = unit2mel.layers(yaml, tensors)
    names, missing = None, ()
    if unit2mel.takes_vectors(tensors, yaml):
        tensors, names, missing = unit2mel.with_vectors(tensors, options.speaker_vectors, path)
    elif options.speaker_vectors is not None:
        raise CheckpointError(f"{path} takes speaker ids, not vectors", "omit --speaker-vectors")
    try:
        config = _config(yaml, layers, None if names is None else len(names))
    except ConfigError as error:
        raise CheckpointError(f"{yaml.path}: {error.message}", error.remedy) from None
    from fastsvc.model.acoustic import AcousticModel

    tensors = fit(tensors, lambda: AcousticModel(config), path, unit2mel.file_name)
    without_pe = not any(name.startswith("decoder.pe.") for name in state)
    config, note = eras.settle(config, tensors, options.era, without_pitch_extractor=without_pe)
    return Checkpoint(
        path=path,
        format="comosvc",
        kind="student" if student else "teacher",
        config=config,
        tensors=tensors,
        speakers=names or unit2mel.speaker_names(yaml, config.condition.speakers),
        step=count(content, "global_step"),
        input_peak=0.95,  # preprocessing1_resample.py
        notes=(note,),
        missing=missing_files + missing,
        mel_fields=("rate_hz", "hop_samples", "bins"),
    )


def _config(yaml: YamlFile, layers: int, speakers: int | None) -> AcousticConfig:
    """Sizes and features from the YAML. Of the mel it holds rate and hop alone; the vocoder's recipe has the rest."""
    condition = unit2mel.condition(yaml, key_shift=speakers is None and yaml.get("model.use_pitch_aug", bool, False))
    if speakers is not None:
        from dataclasses import replace

        condition = replace(condition, speakers=speakers)
    return AcousticConfig(
        mel=MelConfig(rate_hz=yaml.get("data.sampling_rate", int), hop_samples=yaml.get("data.hop_length", int)),
        features=FeatureConfig(
            encoder=yaml.get("data.encoder", str),
            unit_channels=condition.unit_channels,
            unit_align=yaml.get("data.unit_interpolate_mode", str, "left"),
            f0_method="dio",
            f0_style="comosvc",
        ),
        condition=condition,
        denoiser=unit2mel.denoiser(yaml, layers, MelConfig().bins),
        norm=eras.NORMALISED,
    )
