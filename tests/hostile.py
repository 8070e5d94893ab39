"""A checkpoint of every format, to be made hostile, and what its refusal may cost."""

import shutil
import tracemalloc

import amphion_files
import formats
import golden
import huberts
import pytest
import rvc_files

from fastsvc.checkpoints import read
from fastsvc.errors import CheckpointError

LIMIT = 300 * 2**20  # bytes that refusing may take at the most; the bombs below ask for terabytes


def m4gan(folder):
    source = golden.FOLDER / "m4gan_small"
    return shutil.copytree(source, folder) / "model_ckpt_steps_1970000.ckpt"


def amphion(folder):
    return amphion_files.experiment(folder) / "pytorch_model.bin"


def fairseq(folder):
    folder.mkdir(parents=True)
    return huberts.fairseq(folder / "checkpoint_best_legacy_500.pt")


MAKERS = {
    **formats.ACOUSTIC,
    "ptc": lambda folder: formats.diffusion_svc(folder, combo=True),
    "fork": formats.comosvc_fork,
    "amphion": amphion,
    "m4gan": m4gan,
    "nsf_hifigan": lambda folder: shutil.copytree(golden.FOLDER / "nsf_hifigan_small", folder) / "model",
    "huggingface": lambda folder: huberts.huggingface(folder, name="pytorch_model.bin") / "pytorch_model.bin",
    "fairseq": fairseq,
    "rvc": lambda folder: rvc_files.edited(folder / "a.pth"),
}


def refused(path, *arguments, **options) -> str:
    """The one line with which reading ends, having taken next to no memory."""
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError) as caught:
            read(path, *arguments, **options)
        assert tracemalloc.get_traced_memory()[1] < LIMIT
    finally:
        tracemalloc.stop()
    text = str(caught.value)
    assert "\n" not in text and len(text) < 20_000, text[:500]
    return text
