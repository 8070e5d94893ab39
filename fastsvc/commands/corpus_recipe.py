"""The mel and features of a corpus, from a YAML file or as another voice has them, and an encoder that fits them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastsvc.errors import CheckpointError, ConfigError, EngineError

RECOGNISER = "recogniser"


@dataclass(frozen=True)
class CorpusRecipe:
    """``parts``: mel and features, for fastsvc.data.prepare. ``like``: the voice that they are of, or "".

    ``hashes``: of its content encoder, of an engine's also rounded and as it was trained; empty: unknown. ``exact``:
    whether no other rounding will do, as where training starts from the file; ``sure``: whether a corpus with another
    hash has certainly another encoder.
    """

    parts: dict[str, Any] = field(default_factory=dict)
    like: str = ""
    hashes: frozenset[str] = frozenset()
    exact: bool = True
    sure: bool = True

    def encoder(self, path: str):
        """The content encoder of a checkpoint or an engine. Raises FastsvcError where its units are not the voice's."""
        from fastsvc.config import hubert_units

        features = self.parts.get("features") if self.like else None
        found = _encoder(path, None if features is None else features.encoder)
        if features is None:
            return found
        same = (found.name == RECOGNISER) == (hubert_units(features.encoder) is None)
        if not same or found.channels != features.unit_channels:
            raise CheckpointError(
                f"{path} gives units {found.name} of {found.channels} channels, and {self.like} was trained on"
                f" {features.encoder} of {features.unit_channels}",
                "name the content encoder of that voice with --encoder",
            )
        if self._is_another(found, path):
            raise CheckpointError(
                f"{path} is not the content encoder that {self.like} was trained on",
                "name that one: fastsvc's voices know it by its hash",
            )
        return found

    def check_units(self, out: str) -> None:
        """Raises ConfigError where the corpus ``out`` has units already, certainly of another encoder than the voice's:
        training would refuse them."""
        from fastsvc.data import records

        path = Path(out, "corpus.json")
        encoder = records.described(path).get("encoder") if self.like and path.exists() else None
        if encoder is None:
            return
        wide = encoder.get("channels") != self.parts["features"].unit_channels
        if wide or (self.hashes and self.sure and encoder["hash"] not in self.hashes):
            raise ConfigError(
                f"{out} has units of another content encoder than {self.like} was trained on",
                "name that voice's content encoder with --encoder, or prepare into another folder",
            )

    def _is_another(self, found, path: str) -> bool:
        """Whether this encoder, which was read from ``path``, is certainly not the voice's."""
        from fastsvc.data.units import encoder_hash

        if not self.hashes or encoder_hash(found) in self.hashes:
            return False
        return self.exact or self.hashes.isdisjoint(_hashes(found, path))


def of(config: str | None, like: str | None) -> CorpusRecipe:
    """The recipe of the options. Raises ConfigError for both at once, CheckpointError for files that are no voice."""
    if config and like:
        raise ConfigError("--config and --like both choose mel and features", "omit one of them")
    return _like(like) if like else CorpusRecipe(parts(config) if config else {})


def _like(path: str) -> CorpusRecipe:
    from fastsvc.artifact import engine_folder
    from fastsvc.checkpoints import read
    from fastsvc.config import RvcConfig

    if engine_folder.is_engine(Path(path)):
        folder = engine_folder.Artifact(path)
        config, known = folder.manifest.acoustic, _known(folder)
        with_mel = not isinstance(config, RvcConfig)
    else:
        checkpoint = read(path)
        with_mel = checkpoint.acoustic and checkpoint.kind != "rvc"
        config, known = checkpoint.config, {"hashes": frozenset({checkpoint.encoder} - {None})}
    if not with_mel:
        raise CheckpointError(f"{path} is not a voice with a mel", "name a voice that training can start from")
    return CorpusRecipe({"mel": config.mel, "features": config.features}, path, **known)


def _known(folder) -> dict[str, Any]:
    """What an engine knows of its content encoder, as fields of a recipe."""
    from fastsvc.artifact import content_encoder

    trained, encoder = folder.manifest.source.encoder, content_encoder.known(folder)
    before = trained if encoder is None else trained or encoder.before
    hashes = frozenset() if encoder is None else encoder.hashes
    return {"hashes": hashes | ({before} if before else set()), "exact": False, "sure": before is not None}


def _hashes(found, path: str) -> frozenset[str]:
    """All hashes that an encoder may go by; an engine names the one that it had before it was rounded."""
    from fastsvc.artifact import content_encoder, engine_folder
    from fastsvc.data.units import known_hashes

    if not engine_folder.is_engine(Path(path)):
        return known_hashes(found)
    encoder = content_encoder.known(engine_folder.Artifact(path))
    return frozenset() if encoder is None else encoder.hashes


def _encoder(path: str, units: str | None):
    """``units``: what a HuBERT is to give, by the name of its units; None: HuBERT is refused."""
    from fastsvc.artifact import engine_folder
    from fastsvc.checkpoints import read
    from fastsvc.config import hubert_units
    from fastsvc.engine import Engine
    from fastsvc.features.content import RecogniserEncoder

    if engine_folder.is_engine(Path(path)):
        # a GPU's encoder rounds otherwise, and so does bfloat16: all units of a corpus come from the same encoder
        encoder = Engine.open(path, "cpu", "built").encoder
        if encoder is None:
            raise EngineError(f"{path} has no content encoder", "name another engine, or a recogniser's checkpoint")
        return encoder
    checkpoint = read(path)
    if units is None or hubert_units(units) is None or checkpoint.kind != "hubert":
        return RecogniserEncoder.of(checkpoint)
    from fastsvc.features.hubert import HubertEncoder

    return HubertEncoder.of(checkpoint, units)


def parts(path: str) -> dict:
    """``mel`` and ``features`` of a YAML file, as configurations."""
    from fastsvc import reading
    from fastsvc.config import FeatureConfig, MelConfig, from_dict

    data = reading.read_yaml(path) or {}
    kinds = {"mel": MelConfig, "features": FeatureConfig}
    if not isinstance(data, dict) or set(data) - set(kinds):
        raise ConfigError(f"{path}: only the keys mel and features are known", "remove the other keys")
    return {key: from_dict(kinds[key], value, f"{path}: {key}") for key, value in data.items()}
