"""Which kind of faiss index a file holds, by its first four letters, and why RVC's alone is read."""

from __future__ import annotations

from fastsvc.checkpoints.files.faiss_fields import Fields
from fastsvc.reading import lookalikes

IVF_FLAT = b"IwFl"
RETRAIN = "train the index again in RVC"
_KINDS = {  # the first letters that faiss writes → its name
    b"IxF": "a flat index",
    b"IwPQ": "IVF-PQ",
    b"IwQR": "IVF-PQ with refinement",
    b"IwSq": "IVF with scalar quantiser",
    b"IwFd": "IVF-Flat without duplicates",
    b"Iw": "another IVF index",
    b"Iv": "an IVF index of before 2018",
    b"IHN": "HNSW",
    b"IxPT": "an index behind a transform",
    b"IxPq": "a product quantiser",
    b"IxM": "an index with ids of its own",
    b"IB": "an index of bits",
    b"Ix": "another index",
    b"INS": "NSG",
}


def checked_kind(fields: Fields) -> None:
    """Reads the kind. Raises CheckpointError for a file that is not an IVF-Flat index."""
    if not fields.left:
        raise fields.error("is empty", "copy or download it again")
    kind = fields.bytes(min(4, fields.left), "kind")
    if kind == IVF_FLAT:
        return
    names = (name for letters, name in _KINDS.items() if kind.startswith(letters))
    name = next(names, None)
    if name and len(kind) == 4 and kind.isalnum():
        raise fields.error(f"is a faiss index of the kind {kind.decode()} ({name}), not IVF-Flat (IwFl)", RETRAIN)
    head = kind + fields.bytes(min(lookalikes.HEAD, fields.left), "kind")
    described = lookalikes.document(head)
    if described is None and head.startswith(b"PK\x03\x04"):
        described = "a zip archive or a torch checkpoint", "name the .index file, or the voice itself as CKPT"
    what, remedy = described or ("something else", "name the file added_IVF….index of the voice")
    raise fields.error(f"is not a faiss index, but {what}", remedy)
