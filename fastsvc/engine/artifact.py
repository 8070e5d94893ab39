"""The engine folder `NAME.fsvc`: written whole or not at all, verified when read.

`manifest.json` names every file with its size and sha256; nothing outside that list is read. Tensors lie in
safetensors files, which hold no code.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from fastsvc import reading
from fastsvc.config.shown import shown
from fastsvc.engine import listing
from fastsvc.engine.listing import MANIFEST, sha256
from fastsvc.engine.manifest import fault
from fastsvc.errors import EngineError, OutputError

if TYPE_CHECKING:
    from torch import Tensor

FORMAT, VERSION = "fastsvc-engine", 1
MANIFEST_LIMIT = 16 * 2**20  # bytes
WEIGHTS, VOCODER, CONTENT = "weights.safetensors", "vocoder.safetensors", "content.safetensors"
GRAPHS = {  # of the vocoder, by (half, polyphase): fastsvc.build.graph
    (False, False): "vocoder.onnx",
    (True, False): "vocoder_fp16.onnx",
    (True, True): "vocoder_fp16_polyphase.onnx",
}


def is_engine(path: Path) -> bool:
    """Whether ``path`` is a folder that says it is an engine (damaged or not)."""
    try:
        manifest = reading.json_file(path / MANIFEST, MANIFEST_LIMIT, EngineError)
    except EngineError:
        return False
    return isinstance(manifest, dict) and manifest.get("format") == FORMAT


def refuse_existing(out: Path, force: bool) -> None:
    """OutputError unless ``out`` is free, or is an engine and may be replaced."""
    if not (out.exists() or out.is_symlink()):
        return
    if not force:
        raise OutputError(f"{out} exists", "give another name with -o, or replace it with --force")
    if not is_engine(out):
        raise OutputError(f"{out} exists and is no engine folder, so it is left alone", "give another name with -o")


def write(out: Path, manifest: dict, files: dict[str, dict[str, Tensor] | bytes], force: bool = False) -> Path:
    """Write the folder to a temporary sibling and rename it. Raises OutputError; then ``out`` is as it was.

    ``files``: tensors for a safetensors file, or bytes as they are; names may have one folder before them.
    """
    from safetensors.torch import save_file

    refuse_existing(out, force)
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    replaced = out.with_name(f".{out.name}.{os.getpid()}.old.tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        listed = {}
        for name, content in files.items():
            (temporary / name).parent.mkdir(exist_ok=True)
            if isinstance(content, bytes):
                (temporary / name).write_bytes(content)
            else:
                save_file({key: value.contiguous() for key, value in content.items()}, temporary / name)
            os.chmod(temporary / name, (temporary.stat().st_mode & 0o666))  # safetensors writes for the owner alone
            listed[name] = {"bytes": (temporary / name).stat().st_size, "sha256": sha256(temporary / name)}
        text = json.dumps({"format": FORMAT, "version": VERSION, **manifest, "files": listed}, indent=1)
        (temporary / MANIFEST).write_text(text + "\n", encoding="utf-8")
        if out.exists():
            os.rename(out, replaced)
        os.rename(temporary, out)
        replaced.unlink() if replaced.is_symlink() else shutil.rmtree(replaced, ignore_errors=True)
    except OSError as error:
        if replaced.exists() and not out.exists():
            os.rename(replaced, out)
        reason = error.strerror or error
        raise OutputError(f"cannot write {out}: {reason}", "free space, or choose another folder with -o") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return out


class Artifact:
    """An engine folder on disk: ``manifest`` (checked), :meth:`tensors` (verified against their sha256)."""

    def __init__(self, path):
        self.path = Path(path)
        self.manifest: dict
        self.files: dict[str, dict]
        self._take(self._manifest())

    def _manifest(self) -> dict:
        file = self.path / MANIFEST
        if not self.path.exists():
            raise EngineError(f"there is no engine {self.path}", "check the path, or make one with `fastsvc build`")
        if not file.is_file():
            raise EngineError(f"{self.path} is no engine folder: it has no {MANIFEST}", self._rebuild())
        try:
            manifest = reading.json_file(file, MANIFEST_LIMIT, EngineError)
        except EngineError as error:
            raise EngineError(error.message, self._rebuild()) from None
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise EngineError(f"{self.path} is no engine of fastsvc", self._rebuild())
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
            raise EngineError(f"{file} needs more memory than there is", "free some") from None
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
        files = {name: entry for name, entry in self.files.items() if "/" not in name}
        return hashlib.sha256(json.dumps({**self.manifest, "files": files}, sort_keys=True).encode()).hexdigest()

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

    def _take(self, manifest: dict) -> None:
        self.manifest, self.files = manifest, manifest["files"]

    def _same(self) -> dict:
        """The manifest as it is now. Raises OutputError if it is another engine's."""
        try:
            now = Artifact(self.path)
        except EngineError as error:
            raise OutputError(f"{self.path} has changed: {error.message}") from None
        if now.identity() != self.identity():
            raise OutputError(f"{self.path} was replaced by another engine meanwhile", "convert again")
        return now.manifest

    def _rebuild(self) -> str:
        return f"copy it again, or make it anew: fastsvc build CHECKPOINT -o {self.path} --force"
