"""Damaged recordings, seeded: every format, cut, flipped, zeroed, spliced, and with headers that lie."""

import random
import struct
from typing import NamedTuple

from audio_files import WRITTEN, music, put

SAMPLES = 9001
# Of these formats every part has a checksum: what is read at all is what was written.
SUMMED = {"FLAC", "OGG"}
_EXTREME = [
    0,
    1,
    0x7F,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFE,
    0xFFFFFFFF,
    2**63 - 1,
    2**64 - 1,
]
_CHUNKS = {b"data", b"fmt ", b"fact", b"SSND", b"COMM", b"ds64", b"desc", b"RIFF", b"FORM", b"FVER", b"PEAK", b"LIST"}


class Mutant(NamedTuple):
    """``how``: what was done; ``content``: of the file, whose name ends in ``extension``."""

    extension: str
    how: str
    content: bytes


def wholes(folder):
    """{extension: content}"""
    return {extension: put(folder, extension, music(samples=SAMPLES))[0].read_bytes() for extension in sorted(WRITTEN)}


def mutants(whole, count, seed=0):
    """``count`` of them, every format and every kind of damage in turn."""
    rng, extensions, kinds = random.Random(seed), sorted(whole), list(_KINDS)
    for i in range(count):
        extension = extensions[i % len(extensions)]
        kind = kinds[(i + i // len(extensions)) % len(kinds)]
        yield Mutant(extension, kind, bytes(_KINDS[kind](rng, bytearray(whole[extension]), whole)))


def _flip_head(rng, data, whole):
    for _ in range(rng.choice([1, 1, 2, 5])):
        data[rng.randrange(min(len(data), 128))] ^= 1 << rng.randrange(8)
    return data


def _flip_anywhere(rng, data, whole):
    for _ in range(rng.choice([1, 3, 30])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data


def _cut(rng, data, whole):
    return data[: rng.choice([rng.randrange(1, len(data)), len(data) - rng.randrange(1, 64), rng.randrange(1, 128)])]


def _extreme(rng, data, whole):
    """Numbers in the header set to what no file has."""
    for _ in range(rng.choice([1, 2])):
        width, place = rng.choice([2, 4, 8]), rng.randrange(4, 100)
        number = rng.choice(_EXTREME) & (1 << 8 * width) - 1
        data[place : place + width] = number.to_bytes(width, rng.choice(["little", "big"]))
    return data


def _chunk_sizes(rng, data, whole):
    """Chunks that claim another size; where a format has none, a field of its header."""
    places = [data.find(name) for name in _CHUNKS if 0 <= data.find(name) < 4096]
    if not places:
        return _extreme(rng, data, whole)
    place = rng.choice(sorted(places)) + 4
    size = rng.choice([*_EXTREME[:11], len(data), len(data) // 2, rng.randrange(len(data))]) & 0xFFFFFFFF
    struct.pack_into(rng.choice("<>") + "I", data, place, size)
    return data


def _zeroed(rng, data, whole):
    first = rng.randrange(len(data))
    last = min(len(data), first + rng.choice([4, 100, 5000]))
    data[first:last] = bytes(last - first)
    return data


def _spliced(rng, data, whole):
    """The beginning of one, the end of another."""
    other = whole[rng.choice(sorted(whole))]
    return data[: rng.randrange(len(data))] + other[rng.randrange(len(other)) :]


def _removed(rng, data, whole):
    """A piece from the middle is missing."""
    first = rng.randrange(len(data))
    del data[first : first + rng.choice([1, 7, 1000])]
    return data


def _noise(rng, data, whole):
    """A few first bytes of a recording, then nothing of one."""
    return data[: rng.choice([4, 12, 16])] + rng.randbytes(rng.choice([10, 1000, 50000]))


def _tagged(rng, data, whole):
    """An ID3 tag in front, of whatever length it claims."""
    size = rng.choice([0, 10, 127, 500])
    claimed = rng.choice([size, size, size + 1, 0, 127 << 21])
    tag = b"ID3\x04\x00" + bytes([rng.choice([0, 0, 16, 255])])
    return tag + bytes(claimed >> 7 * i & 127 for i in (3, 2, 1, 0)) + bytes(size) + data


_KINDS = {
    "flipped in the header": _flip_head,
    "flipped": _flip_anywhere,
    "cut": _cut,
    "extreme": _extreme,
    "chunk sizes": _chunk_sizes,
    "zeroed": _zeroed,
    "spliced": _spliced,
    "removed": _removed,
    "noise": _noise,
    "tagged": _tagged,
}
