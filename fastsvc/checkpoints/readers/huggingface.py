"""HuBERT and ContentVec in the layout of transformers: `model.safetensors` or `pytorch_model.bin`, and `config.json`.

lengyue233/content-vec-best, facebook/hubert-base-ls960 and files saved from them. Without a `config.json` of
HuBERT beside the file, sizes are read off the tensors.
"""

from __future__ import annotations

import re
from pathlib import Path

from fastsvc import reading
from fastsvc.checkpoints.checkpoint import Checkpoint
from fastsvc.checkpoints.read_options import ReadOptions
from fastsvc.checkpoints.readers.hubert_tensors import assemble
from fastsvc.config.shown import shown
from fastsvc.errors import CheckpointError
from fastsvc.reading.loading import state_dict

CONFIG = "config.json"
PREFIX = "hubert."
IGNORED = ("masked_spec_embed",)  # for training
FIELDS = {
    "hidden_size": "channels",
    "num_hidden_layers": "layers",
    "num_attention_heads": "heads",
    "intermediate_size": "hidden",
    "conv_dim": "conv_channels",
    "conv_kernel": "conv_kernels",
    "conv_stride": "conv_strides",
    "num_conv_pos_embeddings": "position_kernel",
    "num_conv_pos_embedding_groups": "position_groups",
    "layer_norm_eps": "norm_eps",
}
# Settings of HuBERT-base; the large models and their relatives differ.
BASE = {
    "feat_extract_norm": "group",
    "feat_proj_layer_norm": True,
    "do_stable_layer_norm": False,
    "conv_bias": False,
    "conv_pos_batch_norm": False,
    "hidden_act": "gelu",
    "feat_extract_activation": "gelu",
}
_CONV = re.compile(r"(hubert\.)?feature_extractor\.conv_layers\.\d+\.conv\.")


def recognises(content: dict) -> bool:
    return any(_CONV.match(str(key)) for key in content)


def read(content: dict, path: Path, options: ReadOptions) -> Checkpoint:
    state = state_dict({"state": content}, "state", path)
    prefix = PREFIX if any(name.startswith(PREFIX) for name in state) else ""
    sizes = _config_fields(options.config or path.with_name(CONFIG), options.config is not None, options.notes)
    ignored = {prefix + name for name in IGNORED}

    def names(name: str) -> str:  # final_proj is outside the model, so it may lack the prefix
        return name if name.startswith("final_proj.") and prefix + name not in state else prefix + name

    return assemble(state, path, "huggingface", names, sizes, ignored)


def _config_fields(path: Path, required: bool, notes: list[str]) -> dict:
    """Fields of HubertConfig from config.json; {} if that file is not HuBERT's."""
    if not path.exists() and not required:
        return {}
    values = reading.read_json(path, error=CheckpointError, notes=notes)
    if not isinstance(values, dict) or values.get("model_type") != "hubert":
        return {}  # another model's, such as the acoustic model's in the same folder
    for key, expected in BASE.items():
        if values.get(key, expected) != expected:
            raise CheckpointError(
                f"{path}: {key} is {shown(values[key])}, but HuBERT of the base kind has {expected!r}",
                "use HuBERT-base or ContentVec",
            )
    return {field: values[key] for key, field in FIELDS.items() if key in values}
