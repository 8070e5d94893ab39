"""HuBERT and ContentVec as fairseq saves them (`checkpoint_best_legacy_500.pt`, `hubert_base.pt`), without fairseq.

The tensors are under `model`. The rest of the file (task, dictionary, settings, optimizer) holds objects of fairseq,
which are never constructed: see :class:`fastsvc.reading.inert.Inert`.
"""

from __future__ import annotations

import re
from pathlib import Path

from fastsvc.checkpoints.checkpoint import Checkpoint
from fastsvc.checkpoints.read_options import ReadOptions
from fastsvc.checkpoints.readers.hubert_tensors import assemble
from fastsvc.errors import CheckpointError
from fastsvc.reading.loading import state_dict

IGNORED = {"mask_emb", "label_embs_concat"}  # for training
_CONV = re.compile(r"feature_extractor\.conv_layers\.\d+\.0\.")
# The model's names (those of transformers) → fairseq's.
_RENAMED = [
    (re.compile(r"^(feature_extractor\.conv_layers\.\d+)\.conv\."), r"\1.0."),
    (re.compile(r"^(feature_extractor\.conv_layers\.\d+)\.layer_norm\."), r"\1.2."),
    (re.compile(r"^feature_projection\.projection\."), "post_extract_proj."),
    (re.compile(r"^feature_projection\.layer_norm\."), "layer_norm."),
    (re.compile(r"^encoder\.pos_conv_embed\.conv\."), "encoder.pos_conv.0."),
    (re.compile(r"^(encoder\.layers\.\d+)\.layer_norm\."), r"\1.self_attn_layer_norm."),
    (re.compile(r"^(encoder\.layers\.\d+)\.attention\."), r"\1.self_attn."),
    (re.compile(r"^(encoder\.layers\.\d+)\.feed_forward\.intermediate_dense\."), r"\1.fc1."),
    (re.compile(r"^(encoder\.layers\.\d+)\.feed_forward\.output_dense\."), r"\1.fc2."),
]


def recognises(content: dict) -> bool:
    """A whole checkpoint, or its `model` alone."""
    model = content.get("model", content)
    return isinstance(model, dict) and any(_CONV.match(str(key)) for key in model)


def read(content: dict, path: Path, options: ReadOptions) -> Checkpoint:
    if options.config is not None:
        raise CheckpointError(f"{path} carries its own configuration", "omit --config")
    has_model = "model" in content
    state = state_dict(content if has_model else {"model": content}, "model", path)
    return assemble(state, path, "fairseq", fairseq_name, _known_fields(content if has_model else {}, path), IGNORED)


def fairseq_name(name: str) -> str:
    for pattern, replacement in _RENAMED:
        name, count = pattern.subn(replacement, name)
        if count:
            break
    return name


def _known_fields(content: dict, path: Path) -> dict:
    """The number of heads, which no tensor shows, if the settings are plain values."""
    settings = content.get("cfg")
    model = settings.get("model") if isinstance(settings, dict) else None
    if not isinstance(model, dict):
        return {}
    if model.get("layer_norm_first") is True or model.get("extractor_mode", "default") != "default":
        raise CheckpointError(f"{path} is not HuBERT of the base kind", "use HuBERT-base or ContentVec")
    heads = model.get("encoder_attention_heads")
    return {"heads": heads} if isinstance(heads, int) else {}
