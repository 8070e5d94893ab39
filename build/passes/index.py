"""The index of a voice of RVC, the voice's training units: read with the checkpoints, stored as float16."""

from __future__ import annotations

import torch
from torch import Tensor

from fastsvc.artifact import engine_folder, index_tensors
from fastsvc.artifact.manifest import IndexPart
from fastsvc.build.plan import BuildPlan, ReadPlan
from fastsvc.checkpoints import Checkpoint
from fastsvc.checkpoints.files.faiss_index import FaissIndex, read_index
from fastsvc.errors import CheckpointError

NO_INDEX = "none"  # instead of a file's name


def read(plan: BuildPlan, acoustic: Checkpoint) -> FaissIndex | None:
    """The index that the user names, else the one found with the voice, else None. The word "none" names no index.

    Raises CheckpointError for a voice that is not RVC's, and as read_index.
    """
    path = plan.index_path or acoustic.index
    if path is None or str(path) == NO_INDEX:
        return None
    if acoustic.kind != "rvc":
        raise CheckpointError(
            f"{acoustic.path} is a {acoustic.kind}, and an index belongs to a voice of RVC", "omit --index"
        )
    try:
        index = read_index(path, acoustic.config.unit_channels)
    except CheckpointError as error:
        raise CheckpointError(error.message, f"{error.remedy}; without an index: --index {NO_INDEX}") from None
    plan.say(f"read: index {index.file}, {len(index.vectors)} units in {len(index.list_sizes)} lists")
    return index


def tensors(plan: ReadPlan) -> dict[str, dict[str, Tensor]]:
    """The index's file in an engine folder, if there is an index."""
    index = plan.index
    if index is None:
        return {}
    arrays = {
        index_tensors.VECTORS: index.vectors,
        index_tensors.LIST_SIZES: index.list_sizes,
        index_tensors.CENTROIDS: index.centroids,
    }
    return {engine_folder.INDEX: {name: torch.from_numpy(array) for name, array in arrays.items()}}


def part(plan: ReadPlan) -> IndexPart | None:
    """The manifest's entry."""
    index = plan.index
    return index and IndexPart(index.file, index.sha256, len(index.vectors), len(index.list_sizes))
