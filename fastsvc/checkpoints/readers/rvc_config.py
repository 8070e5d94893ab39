"""The sizes in a voice file of RVC → configurations of its acoustic part and of its generator.

The file's `config` is a list without names. Each value is checked against limits before anything is computed from it.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from torch import Tensor

from fastsvc.checkpoints.files.yaml_file import YamlFile
from fastsvc.checkpoints.readers.generators import refuse_absurd, resblock, rows, sizes
from fastsvc.config import FeatureConfig, MelConfig, RvcConfig, VocoderConfig
from fastsvc.config.limits import RATES_HZ
from fastsvc.config.plain import check
from fastsvc.config.shown import shown
from fastsvc.errors import CheckpointError, ConfigError

VALUES = ("spectrum_bins", "segment", "latent", "hidden", "filter", "heads", "layers", "kernel", "dropout", "resblock")
VALUES += ("resblock_kernels", "resblock_dilations", "upsample_rates", "initial_channels", "upsample_kernels")
VALUES += ("speakers", "speaker_channels", "rate")  # in the file's order
UNITS = {"v1": ("vec256l9", 256), "v2": ("vec768l12", 768)}  # version: the units' name and width
PITCH = {1: True, 0: False, "1": True, "0": False}
CORRECT = "download the voice again, or extract it once more from its training"
FRAMES_HZ = 100
VECTORS_LIMIT = 2**24  # numbers in the generator's table of speakers, which is a product and not in the file
WINDOW = 512  # samples, of a spectrogram that no voice has: MelConfig wants one of a hop at least
_RATE = re.compile(r"(\d{1,6})\s*(k?)(?:hz)?", re.IGNORECASE)


class SizeList(YamlFile):
    """:meth:`get` for the list `config` of a voice, by the names of :data:`VALUES`."""

    kind = "a voice as RVC or Applio writes it"

    def __init__(self, values, path: Path):
        if not isinstance(values, (list, tuple)) or len(values) != len(VALUES):
            found = f"{len(values)} values" if isinstance(values, (list, tuple)) else shown(values)
            raise CheckpointError(f"{path}: its config is {found}, not a list of {len(VALUES)} sizes", CORRECT)
        self.path, self.values = path, dict(zip(VALUES, values))


def configurations(content: dict, state: dict[str, Tensor], path: Path) -> tuple[RvcConfig, VocoderConfig]:
    """(acoustic part, generator) of the voice ``content``. Raises CheckpointError naming the value that is wrong."""
    file = SizeList(content.get("config"), path)
    dilations, rates = rows(file, "resblock_dilations"), sizes(file, "upsample_rates")
    refuse_absurd(rates, dilations, path)
    if file.get("layers", int) > len(state):
        raise CheckpointError(f"{path}: its config has {shown(file.get('layers', int))} layers", CORRECT)
    pitch = _pitch(content, path)
    encoder, unit_channels = UNITS[_version(content, path)]
    table = state.get("emb_g.weight")
    speakers = table.shape[0] if table is not None and table.dim() == 2 else file.get("speakers", int)
    try:
        mel = _grid(file, rates, content.get("sr"))
        acoustic = RvcConfig(
            mel=mel,
            features=FeatureConfig(encoder, unit_channels, "left"),
            speakers=speakers,
            speaker_channels=file.get("speaker_channels", int),
            hidden=file.get("hidden", int),
            filter_channels=file.get("filter", int),
            heads=file.get("heads", int),
            layers=file.get("layers", int),
            kernel=file.get("kernel", int),
            pitch=pitch,
        )
        vocoder = VocoderConfig(
            family="openvpi",
            mel=mel,
            initial_channels=file.get("initial_channels", int),
            upsample_rates=rates,
            upsample_kernels=sizes(file, "upsample_kernels"),
            resblock=resblock(file),
            resblock_kernels=sizes(file, "resblock_kernels"),
            resblock_dilations=dilations,
            harmonics=0,
            source="sines" if pitch else "none",
            speakers=speakers,
        )
        check(
            speakers * vocoder.initial_channels <= VECTORS_LIMIT,
            f"{speakers} speakers with {vocoder.initial_channels} initial_channels are too many",
        )
    except ConfigError as error:
        raise CheckpointError(f"{path}: its config is wrong: {error.message}", CORRECT) from None
    return acoustic, vocoder


def _grid(file: SizeList, rates: tuple[int, ...], said) -> MelConfig:
    """The grid of frames. The list's rate is right, as upstream takes it, unless only the file's `sr` fits the hop: a
    merged voice may say another `sr`, and shapes do not tell (32k and 48k of v1 without pitch have the same)."""
    rate, hop, said_hz = file.get("rate", int), math.prod(rates), rate_hz(said)
    if said_hz is not None and said_hz == hop * FRAMES_HZ:
        rate = said_hz
    check(RATES_HZ[0] <= rate <= RATES_HZ[1], f"rate is {shown(rate)}, outside {RATES_HZ[0]} … {RATES_HZ[1]}")
    return MelConfig(
        rate, hop, max(WINDOW, hop), max(WINDOW, hop), file.get("latent", int), low_hz=0, high_hz=rate / 2, log_base="e"
    )


def rate_hz(said) -> int | None:
    """A rate as 40000, "40000", "40k"; None for anything else."""
    match = _RATE.fullmatch(said.strip()) if isinstance(said, str) else None
    if match:
        return int(match[1]) * (1000 if match[2] else 1)
    return said if isinstance(said, int) and not isinstance(said, bool) else None


def _version(content: dict, path: Path) -> str:
    """v1 if it is not said, as the first files of RVC."""
    version = content.get("version")
    version = "v1" if version is None else version
    if not isinstance(version, str) or version not in UNITS:
        raise CheckpointError(f"{path} is a voice of RVC's version {shown(version)}", "v1 and v2 can be built")
    return version


def _pitch(content: dict, path: Path) -> bool:
    """Whether the voice takes pitch: its `f0`, which the first files of RVC did not have."""
    value = content.get("f0")
    value = 1 if value is None else value
    if not isinstance(value, (int, str)) or value not in PITCH:
        raise CheckpointError(f"{path}: its f0 is {shown(value)}, not 0 or 1", CORRECT)
    return PITCH[value]
