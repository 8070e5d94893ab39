"""Checkpoints of CoMoSVC (Grace9994/CoMoSVC): `model_<step>.pt` or similar with `config.yaml` beside it.

Teacher and student hold the same network under `decoder.denoise_fn`; the student also keeps a moving average and
the pretrained copy, and both may keep an unused pitch extractor `pe`: none of them takes part in sampling.
"""

from __future__ import annotations

from pathlib import Path

from fastsvc.checkpoints.checkpoint import Checkpoint
from fastsvc.checkpoints.keys import fit
from fastsvc.checkpoints.loading import state_dict
from fastsvc.checkpoints.yaml_file import YamlFile
from fastsvc.config import AcousticConfig, ConditionConfig, DenoiserConfig, FeatureConfig, MelConfig, NormConfig
from fastsvc.errors import CheckpointError, ConfigError

NETWORK = "decoder.denoise_fn."
UNUSED = ("decoder.denoise_fn_ema.", "decoder.denoise_fn_pretrained.", "decoder.pe.")
NO_SAMPLING = "decoder.betas"  # a buffer of the DDPM schedule: Diffusion-SVC and so-vits share all other names


def recognises(content: dict) -> bool:
    model = content.get("model")
    return "format" not in content and isinstance(model, dict) and any(str(key).startswith(NETWORK) for key in model)


def read(content: dict, path: Path, config: Path | None) -> Checkpoint:
    state = state_dict(content, "model", path)
    if NO_SAMPLING in state:
        raise CheckpointError(
            f"{path} predicts noise on a DDPM schedule (Diffusion-SVC or so-vits-svc), which is not supported yet",
            "only CoMoSVC and fastsvc checkpoints can be built",
        )
    student = any(name.startswith("decoder.denoise_fn_ema.") for name in state)
    tensors = {_ours(name): value for name, value in state.items() if not name.startswith(UNUSED)}
    yaml = YamlFile(path, config)
    layers = yaml.get("model.n_layers", int)
    if layers > len(tensors):
        raise CheckpointError(f"{yaml.path}: model.n_layers is {layers}, the checkpoint has {len(tensors)} tensors")
    try:
        acoustic = _config(yaml, layers)
    except ConfigError as error:
        raise CheckpointError(f"{yaml.path}: {error.message}", error.remedy) from None
    from fastsvc.model.acoustic import AcousticModel

    return Checkpoint(
        path=path,
        format="comosvc",
        kind="student" if student else "teacher",
        config=acoustic,
        tensors=fit(tensors, lambda: AcousticModel(acoustic), path, _theirs),
        speakers=_speakers(yaml, acoustic.condition.speakers),
        step=int(content.get("global_step", 0)),
        input_peak=0.95,  # preprocessing1_resample.py
        notes=(f"mel normalised from {acoustic.norm.low[0]:g} … {acoustic.norm.high[0]:g}",),
    )


def _ours(name: str) -> str:
    return "denoiser." + name.removeprefix(NETWORK) if name.startswith(NETWORK) else "condition." + name


def _theirs(name: str) -> str:
    part, _, rest = name.partition(".")
    return NETWORK + rest if part == "denoiser" else rest


def _config(yaml: YamlFile, layers: int) -> AcousticConfig:
    """Sizes and features from the YAML; the mel recipe is the vocoder's, of which rate and hop are repeated here.

    Checkpoints from before 2024-02-26 work on the raw log-mel: `data.spec_min: -1` and `data.spec_max: 1`, which
    upstream does not know, say so. Nothing in the file does.
    """
    hidden = yaml.get("model.n_hidden", int)
    units = yaml.get("data.encoder_out_channels", int)
    return AcousticConfig(
        mel=MelConfig(rate_hz=yaml.get("data.sampling_rate", int), hop_samples=yaml.get("data.hop_length", int)),
        features=FeatureConfig(
            encoder=yaml.get("data.encoder", str),
            unit_channels=units,
            unit_align=yaml.get("data.unit_interpolate_mode", str, "left"),
            f0_method="dio",
            f0_style="comosvc",
        ),
        condition=ConditionConfig(
            unit_channels=units,
            channels=hidden,
            speakers=max(yaml.get("model.n_spk", int, 1), 1),
            key_shift=yaml.get("model.use_pitch_aug", bool, False),
        ),
        denoiser=DenoiserConfig(channels=yaml.get("model.n_chans", int), layers=layers, cond_channels=hidden),
        norm=NormConfig((yaml.get("data.spec_min", float, -6.0),), (yaml.get("data.spec_max", float, 1.5),)),
    )


def _speakers(yaml: YamlFile, count: int) -> tuple[str, ...]:
    """Names by id, counted from 0 as upstream does; ids without a name get "speaker N"."""
    names = [f"speaker {i}" for i in range(count)]
    for name, number in yaml.get("spk", dict, {}).items():
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < count:
            raise CheckpointError(
                f"{yaml.path}: spk.{name} is {number!r}, outside 0 … {count - 1}", "correct the table"
            )
        names[number] = str(name)
    return tuple(names)
