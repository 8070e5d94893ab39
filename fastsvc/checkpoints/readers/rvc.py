"""Voices of RVC, v1 and v2 (RVC-Project/Retrieval-based-Voice-Conversion-WebUI), as RVC and Applio write them.

`weight` holds the acoustic part (`enc_p.*`, `flow.*`, `emb_g.weight`) and its generator (`dec.*`); `config` the sizes,
`version` the units, `f0` whether there is pitch. Every tensor is made float32 before weight norm is folded, as upstream
does. The generator takes a speaker through one linear layer, `dec.cond`: its product with the table of speakers becomes
the vocoder's own table, and its bias a part of conv_pre's.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from fastsvc.checkpoints import vits
from fastsvc.checkpoints.checkpoint import Checkpoint
from fastsvc.checkpoints.files import index_beside, speaker_table
from fastsvc.checkpoints.read_options import ReadOptions
from fastsvc.checkpoints.readers import rvc_config
from fastsvc.checkpoints.readers.generators import folded
from fastsvc.config import RvcConfig, VocoderConfig
from fastsvc.config.shown import shown
from fastsvc.errors import CheckpointError
from fastsvc.model.keys import FLOATS, fit
from fastsvc.reading.loading import count, finite, state_dict

GENERATOR, POSTERIOR = "dec.", "enc_q."
COND, TABLE = "dec.cond.", "emb_g.weight"
CONTENTVEC = ("contentvec", "hubert_base")  # Applio's names of the encoder that every voice of RVC itself has


def recognises(content: dict) -> bool:
    return isinstance(content.get("weight"), dict) and any(str(n).startswith(vits.RVC) for n in content["weight"])


def read(content: dict, path: Path, options: ReadOptions) -> Checkpoint:
    if options.config is not None:
        raise CheckpointError(f"{path} carries its own configuration", "omit --config")
    vits.refuse_generator(content, path)
    state = state_dict(content, "weight", path)
    training = [name for name in state if name.startswith(POSTERIOR)]
    state = {name: value for name, value in state.items() if not name.startswith(POSTERIOR)}
    config, vocoder = rvc_config.configurations(content, state, path)
    halved = any(value.dtype in (torch.float16, torch.bfloat16) for value in state.values())
    tensors = _fitted(state, config, vocoder, path)
    names, notes = _speakers(content, config, path)
    index, index_notes = index_beside.beside(path)
    notes += ("stored in half precision",) * halved + tuple(_notes(content, config, training)) + index_notes
    return Checkpoint(
        path=path,
        format="rvc",
        kind="rvc",
        config=config,
        tensors={name: value for name, value in tensors.items() if not name.startswith(GENERATOR)},
        speakers=names,
        step=count(content, "step"),
        notes=notes,
        vocoder=Checkpoint(
            path, "rvc", "vocoder", vocoder, _vocoder_tensors(tensors, path), step=count(content, "step")
        ),
        index=index,
    )


def _fitted(state: dict[str, Tensor], config: RvcConfig, vocoder: VocoderConfig, path: Path) -> dict[str, Tensor]:
    """All tensors by the file's names with weight norm folded. Raises CheckpointError naming every fault."""
    wide = {name: value.float() if value.dtype in FLOATS else value for name, value in state.items()}
    tensors, names = folded(wide, path)
    return fit(tensors, lambda: _whole(config, vocoder), path, lambda name: names.get(name, name))


def _whole(config: RvcConfig, vocoder: VocoderConfig):
    """Both parts in one module, whose parameters have the file's names."""
    from fastsvc.model.rvc import RvcModel
    from fastsvc.model.vocoder import Generator

    whole, generator = RvcModel(config), Generator(replace(vocoder, speakers=0))
    generator.cond = torch.nn.Conv1d(config.speaker_channels, vocoder.initial_channels, 1)
    generator.conv_post.bias = None
    whole.dec = generator
    return whole


def _vocoder_tensors(tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The generator's tensors under the vocoder's names, the speakers' vectors in place of `cond`."""
    vectors = tensors[TABLE].double() @ tensors[f"{COND}weight"][:, :, 0].double().T
    own = {name.removeprefix(GENERATOR): value for name, value in tensors.items() if name.startswith(GENERATOR)}
    bias = own["conv_pre.bias"].double() + own.pop("cond.bias").double()
    del own["cond.weight"]
    own |= {"speakers.weight": vectors.float(), "conv_pre.bias": bias.float(), "conv_post.bias": torch.zeros(1)}
    finite(
        {name: own[name] for name in ("speakers.weight", "conv_pre.bias")}, path, lambda name: f"{COND}* with {TABLE}"
    )
    return own


def _speakers(content: dict, config: RvcConfig, path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(names by id, notes). Applio says how many rows of the table were trained: the others' names say so."""
    stem, rows = path.stem.encode("utf-8", "replace").decode(), config.speakers
    said = content.get("speakers_id")
    trained = said if isinstance(said, int) and not isinstance(said, bool) and 0 < said < rows else rows
    names = {stem: 0} | {f"speaker {i} (untrained)": i for i in range(trained, rows)}
    note = f"speakers_id: {trained} of the {rows} speakers were trained, the others' names say so"
    return speaker_table.names_by_id(names, rows, 0, f"{path}: "), (note,) * (trained < rows)


def _notes(content: dict, config: RvcConfig, training: list[str]):
    embedder = content.get("embedder_model")
    if isinstance(embedder, str) and embedder.lower() not in CONTENTVEC:
        yield (
            f"trained on the units of {shown(embedder)}: name that HuBERT with --content, as no other fits"
            f" (its {config.features.encoder})"
        )
    said, rate = content.get("sr"), config.mel.rate_hz
    if said is not None and rvc_config.rate_hz(said) != rate:
        yield f"sr is {shown(said)}, but its sizes are those of {rate} Hz, which is taken"
    if training:
        yield f"{len(training)} tensors {POSTERIOR}* of the encoder that only training uses are left out"
