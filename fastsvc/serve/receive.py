"""Receiving a form with files: each goes to its place on the disk while it arrives, under limits of its own.

Starlette's own form parser keeps files in the system's folder for temporary files until all of them are there. A name
that a client gives is never part of a path here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from fastapi import Request
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from fastsvc.serve.api.errors import Refused

FIELD_BYTES = 64 * 1024  # of all fields together that are no files
HEADER_BYTES = 8 * 1024  # of the lines before a part
MOST_FIELDS = 32
WRITE_BYTES = 1024 * 1024  # are written at a time


@dataclass
class ReceivedFile:
    """``part``: the form's name for it; ``name``: the client's name of the file, for people alone."""

    part: str
    name: str
    path: Path
    bytes: int = 0


@dataclass
class Form:
    """``fields``: by name, the first of each."""

    fields: dict[str, str] = field(default_factory=dict)
    files: list[ReceivedFile] = field(default_factory=list)


async def receive(request: Request, place: Callable[[str, str, int], Path], max_bytes: int, max_files: int) -> Form:
    """The form of a request. ``place(part, name, number)``: a new path for a file, or an exception that refuses it.

    Raises Refused: 413 beyond ``max_bytes`` of one file or ``max_files``, 422 for a malformed form. The caller removes
    what was written before an exception, ClientDisconnect and OSError among them.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise Refused(415, "the request", "it is not a form", "send multipart/form-data")
    reader = _Reader(place, max_bytes, max_files)
    try:
        parser = MultipartParser(options[b"boundary"], reader.callbacks())
        async for piece in request.stream():
            parser.write(piece)
            if reader.waiting_bytes >= WRITE_BYTES:
                await asyncio.to_thread(reader.write)
        await asyncio.to_thread(reader.write)
        parser.finalize()
    except FormParserError:
        raise Refused(422, "the form", "it is malformed", "send multipart/form-data") from None
    finally:
        reader.close()
    if not reader.ended:
        raise Refused(422, "the form", "its end is missing", "send it again")
    return reader.form


class _Reader:
    """Callbacks of the parser; data of files waits in ``waiting`` until it is written, outside of the event loop."""

    def __init__(self, place: Callable[[str, str, int], Path], max_bytes: int, max_files: int):
        self.place, self.max_bytes, self.max_files = place, max_bytes, max_files
        self.form, self.ended = Form(), False
        self.header, self.value, self.disposition, self.header_bytes = b"", b"", b"", 0
        self.file: ReceivedFile | None = None
        self.name, self.text, self.field_bytes = "", bytearray(), 0
        self.waiting: list[tuple[ReceivedFile, bytes]] = []
        self.waiting_bytes = 0
        self.open: tuple[Path, BinaryIO] | None = None

    def callbacks(self):
        names = (
            "part_begin",
            "part_data",
            "part_end",
            "header_field",
            "header_value",
            "header_end",
            "headers_finished",
        )
        return {f"on_{name}": getattr(self, name) for name in names} | {"on_end": self.end}

    def part_begin(self) -> None:
        self.disposition, self.header_bytes, self.file, self.text = b"", 0, None, bytearray()

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self.header += self._counted(data[start:end])

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self.value += self._counted(data[start:end])

    def _counted(self, piece: bytes) -> bytes:
        self.header_bytes += len(piece)
        if self.header_bytes > HEADER_BYTES:
            raise Refused(422, "the form", "the lines before a file are too long", "give the file a shorter name")
        return piece

    def header_end(self) -> None:
        if self.header.lower() == b"content-disposition":
            self.disposition = self.value
        self.header = self.value = b""

    def headers_finished(self) -> None:
        options = parse_options_header(self.disposition)[1]
        self.name = _text(options.get(b"name", b""))
        if b"filename" not in options:
            if len(self.form.fields) >= MOST_FIELDS:
                raise Refused(422, "the form", f"it has more than {MOST_FIELDS} fields", "send fewer")
            return
        if len(self.form.files) >= self.max_files:
            raise Refused(413, "the form", f"it has more than {self.max_files} files", "send fewer at a time")
        name = _text(options[b"filename"])
        self.file = ReceivedFile(self.name, name, self.place(self.name, name, len(self.form.files)))
        self.form.files.append(self.file)
        self.waiting.append((self.file, b""))  # an empty file is a file too

    def part_data(self, data: bytes, start: int, end: int) -> None:
        if self.file is None:
            self.field_bytes += end - start
            if self.field_bytes > FIELD_BYTES:
                raise Refused(413, "the form", f"its fields have more than {FIELD_BYTES} bytes", "send less")
            self.text += data[start:end]
            return
        self.file.bytes += end - start
        if self.file.bytes > self.max_bytes:
            why = f"it has more than {self.max_bytes / 1e6:.0f} MB, the most that is taken here"
            raise Refused(413, shown(self.file.name), why, "send a shorter one, or packed as FLAC or MP3")
        self.waiting.append((self.file, data[start:end]))
        self.waiting_bytes += end - start

    def part_end(self) -> None:
        if self.file is None:
            self.form.fields.setdefault(self.name, _text(bytes(self.text)))

    def end(self) -> None:
        self.ended = True

    def write(self) -> None:
        """Write what waits. Raises OSError."""
        for file, data in self.waiting:
            if self.open is None or self.open[0] != file.path:
                self.close()
                self.open = file.path, open(file.path, "xb")  # noqa: SIM115 - closed by close()
            self.open[1].write(data)
        self.waiting, self.waiting_bytes = [], 0

    def close(self) -> None:
        if self.open is not None:
            self.open[1].close()
            self.open = None


def shown(name: str) -> str:
    """A client's name of a file in a message: the part after its folders, on one line."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(c if c.isprintable() else "?" for c in last[:80]) or "the file"


def _text(data: bytes) -> str:
    """A field's value; bytes that are no UTF-8 are replaced."""
    return data.decode("utf-8", "replace")
