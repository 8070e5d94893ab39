"""The encoding of text files as editors and tools on any system save them, decided strictly and reported.

UTF-8 with or without a byte order mark, UTF-16 and UTF-32 by their marks, then Windows' code pages of China and Japan.
A code page is accepted only where its text is plausible: one that fits by chance would change names.
"""

from __future__ import annotations

import codecs
import re

_MARKS = (  # the longer mark first: UTF-32's begins as UTF-16's does
    (codecs.BOM_UTF8, "utf-8-sig", ""),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
_KANA = range(0x3041, 0x30FB)  # hiragana and katakana: Japanese has them, and no other code page gives them by chance
_HALF_KANA = range(0xFF61, 0xFFA0)  # other encodings look like this as Shift-JIS
_PRIVATE = range(0xE000, 0xF900)
_WORD, _RUSSIAN = re.compile(r"[^\x00-\x7f]{2,}"), set("абвгдеёжзийклмнопрстуфхцчшщъыьэюя")
SHARE = 0.75  # least share of a plausible Chinese text's non-ASCII characters among the 6763 common ones
SAMPLE = 200  # non-ASCII characters that are examined
UNKNOWN_ENCODING = "it is not UTF-8 text, nor UTF-16 with its mark, and which code page it is cannot be told"


def decode(data: bytes) -> tuple[str, str]:
    """(the text, the encoding's name or "" for UTF-8). Raises ValueError, which says why."""
    for mark, codec, name in _MARKS:
        if data.startswith(mark):
            return _decode_strictly(data, codec, name or "UTF-8"), name
    utf16 = _utf16_without_mark(data)
    if utf16:
        return _decode_strictly(data, utf16, "UTF-16"), "UTF-16"
    try:
        return data.decode("utf-8"), ""
    except UnicodeDecodeError as error:
        reason = error.reason
    chinese, japanese = _decode_or_none(data, "gb18030"), _decode_or_none(data, "cp932")
    if chinese is not None and _is_chinese(chinese) and not _is_cyrillic(data):
        return chinese, "GB18030 (GBK)"
    if japanese is not None and _is_japanese(japanese):
        return japanese, "Shift-JIS"
    raise ValueError(f"{UNKNOWN_ENCODING} ({reason})")


def _decode_strictly(data: bytes, codec: str, name: str) -> str:
    try:
        return data.decode(codec)
    except UnicodeDecodeError as error:
        raise ValueError(f"it is damaged {name} text, by its mark ({error.reason})") from None


def _decode_or_none(data: bytes, codec: str) -> str | None:
    try:
        return data.decode(codec)
    except UnicodeDecodeError:
        return None


def _utf16_without_mark(data: bytes) -> str:
    """The codec of UTF-16 that contains ASCII (many bytes are zero, nearly all at every other offset), or ""."""
    if len(data) < 4 or len(data) % 2 or 0 not in data:
        return ""
    even, odd = data[0::2].count(0), data[1::2].count(0)
    if max(even, odd) < 0.1 * len(data) or 10 * min(even, odd) > max(even, odd):
        return ""
    return "utf-16-le" if odd > even else "utf-16-be"


def _non_ascii(text: str) -> list[str]:
    return [letter for letter in text if ord(letter) > 127][:SAMPLE]


def _is_chinese(text: str) -> bool:
    letters = _non_ascii(text)
    common = sum(_is_in(letter, "gb2312") for letter in letters)
    return common >= SHARE * len(letters) and not any(ord(letter) in _PRIVATE for letter in letters)


def _is_japanese(text: str) -> bool:
    letters = _non_ascii(text)
    odd = any(ord(letter) in _HALF_KANA or ord(letter) in _PRIVATE for letter in letters)
    return not odd and any(ord(letter) in _KANA for letter in letters)


def _is_cyrillic(data: bytes) -> bool:
    """Whether Windows-1251 is as plausible: all non-ASCII text is Russian words, in one case or capitalised."""
    words = _WORD.findall(_decode_or_none(data, "cp1251") or "")
    russian = all(set(word.lower()) <= _RUSSIAN and (word[1:].islower() or word.isupper()) for word in words)
    return bool(words) and russian


def _is_in(letter: str, codec: str) -> bool:
    try:
        return bool(letter.encode(codec))
    except UnicodeEncodeError:
        return False
