"""The engine folder `NAME.fsvc`: written whole or not at all, verified when read.

`manifest.json` names every file with its size and sha256; nothing outside that list is read. Tensors lie in
safetensors files, which hold no code.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fastsvc import files, reading
from fastsvc.artifact import listing, seal
from fastsvc.artifact.listing import MANIFEST
from fastsvc.artifact.manifest import Manifest
from fastsvc.artifact.manifest_values import fault
from fastsvc.artifact.upgrade import FORMAT, VERSION
from fastsvc.config.shown import shown
from fastsvc.errors import EngineError, OutputError
from fastsvc.files import sha256

if TYPE_CHECKING:
    from torch import Tensor

MANIFEST_LIMIT = 16 * 2**20  # bytes
WEIGHTS, VOCODER, CONTENT = "weights.safetensors", "vocoder.safetensors", "content.safetensors"
INDEX = "index.safetensors"  # of RVC's voices (artifact/index_tensors.py)
_DEVICE = re.compile(r"cpu|sm_\d+")  # folders of device parts
GRAPHS = {
    False: "vocoder.onnx",
    True: "vocoder_fp16.onnx",
}  # half → the vocoder's graph (onnx/vocoder_graph.py)


def is_engine(path: Path) -> bool:
    """Whether ``path`` is a folder whose manifest has the format of an engine (damaged or not)."""
    try:
        manifest = reading.read_json(path / MANIFEST, MANIFEST_LIMIT, EngineError)
    except EngineError:
        return False
    return isinstance(manifest, dict) and manifest.get("format") == FORMAT


def refuse_existing(out: Path, force: bool) -> None:
    """Raises OutputError unless ``out`` is free, or is an engine and may be replaced."""
    if out.name in ("", os.pardir):
        raise OutputError(f"{out} cannot name a new folder", "name the engine folder with -o, such as -o voice.fsvc")
    if not (out.exists() or out.is_symlink()):
        return
    if not force:
        raise OutputError(f"{out} exists", "choose another name with -o, or replace it with --force")
    if not is_engine(out):
        raise OutputError(
            f"{out} exists and is not an engine folder, so it is left alone", "choose another name with -o"
        )
    extra = _extra_files(out)
    if extra:
        raise OutputError(
            f"{out} holds {shown(extra[0])}, which is not part of an engine and would be lost",
            "move it elsewhere, or choose another name with -o",
        )


def _extra_files(folder: Path) -> list[str]:
    """Names in an engine folder that are not the engine's, such as a checkpoint. None for a link: nothing is lost."""
    listed = reading.read_json(folder / MANIFEST, MANIFEST_LIMIT, EngineError).get("files")
    engine_files = {
        WEIGHTS,
        VOCODER,
        CONTENT,
        INDEX,
        MANIFEST,
        *GRAPHS.values(),
        *(listed if isinstance(listed, dict) else ()),
    }
    names = () if folder.is_symlink() else sorted(os.listdir(folder))
    return [name for name in names if not (name in engine_files or name.startswith(".") or _DEVICE.fullmatch(name))]


def identity(manifest: dict) -> str:
    """A hash of an engine's portable part, whatever devices it has files for."""
    files = {name: entry for name, entry in manifest["files"].items() if "/" not in name}
    text = json.dumps({**manifest, "files": files})  # as in a file, where keys are strings
    return hashlib.sha256(json.dumps(json.loads(text), sort_keys=True).encode()).hexdigest()


def write(out: Path, manifest: dict, content: Mapping[str, dict[str, Tensor] | bytes], force: bool = False) -> Path:
    """Write a temporary sibling, then exchange it for ``out`` in one call. After an OutputError ``out`` is unchanged.

    ``content``: tensors for a safetensors file, or the bytes of a file. Names may be inside one folder, a device's;
    those files get this user's seal.
    """
    from safetensors.torch import save_file

    refuse_existing(out, force)
    with files.new_folder(out, replace=force, remedy="choose another folder with -o") as folder:
        engine, listed, written = "", {}, {"format": FORMAT, "version": VERSION, **manifest}
        # Devices' files come last: their seals name the engine, whose identity covers all files listed before them.
        for name, data in sorted(content.items(), key=lambda item: "/" in item[0]):
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            if "/" in name:
                assert isinstance(data, bytes), f"{name}: a device's files are not tensors"
                engine = engine or identity({**written, "files": listed})
                data = seal.add_seal(data, seal.Label(engine, *name.split("/")))
            if isinstance(data, bytes):
                path.write_bytes(data)
            else:
                save_file({key: value.contiguous() for key, value in data.items()}, path)
            os.chmod(path, folder.stat().st_mode & 0o666)  # safetensors lets only the owner read
            listed[name] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
        text = json.dumps({**written, "files": {name: listed[name] for name in content}}, indent=1)
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return out


