"""Amphion's `args.json` → AcousticConfig. Variants of the recipe that are not supported are refused by name."""

from __future__ import annotations

from pathlib import Path

from fastsvc.checkpoints.files.json5_file import Json5File
from fastsvc.checkpoints.files.npy_file import vector
from fastsvc.config import (
    AcousticConfig,
    AmphionConfig,
    ConditionConfig,
    DenoiserConfig,
    EdmConfig,
    FeatureConfig,
    MelConfig,
    NormConfig,
)
from fastsvc.errors import CheckpointError

CONDITION, DIFFUSION = "model.condition_encoder.", "model.diffusion."
SUPPORTED = {  # key: (its type, the one supported value, the value of a missing key; None: the key is required)
    CONDITION + "merge_mode": (str, "add", None),
    CONDITION + "use_f0": (bool, True, True),
    CONDITION + "use_energy": (bool, True, True),
    CONDITION + "use_spkid": (bool, True, None),
    CONDITION + "use_mert": (bool, False, False),
    CONDITION + "use_wenet": (bool, False, False),
    CONDITION + "use_hubert": (bool, False, False),
    CONDITION + "use_spkemb": (bool, False, False),
    CONDITION + "use_conformer_for_content_features": (bool, False, False),
    "preprocess.use_interpolation_for_uv": (bool, False, False),
    "preprocess.use_log_scale_pitch": (bool, False, False),
    "preprocess.use_log_scale_energy": (bool, False, False),
    DIFFUSION + "model_type": (str, "bidilconv", None),
    DIFFUSION + "bidilconv.conv_kernel_size": (int, 3, None),
    DIFFUSION + "step_encoder.dim_raw_embedding": (int, 128, None),
    DIFFUSION + "step_encoder.dim_hidden_layer": (int, 512, None),
    DIFFUSION + "step_encoder.activation": (str, "SiLU", None),
    DIFFUSION + "step_encoder.num_layer": (int, 2, None),
    DIFFUSION + "step_encoder.max_period": (int, 10000, None),
    "model.comosvc.sigma_min": (float, 0.002, None),  # upstream's samplers have these three numbers as literals
    "model.comosvc.sigma_max": (float, 80.0, None),
    "model.comosvc.rho": (float, 7.0, None),
}
ENCODERS = {"whisper": 1024, "contentvec": 256}  # their usual channels


def acoustic(file: Json5File, folders: list[Path], inspect_only: bool = False) -> AcousticConfig:
    """Sizes from the file, the mel's range from the `.npy` files in ``folders`` (not needed if ``inspect_only``)."""
    for key, (kind, supported, default) in SUPPORTED.items():
        value = file.get(key, kind) if default is None else file.get(key, kind, default)
        if value != supported:
            raise CheckpointError(f"{file.path}: {key} is {value!r}, which is not supported", f"{supported!r} is")
    condition = _condition(file)
    bins = file.get("preprocess.n_mel", int)
    hidden = file.get(DIFFUSION + "bidilconv.conditioner_size", int)
    units = sum(condition.encoder_channels)
    low_hz, high_hz = condition.f0_low_hz, condition.f0_high_hz
    return AcousticConfig(
        mel=_mel(file, bins),
        features=FeatureConfig("+".join(condition.encoders), units, "average", f0_low_hz=low_hz, f0_high_hz=high_hz),
        condition=ConditionConfig(
            units, hidden, file.get(CONDITION + "singer_table_size", int), key_shift=False, voicing=condition.voicing
        ),
        denoiser=DenoiserConfig(
            mel_bins=bins,
            channels=file.get(DIFFUSION + "bidilconv.base_channel", int),
            layers=file.get(DIFFUSION + "bidilconv.n_res_block", int),
            cond_channels=hidden,
            dilation_cycle=file.get(DIFFUSION + "bidilconv.dilation_cycle_length", int),
            step_embedding="amphion",
        ),
        edm=EdmConfig(
            sigma_data=file.get("model.comosvc.sigma_data", float),
            skip_offset=False,
            noise_mean="condition",
            euler_to_min=True,
        ),
        norm=_norm(file, folders, bins, inspect_only),
        amphion=condition,
    )


def _condition(file: Json5File) -> AmphionConfig:
    used = [name for name in ENCODERS if file.get(CONDITION + f"use_{name}", bool, False)]
    return AmphionConfig(
        encoders=tuple(used),
        encoder_channels=tuple(file.get(CONDITION + f"{name}_dim", int, ENCODERS[name]) for name in used),
        channels=file.get("model.comosvc.input_dim", int),
        f0_bins=file.get(CONDITION + "n_bins_melody", int),
        f0_low_hz=file.get("preprocess.f0_min", float),
        f0_high_hz=file.get("preprocess.f0_max", float),
        energy_bins=file.get(CONDITION + "n_bins_loudness", int),
        voicing=file.get(CONDITION + "use_uv", bool, True),
        heads=file.get("model.comosvc.n_heads", int),
        layers=file.get("model.comosvc.n_layers", int),
        filter_channels=file.get("model.comosvc.filter_channels", int),
    )


def _mel(file: Json5File, bins: int) -> MelConfig:
    return MelConfig(
        rate_hz=file.get("preprocess.sample_rate", int),
        hop_samples=file.get("preprocess.hop_size", int),
        fft_samples=file.get("preprocess.n_fft", int),
        window_samples=file.get("preprocess.win_size", int),
        bins=bins,
        low_hz=file.get("preprocess.fmin", float),
        high_hz=file.get("preprocess.fmax", float),
        log_base="e",
    )


def range_needed(file: Json5File) -> bool:
    return file.get("preprocess.use_min_max_norm_mel", bool, True)


def missing(file: Json5File, folders: list[Path]) -> tuple[str, ...]:
    """Files that must be copied here before this can be built."""
    is_missing = range_needed(file) and mel_range(folders) is None
    return ("mel_min.npy and mel_max.npy of the dataset",) if is_missing else ()


def mel_range(folders: list[Path]) -> tuple[Path, Path] | None:
    """The files with the lowest and highest values of each bin, if both exist."""
    pairs = [(folder / "mel_min.npy", folder / "mel_max.npy") for folder in folders]
    return next((pair for pair in pairs if pair[0].is_file() and pair[1].is_file()), None)


def _norm(file: Json5File, folders: list[Path], bins: int, inspect_only: bool) -> NormConfig:
    if not range_needed(file):
        return NormConfig((-1.0,), (1.0,))
    pair = mel_range(folders)
    if pair is not None:
        return NormConfig(*(vector(path, bins) for path in pair))
    if inspect_only:
        return NormConfig((-1.0,), (1.0,))
    folder = file.get("preprocess.mel_min_max_stats_dir", str, "mel_min_max_stats")
    raise CheckpointError(
        f"the mel's range is not in the checkpoint, and {folders[0]} lacks mel_min.npy and mel_max.npy",
        f"copy both there: Amphion keeps them in PROCESSED_DIR/DATASET/{folder}/, DATASET being the singer's",
    )
