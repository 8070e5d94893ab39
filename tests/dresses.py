"""One voice of every family, and every dress that it may come in: wrapped, renamed, bare."""

import shutil
from dataclasses import replace

import amphion_files
import ddsp_golden
import formats
import golden
import huberts
import torch


def _amphion(folder):
    return amphion_files.experiment(folder) / "pytorch_model.bin"


def _golden(name, file):
    def make(folder):
        shutil.copytree(golden.FOLDER / name, folder)
        return folder / file

    return make


def _fairseq(folder):
    folder.mkdir()
    return huberts.fairseq(folder / "hubert.pt", replace(huberts.TINY, heads=1))  # as is guessed without settings


def _huggingface(folder):
    return huberts.huggingface(folder, name="pytorch_model.bin") / "pytorch_model.bin"


FAMILIES = {  # family: (how its project saves one, the keys that lead to its weights)
    "comosvc": (formats.comosvc, ("model",)),
    "diffusion_svc": (formats.diffusion_svc, ("model",)),
    "sovits": (formats.sovits, ("model",)),
    "ddsp_svc": (formats.ddsp_svc, ("model",)),
    "ddsp_svc6": (ddsp_golden.write, ("model",)),
    "amphion": (_amphion, ()),
    "m4gan": (_golden("m4gan_small", "model_ckpt_steps_1970000.ckpt"), ("state_dict", "model_gen")),
    "nsf_hifigan": (_golden("nsf_hifigan_small", "model"), ("generator",)),
    "fairseq": (_fairseq, ("model",)),
    "huggingface": (_huggingface, ()),
}


def prefixed(prefix: str):
    return lambda state: {prefix + name: value for name, value in state.items()}


def inner(state: dict) -> dict:
    """Compiled and wrapped part by part: `decoder._orig_mod.denoise_fn.module.…`."""
    return {name.replace(".", "._orig_mod.", 1).replace(".", ".module.", 1): value for name, value in state.items()}


DRESSES = {
    "module": lambda s: {"model": prefixed("module.")(s)},
    "compiled": lambda s: {"model": prefixed("_orig_mod.")(s)},
    "nested": lambda s: {"model": prefixed("module._orig_mod.module.")(s), "optimizer": {"state": {}}},
    "inner": lambda s: {"state_dict": inner(s)},
    "lightning": lambda s: {"state_dict": prefixed("model.")(s), "epoch": 3, "pytorch-lightning_version": "2.4"},
    "deepspeed": lambda s: {"state_dict": prefixed("_forward_module.model.")(s)},
    "two networks": lambda s: {"state_dict": prefixed("net_g.")(s) | {"net_d.convs.0.weight": torch.zeros(2)}},
    "bare": lambda s: s,
    "bare, wrapped": prefixed("module.model."),
    "a counter": lambda s: s | {"epoch": 3, "lr": 1e-4},
    "state_dict": lambda s: {"state_dict": s},
    "model_state_dict": lambda s: {"model_state_dict": s},
    "net_g": lambda s: {"net_g": s, "net_d": {"convs.0.weight": torch.zeros(2)}},
    "ema alone": lambda s: {"trainer": {"ema": s}},
    "averaged model": lambda s: prefixed("module.")(s) | {"n_averaged": torch.tensor(7)},
}


def same(got, want) -> None:
    assert (got.format, got.kind, got.config, got.speakers) == (want.format, want.kind, want.config, want.speakers)
    assert got.speaker_base == want.speaker_base and got.tensors.keys() == want.tensors.keys()
    assert all(torch.equal(got.tensors[name], tensor) for name, tensor in want.tensors.items())
