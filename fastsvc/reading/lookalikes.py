"""Files with the name of something else, recognised by their first bytes, each with a remedy.

A download that needed a login leaves a web page, a clone without Git LFS a pointer, a server's refusal a line of JSON.
Messages about a model or a recording can then say what the file really is.
"""

from __future__ import annotations

import re

HEAD = 1024  # first bytes of a file that are examined
_FETCH = "download the file itself, in a browser that is logged in where it has to be"
_SIGNS = (  # first bytes, what the file is, remedy
    (b"version https://git-lfs", "a Git LFS pointer, not the file it points to", "run: git lfs pull"),
    (b"version https://hawser", "a Git LFS pointer, not the file it points to", "run: git lfs pull"),
    (b"%PDF-", "a PDF document", _FETCH),
    (b"\x89PNG", "a picture (PNG)", _FETCH),
    (b"\xff\xd8\xff", "a picture (JPEG)", _FETCH),
    (b"\x1f\x8b", "compressed with gzip", "unpack it (gunzip, tar xzf), then name what was in it"),
    (b"BZh91AY&SY", "compressed with bzip2", "unpack it (bunzip2, tar xjf), then name what was in it"),
    (b"\xfd7zXZ\x00", "compressed with xz", "unpack it (unxz, tar xJf), then name what was in it"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "unpack it (unzstd), then name what was in it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it, then name what was in it"),
    (b"Rar!\x1a\x07", "a RAR archive", "unpack it, then name what was in it"),
    (b"\x00\x05\x16\x07", "a Mac's AppleDouble file (._NAME), which holds no data", "name the file without ._"),
    (b"bplist00", "a property list of a Mac, or a placeholder of iCloud", "download it in the Finder first"),
    (b"\x4c\x00\x00\x00\x01\x14\x02\x00", "a Windows shortcut (.lnk)", "name the file that it leads to"),
    (b"MZ\x90\x00", "a Windows program", "do not run it; name the right file"),
    (b"\x7fELF", "a program or shared library", "name the right file"),
    (b"SQLite format 3\x00", "an SQLite database", "name the right file"),
)
_MODELS = (  # models and recordings that are not checkpoints
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras)", "name the PyTorch checkpoint"),
    (b"\x93NUMPY", "an array of numpy (.npy)", "name the PyTorch checkpoint"),
    (b"GGUF", "a GGUF model (llama.cpp)", "name the PyTorch checkpoint"),
    (b"RIFF", "a recording (WAV)", "name the checkpoint"),
    (b"fLaC", "a recording (FLAC)", "name the checkpoint"),
    (b"OggS", "a recording (Ogg)", "name the checkpoint"),
    (b"ID3", "a recording (mp3)", "name the checkpoint"),
)
_INDEX = re.compile(rb"I[xwHNBMv][A-Za-z0-9]{2}..\0\0", re.DOTALL)  # faiss: letters for the kind of an index, its width
_INDEX_REMEDY = "name the voice's .pth instead: an index beside it is found, one elsewhere is named with --index"
_MARKUP = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<!--.*?-->\s*)*<(!doctype|html|head|body|\?xml|error)", re.IGNORECASE | re.DOTALL
)
_JSON = re.compile(rb'(?:\xef\xbb\xbf)?\s*[\[{]\s*["{\[}\]]')
_MESSAGE = re.compile(r'"(?:error|message|detail|errors|error_description|reason)"\s*:\s*\[?\s*"([^"]{1,200})"')
_TITLE = re.compile(r"<title[^>]*>\s*([^<]{1,100})", re.I)
_OLDEST = (b"sys_info", b"pickle", b"storages", b"tensors")  # members of torch's oldest archives
_TAR = 257  # offset of a tar archive's magic bytes


def document(head: bytes) -> tuple[str, str] | None:
    """(what it is, remedy) where the bytes are a pointer, a page, a server's answer or an archive; None otherwise.

    ``head``: the first :data:`HEAD` bytes, or all there are.
    """
    for sign, description, remedy in _SIGNS:
        if head.startswith(sign):
            return description, remedy
    if head[_TAR : _TAR + 5] == b"ustar":
        return "a tar archive", "unpack it (tar xf), then name what was in it"
    markup, text = _MARKUP.match(head), head.decode("utf-8", "replace")
    if markup and markup[1].lower() in (b"?xml", b"error"):
        return f"an XML document, such as a server's refusal{_quoted(_xml_message(text))}", _FETCH
    if markup:
        title = _TITLE.search(text)
        return f"a web page (HTML){_quoted(title and title[1])}, such as a login or an error", _FETCH
    if _JSON.match(head):
        message = _MESSAGE.search(text)
        return (f"a server's message{_quoted(message[1])}" if message else "JSON text"), _FETCH
    if len(head) >= 16 and not head.strip(b"\0"):
        return "nothing but zeros at its beginning: a download or copy that did not end", "download or copy it again"
    return None


def not_json_or_yaml(head: bytes) -> tuple[str, str] | None:
    """:func:`document` for a file that should be JSON or YAML; None for JSON and for empty files."""
    return None if _JSON.match(head) or not head.strip(b"\0") else document(head)


def recording(head: bytes) -> tuple[str, str] | None:
    """:func:`document`, and files that people mistake for a recording."""
    if head.startswith(b"PK\x03\x04"):
        return "a zip archive", "unpack it, then name the recordings in it"
    return document(head)


def model(head: bytes, suffix: str = "") -> tuple[str, str] | None:
    """:func:`document`, and files that people mistake for a checkpoint. ``suffix``: of the file's name."""
    if head[_TAR : _TAR + 5] == b"ustar" and head[:100].rstrip(b"\0") in _OLDEST:
        return (
            "a torch file of before 2017 (tar)",
            "load and save it with a torch of that time, then again with a new one",
        )
    description = document(head)
    if description:
        return description
    for sign, kind, remedy in _MODELS:
        if head.startswith(sign):
            return kind, remedy
    torch_file = head.startswith((b"PK\x03\x04", b"\x80"))  # whatever it is called
    if (suffix == ".onnx" and not torch_file) or _onnx(head):
        return "an ONNX graph, from which no engine is built", "name the PyTorch checkpoint it was exported from"
    if (suffix == ".index" and not torch_file) or _INDEX.match(head):
        return "an index of RVC (faiss), which holds no voice", _INDEX_REMEDY
    if head[4:8] == b"ftyp":
        return "a recording or film (MP4)", "name the checkpoint"
    if head and _is_text(head):
        return f"a text{_quoted(head.decode('utf-8', 'replace'))}", "name the checkpoint"
    return None


def _onnx(head: bytes) -> bool:
    """A protobuf that begins with a small ir_version (field 1), then the producer's name (field 2) or the graph."""
    return len(head) > 4 and head[0] == 0x08 and 0 < head[1] < 32 and head[2] in (0x12, 0x1A, 0x22, 0x3A, 0x42)


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # not merely a character cut in two
            return False
        text = head[: error.start].decode("utf-8")
    return all(letter.isprintable() or letter in "\r\n\t\f\ufeff" for letter in text)


def _xml_message(text: str) -> str | None:
    message = re.search(r"<Message>([^<]{1,200})", text, re.I) or re.search(r"<Code>([^<]{1,100})", text, re.I)
    return message and message[1]


def _quoted(text: str | None) -> str:
    """The beginning of a stranger's text in quotes, on one line and without control characters; "" for none."""
    words = "".join(c if c.isprintable() else " " for c in text or "").split()
    short = " ".join(words)[:60].rstrip()
    return f" (“{short}”)" if short else ""
