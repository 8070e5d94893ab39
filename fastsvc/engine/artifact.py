"""The engine folder `NAME.fsvc`: written whole or not at all, verified when read.

`manifest.json` names every file with its size and sha256; nothing outside that list is read. Tensors lie in
safetensors files, which hold no code.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from fastsvc.engine.manifest import fault
from fastsvc.errors import EngineError, OutputError

if TYPE_CHECKING:
    from torch import Tensor

FORMAT, VERSION = "fastsvc-engine", 1
MANIFEST = "manifest.json"
MANIFEST_LIMIT = 16 * 2**20  # bytes
WEIGHTS, VOCODER, CONTENT = "weights.safetensors", "vocoder.safetensors", "content.safetensors"
GRAPHS = {  # of the vocoder, by (half, polyphase): fastsvc.build.graph
    (False, False): "vocoder.onnx",
    (True, False): "vocoder_fp16.onnx",
    (True, True): "vocoder_fp16_polyphase.onnx",
}
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)?")  # at most one folder deep


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest(file)


def _digest(file) -> str:  # Python 3.10
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


def is_engine(path: Path) -> bool:
    """Whether ``path`` is a folder that says it is an engine (damaged or not)."""
    file = path / MANIFEST
    try:
        small = file.stat().st_size <= MANIFEST_LIMIT
        return small and json.loads(file.read_text(encoding="utf-8")).get("format") == FORMAT
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


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
        self.manifest = self._manifest()
        self.files: dict[str, dict] = self.manifest["files"]

    def _manifest(self) -> dict:
        file = self.path / MANIFEST
        if not self.path.exists():
            raise EngineError(f"there is no engine {self.path}", "check the path, or make one with `fastsvc build`")
        if not file.is_file():
            raise EngineError(f"{self.path} is no engine folder: it has no {MANIFEST}", self._rebuild())
        try:
            if file.stat().st_size > MANIFEST_LIMIT:
                raise EngineError(f"{file} is larger than {MANIFEST_LIMIT >> 20} MB", self._rebuild())
            manifest = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise EngineError(f"{file} cannot be read: {error}", self._rebuild()) from None
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise EngineError(f"{self.path} is no engine of fastsvc", self._rebuild())
        if manifest.get("version") != VERSION:
            raise EngineError(
                f"{self.path} has format version {manifest.get('version')!r}, this program reads {VERSION}",
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
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        file = self.verify(name)
        try:
            return load_file(file)
        except (SafetensorError, OSError, ValueError) as error:
            raise EngineError(f"{file} cannot be read: {error}", self._rebuild()) from None

    def bytes(self, name: str) -> bytes:
        """A listed file as it is. Raises EngineError as :meth:`tensors` does."""
        return self.verify(name).read_bytes()

    def verify(self, name: str) -> Path:
        """The path of a listed file, once its size and sha256 are found right."""
        entry = self.files.get(name)
        if not isinstance(entry, dict) or not isinstance(name, str) or not _NAME.fullmatch(name):
            raise EngineError(f"{self.path / MANIFEST} does not list {name!r} properly", self._rebuild())
        file = self.path / name
        if file.is_symlink() or not file.is_file():
            raise EngineError(f"{file} is missing", self._rebuild())
        if file.stat().st_size != entry.get("bytes"):
            raise EngineError(
                f"{file} has {file.stat().st_size} bytes instead of {entry.get('bytes')}: it is damaged",
                self._rebuild(),
            )
        if sha256(file) != entry.get("sha256"):
            raise EngineError(f"{file} is damaged: its sha256 differs from the manifest's", self._rebuild())
        return file

    def _rebuild(self) -> str:
        return f"copy it again, or make it anew: fastsvc build CHECKPOINT -o {self.path} --force"
