"""Text files as editors and tools on any system save them: which encoding, decided strictly and said.

UTF-8 with or without a byte order mark, UTF-16 and UTF-32 by theirs, then the code pages of Windows in China and Japan.
A code page is taken only where what it gives is plausible: one that fits by chance would make other names of names.
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
_HALF_KANA = range(0xFF61, 0xFFA0)  # what other encodings look like as Shift-JIS
_PRIVATE = range(0xE000, 0xF900)
_WORD, _RUSSIAN = re.compile(r"[^\x00-\x7f]{2,}"), set("абвгдеёжзийклмнопрстуфхцчшщъыьэюя")
SHARE = 0.75  # of the characters beyond ASCII that a plausible Chinese text has among the 6763 common ones
SAMPLE = 200  # of such characters that are looked at
NOT_TOLD = "it is not UTF-8 text, nor UTF-16 with its mark, and which code page it is cannot be told"


def decoded(data: bytes) -> tuple[str, str]:
    """(the text, the encoding's name where it is not UTF-8, or ""). Raises ValueError, which says why."""
    for mark, codec, name in _MARKS:
        if data.startswith(mark):
            return _strictly(data, codec, name or "UTF-8"), name
    half = _without_mark(data)
    if half:
        return _strictly(data, half, "UTF-16"), "UTF-16"
    try:
        return data.decode("utf-8"), ""
    except UnicodeDecodeError as error:
        reason = error.reason
    chinese, japanese = _try(data, "gb18030"), _try(data, "cp932")
    if chinese is not None and _is_chinese(chinese) and not _is_cyrillic(data):
        return chinese, "GB18030 (GBK)"
    if japanese is not None and _is_japanese(japanese):
        return japanese, "Shift-JIS"
    raise ValueError(f"{NOT_TOLD} ({reason})")


def _strictly(data: bytes, codec: str, name: str) -> str:
    try:
        return data.decode(codec)
    except UnicodeDecodeError as error:
        raise ValueError(f"it is damaged {name} text, by its mark ({error.reason})") from None


def _try(data: bytes, codec: str) -> str | None:
    try:
        return data.decode(codec)
    except UnicodeDecodeError:
        return None


def _without_mark(data: bytes) -> str:
    """UTF-16 with ASCII in it: many bytes are zero, and nearly all of them in every other place."""
    if len(data) < 4 or len(data) % 2 or 0 not in data:
        return ""
    even, odd = data[0::2].count(0), data[1::2].count(0)
    if max(even, odd) < 0.1 * len(data) or 10 * min(even, odd) > max(even, odd):
        return ""
    return "utf-16-le" if odd > even else "utf-16-be"


def _beyond(text: str) -> list[str]:
    return [letter for letter in text if ord(letter) > 127][:SAMPLE]


def _is_chinese(text: str) -> bool:
    letters = _beyond(text)
    common = sum(_in(letter, "gb2312") for letter in letters)
    return common >= SHARE * len(letters) and not any(ord(letter) in _PRIVATE for letter in letters)


def _is_japanese(text: str) -> bool:
    letters = _beyond(text)
    odd = any(ord(letter) in _HALF_KANA or ord(letter) in _PRIVATE for letter in letters)
    return not odd and any(ord(letter) in _KANA for letter in letters)


def _is_cyrillic(data: bytes) -> bool:
    """Whether it is as plausible in Windows-1251: all beyond ASCII are Russian words, in one case or capitalised."""
    words = _WORD.findall(_try(data, "cp1251") or "")
    russian = all(set(word.lower()) <= _RUSSIAN and (word[1:].islower() or word.isupper()) for word in words)
    return bool(words) and russian


def _in(letter: str, codec: str) -> bool:
    try:
        return bool(letter.encode(codec))
    except UnicodeEncodeError:
        return False
