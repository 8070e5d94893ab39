"""What server and workers say to each other over pipes: JSON messages and pieces of audio, each with its length."""

from __future__ import annotations

import asyncio
import json
import struct
from typing import BinaryIO

_HEAD = struct.Struct("<BI")
_JSON, _BYTES = 0, 1
MOST = 1 << 28  # bytes of one message

Message = dict | bytes


def packed(message: Message) -> bytes:
    """A message as bytes: its kind, its length, its content."""
    if isinstance(message, bytes):
        return _HEAD.pack(_BYTES, len(message)) + message
    content = json.dumps(message).encode()
    return _HEAD.pack(_JSON, len(content)) + content


def read(file: BinaryIO) -> Message | None:
    """The next message of a blocking, buffered file; None at its end."""
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    kind, size = _checked(head)
    content = file.read(size)
    return _message(kind, content) if len(content) == size else None


async def receive(reader: asyncio.StreamReader) -> Message | None:
    """The same of asyncio's reader."""
    try:
        kind, size = _checked(await reader.readexactly(_HEAD.size))
        return _message(kind, await reader.readexactly(size))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def _checked(head: bytes) -> tuple[int, int]:
    kind, size = _HEAD.unpack(head)
    if size > MOST or kind not in (_JSON, _BYTES):
        raise ValueError(f"a message of {size} bytes and kind {kind}: something else wrote into the pipe")
    return kind, size


def _message(kind: int, content: bytes) -> Message:
    return json.loads(content) if kind == _JSON else content
