"""Small HuBERTs with random weights, and the files in which others keep them."""

import argparse
import json
import pickle
import re
import types
from pathlib import Path

import torch

from fastsvc.config import HubertConfig
from fastsvc.model.hubert import Hubert

TINY = HubertConfig(channels=32, layers=3, heads=4, hidden=24, projection=8, conv_channels=(16,) * 7)


def tensors(config=TINY, seed=0) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return dict(Hubert(config).state_dict())


def halves(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Gain [1, 1, K] and direction of weight norm over the taps; the direction's length says nothing."""
    return weight.norm(dim=(0, 1), keepdim=True), 3 * weight


def huggingface_state(state, prefix="", parametrised=False) -> dict[str, torch.Tensor]:
    result = {(name if name.startswith("final_proj") else prefix + name): value for name, value in state.items()}
    position = prefix + "encoder.pos_conv_embed.conv."
    g, v = halves(result.pop(position + "weight"))
    names = ("parametrizations.weight.original0", "parametrizations.weight.original1")
    for name, value in zip(names if parametrised else ("weight_g", "weight_v"), (g, v)):
        result[position + name] = value
    return result | {prefix + "masked_spec_embed": torch.zeros(g.shape[-1])}


def huggingface_config(config=TINY, **changes) -> dict:
    return {
        "model_type": "hubert",
        "hidden_size": config.channels,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "intermediate_size": config.hidden,
        "conv_dim": list(config.conv_channels),
        "conv_kernel": list(config.conv_kernels),
        "conv_stride": list(config.conv_strides),
        "num_conv_pos_embeddings": config.position_kernel,
        "num_conv_pos_embedding_groups": config.position_groups,
        "classifier_proj_size": config.projection,
        **changes,
    }


def huggingface(folder: Path, config=TINY, name="model.safetensors", edit=lambda state: None, **changes) -> Path:
    from safetensors.torch import save_file

    folder.mkdir(exist_ok=True)
    state = {key: value.clone() for key, value in huggingface_state(tensors(config)).items()}
    edit(state)
    save_file(state, folder / name) if name.endswith(".safetensors") else torch.save(state, folder / name)
    (folder / "config.json").write_text(json.dumps(huggingface_config(config, **changes)))
    return folder


FAIRSEQ = [
    (r"feature_extractor\.conv_layers\.(\d)\.conv\.weight", r"feature_extractor.conv_layers.\1.0.weight"),
    (r"feature_extractor\.conv_layers\.0\.layer_norm\.(\w+)", r"feature_extractor.conv_layers.0.2.\1"),
    (r"feature_projection\.projection\.(\w+)", r"post_extract_proj.\1"),
    (r"feature_projection\.layer_norm\.(\w+)", r"layer_norm.\1"),
    (r"encoder\.layers\.(\d+)\.attention\.(\w+)\.(\w+)", r"encoder.layers.\1.self_attn.\2.\3"),
    (r"encoder\.layers\.(\d+)\.layer_norm\.(\w+)", r"encoder.layers.\1.self_attn_layer_norm.\2"),
    (r"encoder\.layers\.(\d+)\.feed_forward\.intermediate_dense\.(\w+)", r"encoder.layers.\1.fc1.\2"),
    (r"encoder\.layers\.(\d+)\.feed_forward\.output_dense\.(\w+)", r"encoder.layers.\1.fc2.\2"),
    (r"encoder\.pos_conv_embed\.conv\.bias", "encoder.pos_conv.0.bias"),
    (r"((?:encoder\.layers\.\d+\.final_layer_norm|encoder\.layer_norm|final_proj)\.\w+)", r"\1"),
]


def fairseq_state(state) -> dict[str, torch.Tensor]:
    """Every name must be in the table, and once."""
    result = {}
    for name, value in state.items():
        if name == "encoder.pos_conv_embed.conv.weight":
            result["encoder.pos_conv.0.weight_g"], result["encoder.pos_conv.0.weight_v"] = halves(value)
            continue
        (new,) = [re.sub(a, b, name) for a, b in FAIRSEQ if re.fullmatch(a, name)]
        assert new not in result
        result[new] = value
    return result | {"mask_emb": torch.zeros(4), "label_embs_concat": torch.zeros(504, 8)}


def fairseq(path: Path, config=TINY, edit=lambda state: None, **entries) -> Path:
    """As fairseq saves: a Namespace, a Dictionary, plain settings."""
    state = fairseq_state(tensors(config))
    edit(state)
    words = foreign("fairseq.data.dictionary.Dictionary", state={"symbols": ["<s>", "1"], "indices": {"<s>": 0}})
    content = {
        "args": argparse.Namespace(arch="hubert", lr=[0.1]),
        "cfg": {"_name": None, "model": {"layer_norm_first": False, "encoder_attention_heads": config.heads}},
        "model": state,
        "optimizer_history": [{"num_updates": 7}],
        "task_state": {"dictionaries": [words]},
        **entries,
    }
    torch.save(content, path, pickle_module=_PICKLE)
    return path


def foreign(name: str, *arguments, state=None):
    """What pickles as an object of the class ``name``, which need not exist: a call, and then a state."""

    class Class:
        def __reduce__(self):
            return (Class, arguments) if state is None else (Class, arguments, state)

    Class.name = name
    return Class()


class _Pickler(pickle._Pickler):
    """Writes the names of foreign classes without looking for them."""

    def save_global(self, obj, name=None):
        foreign_name = getattr(obj, "name", None) if isinstance(obj, type) else None
        if not isinstance(foreign_name, str):
            return super().save_global(obj, name)
        module, _, name = foreign_name.rpartition(".")
        self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())
        self.memoize(obj)


_PICKLE = types.ModuleType("foreign_pickle")
_PICKLE.Pickler = _Pickler
