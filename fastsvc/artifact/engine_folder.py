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
_DEVICE = re.compile(r"cpu|sm_\d+")  # folders of device parts
GRAPHS = {
    False: "vocoder.onnx",
    True: "vocoder_fp16.onnx",
}  # of the vocoder, by half: fastsvc.artifact.onnx.vocoder_graph


def is_engine(path: Path) -> bool:
    """Whether ``path`` is a folder that says it is an engine (damaged or not)."""
    try:
        manifest = reading.json_file(path / MANIFEST, MANIFEST_LIMIT, EngineError)
    except EngineError:
        return False
    return isinstance(manifest, dict) and manifest.get("format") == FORMAT


def refuse_existing(out: Path, force: bool) -> None:
    """OutputError unless ``out`` is free, or is an engine and may be replaced."""
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
    others = _others(out)
    if others:
        raise OutputError(
            f"{out} holds {shown(others[0])}, which is not part of an engine and would be lost",
            "move it elsewhere, or choose another name with -o",
        )


def _others(folder: Path) -> list[str]:
    """What somebody has put into an engine folder: a checkpoint, say, or results. Of a link nothing is lost."""
    listed = reading.json_file(folder / MANIFEST, MANIFEST_LIMIT, EngineError).get("files")
    own = {WEIGHTS, VOCODER, CONTENT, MANIFEST, *GRAPHS.values(), *(listed if isinstance(listed, dict) else ())}
    found = () if folder.is_symlink() else sorted(os.listdir(folder))
    return [name for name in found if not (name in own or name.startswith(".") or _DEVICE.fullmatch(name))]


def identity(manifest: dict) -> str:
    """A hash of what an engine is, whatever devices it has parts for."""
    files = {name: entry for name, entry in manifest["files"].items() if "/" not in name}
    told = json.dumps({**manifest, "files": files})  # as a file holds it: keys are strings there
    return hashlib.sha256(json.dumps(json.loads(told), sort_keys=True).encode()).hexdigest()


def write(out: Path, manifest: dict, content: Mapping[str, dict[str, Tensor] | bytes], force: bool = False) -> Path:
    """Write the folder beside its place, then exchange it in one call. Raises OutputError; ``out`` is then as it was.

    ``content``: tensors for a safetensors file, or bytes as they are. Names may have one folder before them, that of a
    device, whose files are put under this user's seal.
    """
    from safetensors.torch import save_file

    refuse_existing(out, force)
    with files.new_folder(out, replace=force, remedy="choose another folder with -o") as folder:
        engine, listed, written = "", {}, {"format": FORMAT, "version": VERSION, **manifest}
        # Devices' files come last: their seals name the engine, which is all that is listed by then.
        for name, held in sorted(content.items(), key=lambda item: "/" in item[0]):
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            if "/" in name:
                assert isinstance(held, bytes), f"{name}: a device's files are not tensors"
                engine = engine or identity({**written, "files": listed})
                held = seal.add_seal(held, seal.Label(engine, *name.split("/")))
            if isinstance(held, bytes):
                path.write_bytes(held)
            else:
                save_file({key: value.contiguous() for key, value in held.items()}, path)
            os.chmod(path, folder.stat().st_mode & 0o666)  # safetensors writes for the owner alone
            listed[name] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
        text = json.dumps({**written, "files": {name: listed[name] for name in content}}, indent=1)
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return out


class Artifact:
    """An engine folder on disk: ``manifest`` (``stated``: as its file has it), both checked; :meth:`tensors`, verified
    against their sha256."""

    def __init__(self, path):
        self.path = Path(path)
        self.manifest: Manifest
        self.raw_manifest: dict
        self.files: dict[str, dict]
        self._take(self._read_manifest())

    def _read_manifest(self) -> dict:
        file = self.path / MANIFEST
        if not self.path.exists():
            raise EngineError(f"{self.path}: no such engine", "check the path, or make one with `fastsvc build`")
        if not file.is_file():
            raise EngineError(f"{self.path} is not an engine folder: it has no {MANIFEST}", self._rebuild())
        try:
            manifest = reading.json_file(file, MANIFEST_LIMIT, EngineError)
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
        """The tensors of one listed file. Raises EngineError if it is missing, changed or unreadable."""
        from safetensors.torch import load_file

        file = self.verify(name)
        try:
            return load_file(file)
        except MemoryError:
            raise EngineError(f"{file} needs more memory than there is", "free memory, then run it again") from None
        except Exception as error:  # the package raises whatever a damaged file leads it to
            reason = (str(error).splitlines() or ["?"])[0][:200]
            raise EngineError(f"{file} cannot be read: {reason}", self._rebuild()) from None

    def bytes(self, name: str) -> bytes:
        """A listed file as it is. Raises EngineError as :meth:`tensors` does."""
        return self.verify(name).read_bytes()

    def verify(self, name: str) -> Path:
        """The path of a listed file, once its size and sha256 are found right."""
        return listing.verified(self.path, self.files, name, self._rebuild())

    def identity(self) -> str:
        """A hash of what the engine is, wherever it lies and whatever devices it has parts for."""
        return identity(self.raw_manifest)

    def refresh(self) -> None:
        """Read the list of files once more: other processes may add to it. An engine that is replaced stays as it was
        opened, as far as its files are still there."""
        try:
            self._take(self._same())
        except OutputError:
            return

    def add(self, files: dict[str, bytes]) -> None:
        """Keep more files, one folder deep, and list them. Raises OutputError; then the folder is as it was."""
        self._take(listing.add(self.path, files, self._same))

    def _take(self, stated: dict) -> None:
        self.manifest, self.raw_manifest, self.files = Manifest.of(stated), stated, stated["files"]

    def _same(self) -> dict:
        """The manifest as it is now. Raises OutputError if it is another engine's."""
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
        # Not --force, which leaves alone what does not say that it is an engine.
        return "check the path, copy the engine again, or build one: fastsvc build CHECKPOINT -o NAME.fsvc"