class Artifact:
    """An engine folder on disk: ``manifest`` and ``raw_manifest`` (the file's own values), both checked;
    :meth:`tensors`, verified against their sha256."""

    def __init__(self, path):
        self.path = Path(path)
        self.manifest: Manifest
        self.raw_manifest: dict
        self.files: dict[str, dict]
        self._set_manifest(self._read_manifest())

    def _read_manifest(self) -> dict:
        file = self.path / MANIFEST
        if not self.path.exists():
            raise EngineError(f"{self.path}: no such engine", "check the path, or make one with `fastsvc build`")
        if not file.is_file():
            raise EngineError(f"{self.path} is not an engine folder: it has no {MANIFEST}", self._rebuild())
        try:
            manifest = reading.read_json(file, MANIFEST_LIMIT, EngineError)
        except EngineError as error:
            raise EngineError(error.message, self._rebuild()) from None
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise EngineError(f"{self.path} is not an engine of fastsvc", self._rebuild())
        if manifest.get("version") != VERSION or isinstance(manifest["version"], bool):
            raise EngineError(
                f"{self.path} has format version {shown(manifest.get('version'))}, this program reads {VERSION}",
                "build it again from its checkpoint with `fastsvc build`",
            )
        wrong = fault(manifest)
        if wrong:
            raise EngineError(f"{file} {wrong}", self._rebuild())
        return manifest

    def has(self, name: str) -> bool:
        return name in self.files

    def tensors(self, name: str) -> dict[str, Tensor]:
        """The tensors of one listed file, those in eight bits as float32. Raises EngineError if it is missing,
        changed or unreadable."""
        from safetensors.torch import load_file

        from fastsvc.model import packed

        file = self.verify(name)
        try:
            stored = load_file(file)
            return packed.unpacked(stored) if self.manifest.store == "int8" else stored
        except MemoryError:
            raise EngineError(f"{file} needs more memory than there is", "free memory, then run it again") from None
        except Exception as error:  # a damaged file may raise anything in the package
            reason = (str(error).splitlines() or ["?"])[0][:200]
            raise EngineError(f"{file} cannot be read: {reason}", self._rebuild()) from None

    def bytes(self, name: str) -> bytes:
        """The content of a listed file. Raises EngineError as :meth:`tensors` does."""
        return self.verify(name).read_bytes()

    def verify(self, name: str) -> Path:
        """The path of a listed file, after a check of its size and sha256."""
        return listing.verified(self.path, self.files, name, self._rebuild())

    def identity(self) -> str:
        """A hash of the engine's portable part, wherever it lies and whatever devices it has files for."""
        return identity(self.raw_manifest)

    def refresh(self) -> None:
        """Read the list of files again: other processes may add to it. If another engine has replaced this one, nothing
        changes, and files that are gone cannot be read."""
        try:
            self._set_manifest(self._read_again())
        except OutputError:
            return

    def add(self, files: dict[str, bytes]) -> None:
        """Keep more files, one folder deep, and list them. After an OutputError the folder is unchanged."""
        self._set_manifest(listing.add(self.path, files, self._read_again))

    def _set_manifest(self, raw: dict) -> None:
        self.manifest, self.raw_manifest, self.files = Manifest.of(raw), raw, raw["files"]

    def _read_again(self) -> dict:
        """The manifest on the disk now. Raises OutputError if it is another engine's."""
        try:
            now = Artifact(self.path)
        except EngineError as error:
            raise OutputError(f"{self.path} has changed: {error.message}") from None
        if now.identity() != self.identity():
            raise OutputError(f"{self.path} was replaced by another engine meanwhile", "convert again")
        return now.raw_manifest

    def _rebuild(self) -> str:
        if is_engine(self.path):
            return f"copy the engine again, or build it again: fastsvc build CHECKPOINT -o {self.path} --force"
        # Not --force, which replaces engines only.
        return "check the path, copy the engine again, or build one: fastsvc build CHECKPOINT -o NAME.fsvc"
