"""The configurations of every part, as frozen dataclasses that check themselves.

All of them turn into plain dicts (:func:`to_dict`) and back (:func:`from_dict`), so that they travel in
checkpoints, manifests and YAML files. Unknown keys are errors.
"""

from fastsvc.config.acoustic import (
    F0_METHODS,
    F0_STYLES,
    AcousticConfig,
    ConditionConfig,
    DenoiserConfig,
    FeatureConfig,
)
from fastsvc.config.amphion import AmphionConfig
from fastsvc.config.ddsp import DdspConfig
from fastsvc.config.diffusion import DDPM_SAMPLERS, EDM_SAMPLERS, DdpmConfig, EdmConfig
from fastsvc.config.hubert import HubertConfig, hubert_units
from fastsvc.config.kinds import AnyAcousticConfig, acoustic_config
from fastsvc.config.mel import MelConfig, NormConfig
from fastsvc.config.plain import from_dict, to_dict
from fastsvc.config.recognition import CONTENT_CONFIGS, PitchConfig, RecogniserConfig, VerifierConfig
from fastsvc.config.rvc import RvcConfig
from fastsvc.config.source_filter import AnyVocoderConfig, SourceFilterConfig, vocoder_config
from fastsvc.config.stores import STORES
from fastsvc.config.vocoder import VOCODER_BACKENDS, VocoderConfig

__all__ = [
    "CONTENT_CONFIGS",
    "DDPM_SAMPLERS",
    "EDM_SAMPLERS",
    "F0_METHODS",
    "F0_STYLES",
    "STORES",
    "VOCODER_BACKENDS",
    "AcousticConfig",
    "AmphionConfig",
    "AnyAcousticConfig",
    "AnyVocoderConfig",
    "ConditionConfig",
    "DdpmConfig",
    "DdspConfig",
    "DenoiserConfig",
    "EdmConfig",
    "FeatureConfig",
    "HubertConfig",
    "MelConfig",
    "NormConfig",
    "PitchConfig",
    "RecogniserConfig",
    "RvcConfig",
    "SourceFilterConfig",
    "VerifierConfig",
    "VocoderConfig",
    "acoustic_config",
    "from_dict",
    "hubert_units",
    "to_dict",
    "vocoder_config",
]
