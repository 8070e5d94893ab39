"""Files received by a request: written as they come, each under a number, and refused as soon as a limit is passed."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from fastsvc.serve.api.errors import Refused
from fastsvc.serve.jobs.job import new_id
from fastsvc.serve.jobs.names import split
from fastsvc.serve.service import Service

FIELDS, FIELD_BYTES = 16, 1 << 16  # of a form: how many, and how large
HEADER_BYTES = 1 << 13  # of the lines before a part


@dataclass
class ReceivedFile:
    """``name``: the client's, to be shown only after jobs.names.cleaned; ``part``: the form's name for the file."""

    path: Path
    name: str
    part: str = ""
    size: int = 0


@dataclass
class Received:
    """A form: its fields, and the files of its parts with file names, in their order."""

    fields: dict[str, str] = field(default_factory=dict)
    files: list[ReceivedFile] = field(default_factory=list)

    def refuse_other_fields(self, known: str, remedy: str) -> None:
        """Raises Refused (422) for a field that is not ``known``: it would be without effect, and nobody told."""
        for name in self.fields:
            if name != known:
                raise Refused(422, name[:60] or "a field", "the form has no field of this name", remedy, field=name)


@contextlib.asynccontextmanager
async def received(
    request: Request, state: Service, most_files: int | None = None, most_bytes: int | None = None
) -> AsyncIterator[Received]:
    """The multipart form of a request; files that nobody has moved by the end of the block are removed.

    ``most_bytes``: of one file, by default those of a recording.
    Raises Refused: 413 too large or too many, 415 not a form, 422 a damaged form; OSError, as from a full disk;
    starlette's ClientDisconnect where the client is gone.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise Refused(415, "the request is not a form", "multipart/form-data is needed", "send files as curl -F does")
    folder = state.settings.incoming_folder / new_id()
    folder.mkdir(mode=0o700)
    settings = state.settings
    form = _Form(state, folder, most_files or settings.max_files, most_bytes or settings.max_bytes)
    try:
        parser = MultipartParser(options[b"boundary"], form.callbacks())
        async for piece in request.stream():
            parser.write(piece)
        if not form.ended:
            raise Refused(422, "the form", "it ends in its middle", "send it again")
        yield form.received
    except FormParserError:
        raise Refused(422, "the form", "it is damaged", "send it again") from None
    finally:
        form.close()
        shutil.rmtree(folder, ignore_errors=True)


class _Form:
    """Callbacks of python-multipart's parser."""

    def __init__(self, state: Service, folder: Path, most_files: int, most_bytes: int):
        self.state, self.settings, self.folder = state, state.settings, folder
        self.most_files, self.most_bytes, self.header_bytes = most_files, most_bytes, 0
        self.received = Received()
        self.header, self.value, self.disposition = bytearray(), bytearray(), b""
        self.file, self.content, self.name = None, bytearray(), ""
        self.total, self.ended = 0, False

    def callbacks(self) -> dict:
        methods = (
            self.on_part_begin,
            self.on_header_field,
            self.on_header_value,
            self.on_header_end,
            self.on_headers_finished,
            self.on_part_data,
            self.on_part_end,
            self.on_end,
        )
        return {method.__name__: method for method in methods}

    def on_part_begin(self) -> None:
        self.disposition, self.content, self.header_bytes = b"", bytearray(), 0

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self.header += self._counted(data[start:end])

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self.value += self._counted(data[start:end])

    def _counted(self, piece: bytes) -> bytes:
        self.header_bytes += len(piece)
        if self.header_bytes > HEADER_BYTES:
            raise Refused(413, "the form", "the lines before a file are too long", "give the file a shorter name")
        return piece

    def on_header_end(self) -> None:
        if self.header.lower() == b"content-disposition":
            self.disposition = bytes(self.value)
        self.header, self.value = bytearray(), bytearray()

    def on_headers_finished(self) -> None:
        _, options = parse_options_header(self.disposition)
        self.name = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" not in options:
            if len(self.received.fields) >= FIELDS:
                raise Refused(413, "the form", "it has too many fields")
            if self.name in self.received.fields:  # which one is meant? And millions of one name would keep us busy
                raise Refused(422, self.name[:60] or "a field", "the form has it twice", "send it once")
            return
        number = len(self.received.files)
        if number >= self.most_files:
            raise Refused(413, "too many files", f"a request may have {self.most_files}", "send several requests")
        name = options[b"filename"].decode("utf-8", "replace")
        path = self.folder / f"{number}{split(name)[1]}"
        self.file = path.open("wb")
        self.received.files.append(ReceivedFile(path, name, self.name))

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        size = end - start
        if self.file is None:
            self.content += data[start:end]
            if len(self.content) > FIELD_BYTES:
                raise Refused(413, self.name[:60], f"a field may have {FIELD_BYTES} bytes")
            return
        file = self.received.files[-1]
        file.size += size
        self.total += size
        self.state.queue.incoming_bytes += size
        if file.size > self.most_bytes:
            limit = f"a file may have {self.most_bytes / 1e6:g} MB"
            raise Refused(413, "the file is too large", limit, "send a shorter one, or as flac")
        if self.total > self.settings.max_request_bytes:
            limit = f"a request may have {self.settings.max_request_bytes / 1e6:g} MB"
            raise Refused(413, "the files are too large together", limit, "send several requests")
        self.file.write(memoryview(data)[start:end])

    def on_part_end(self) -> None:
        if self.file is None:
            self.received.fields[self.name] = self.content.decode("utf-8", "replace")
        else:
            self.file.close()  # a full disk may show here
            self.file = None

    def on_end(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.state.queue.incoming_bytes -= self.total
        if self.file is not None:
            with contextlib.suppress(OSError):
                self.file.close()
