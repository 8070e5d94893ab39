"""A folder by URL: what lies below it, read and put whole."""

from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fastsvc.errors import AudioError, FastsvcError, OutputError
from fastsvc.remote.urls import joined, opened

_MD5 = re.compile(r"[0-9a-f]{32}")
_CONTENT = ("ETag", "etag", "md5Hash", "content_md5", "blob_id", "sha256")  # by which stores name a content
_DATES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")
READ_REMEDY = "check the URL, the network, and the keys that its package reads (docs/scale.md)"
WRITE_REMEDY = "check the URL, the network, and whether its keys may write there (docs/scale.md)"


@dataclass(frozen=True)
class Item:
    """An object: its name below the folder, its bytes, a number that changes with its content (from its hash where the
    store has one, else its date in ns), and its MD5 where that is known."""

    name: str
    size: int
    version: int
    md5: str = ""


class Folder:
    """All below ``url``. Every method raises AudioError when something cannot be read, OutputError when not written."""

    def __init__(self, url: str):
        self.url = url.rstrip("/")
        self.fs, path = opened(self.url)
        self.path = str(path).rstrip("/")

    def items(self, inner: str = "") -> list[Item]:
        """All objects below ``inner``, named relative to the folder; none where nothing is there."""
        with _reading(joined(self.url, inner)):
            self.fs.invalidate_cache()
            try:
                found = self.fs.find(self._path(inner), detail=True)
            except FileNotFoundError:
                return []
            start = f"{self.path}/"
            infos = [info for path, info in found.items() if str(path).startswith(start)]
            return [_item(info["name"][len(start) :], info) for info in infos if info.get("type") != "directory"]

    def item(self, name: str) -> Item | None:
        """One object; None where there is none, or a folder of that name."""
        with _reading(joined(self.url, name)):
            self.fs.invalidate_cache()
            try:
                info = self.fs.info(self._path(name))
            except FileNotFoundError:
                return None
            return None if info.get("type") == "directory" else _item(name, info)

    def fetch(self, name: str, local: Path) -> None:
        """Copy an object to a new file."""
        with _reading(joined(self.url, name)):
            self.fs.get_file(self._path(name), os.fspath(local))

    def read(self, names: Iterable[str]) -> dict[str, bytes]:
        """The contents of several objects; those that went away meanwhile are left out."""
        names = list(names)
        if not names:
            return {}
        with _reading(self.url):
            found = self.fs.cat([self._path(name) for name in names], on_error="return")
            contents = {name: found.get(self._path(name)) for name in names}
            return {name: bytes(content) for name, content in contents.items() if isinstance(content, bytes)}

    def write(self, name: str, content: bytes, new: bool = False) -> None:
        """Put an object, whole or not at all. ``new``: raises OutputError where there is one already."""
        url = joined(self.url, name)
        with _errors(url, OutputError, "cannot be written", WRITE_REMEDY):
            try:
                self._put(self._path(name), content, new)
            except FileExistsError:
                raise OutputError(f"{url} appeared meanwhile", "see whose it is, and run this again") from None

    def remove(self, name: str) -> None:
        """Remove an object. Failures are ignored."""
        with contextlib.suppress(Exception):
            self.fs.rm_file(self._path(name))

    def _put(self, path: str, content: bytes, new: bool) -> None:
        if new:
            try:
                return self.fs.pipe_file(path, content, mode="create")
            except FileExistsError:
                raise
            except Exception:  # a store, or its package, that knows no such condition
                if self.fs.exists(path):
                    raise FileExistsError from None
        self.fs.pipe_file(path, content)

    def _path(self, name: str) -> str:
        return f"{self.path}/{name}" if name else self.path


def _item(name: str, info: dict) -> Item:
    content = next((str(info[key]) for key in _CONTENT if info.get(key)), "").strip('"')
    if content:
        version = int(hashlib.sha256(content.encode()).hexdigest()[:15], 16)
    else:
        version = next((_nanoseconds(info[key]) for key in _DATES if info.get(key)), 0)
    return Item(name, int(info.get("size") or 0), version, _md5(content))


def _md5(content: str) -> str:
    """The MD5 in hexadecimal, from S3's ETag of one put or Google's and Azure's base64; nothing for other hashes."""
    if _MD5.fullmatch(content):
        return content
    with contextlib.suppress(ValueError):
        digest = base64.b64decode(content, validate=True).hex()
        return digest if len(digest) == 32 and content.endswith("==") else ""
    return ""


def _nanoseconds(date) -> int:
    if isinstance(date, datetime.datetime):
        date = date.replace(tzinfo=date.tzinfo or datetime.timezone.utc)
        return int(date.timestamp() * 1e6) * 1000
    return int(date * 1e6) * 1000 if isinstance(date, (int, float)) else 0


def _reading(url: str):
    return _errors(url, AudioError, "cannot be read", READ_REMEDY)


@contextlib.contextmanager
def _errors(url: str, kind: type[FastsvcError], what: str, remedy: str) -> Iterator[None]:
    """Whatever a store's package raises, as a typed error: they have no common base."""
    try:
        yield
    except FastsvcError:
        raise
    except FileNotFoundError:
        raise kind(f"{url}: no such file or folder", remedy) from None
    except Exception as error:
        why = " ".join(str(error).split())[:300] or type(error).__name__
        raise kind(f"{url}: {what}: {why}", remedy) from None
