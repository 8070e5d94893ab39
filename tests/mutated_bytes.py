"""Files with bytes changed as disks, downloads and enemies change them, from a seed."""

import io
import random
import zipfile
from pathlib import Path


def flipped(data: bytearray, chance: random.Random) -> bytearray:
    for _ in range(chance.choice((1, 1, 4, 64))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return data


def cut(data: bytearray, chance: random.Random) -> bytearray:
    return data[: chance.randrange(len(data))]


def swapped(data: bytearray, chance: random.Random) -> bytearray:
    size = chance.randint(1, min(64, len(data) // 2 or 1))
    a, b = (chance.randrange(max(1, len(data) - size)) for _ in range(2))
    data[a : a + size], data[b : b + size] = data[b : b + size], data[a : a + size]
    return data


def blanked(data: bytearray, chance: random.Random) -> bytearray:
    start, size = chance.randrange(len(data)), chance.randint(1, 512)
    data[start : start + size] = bytes([chance.choice((0, 0, 255, 0x7F))]) * len(data[start : start + size])
    return data


def inserted(data: bytearray, chance: random.Random) -> bytearray:
    place = chance.randrange(len(data))
    return data[:place] + chance.randbytes(chance.randint(1, 40)) + data[place:]


def numbered(data: bytearray, chance: random.Random) -> bytearray:
    """A run of digits becomes another number."""
    import re

    found = list(re.finditer(rb"\d+(\.\d+)?", data))
    if not found:
        return flipped(data, chance)
    one = chance.choice(found)
    other = chance.choice((b"0", b"-1", b"1e308", b"99999999999", b"NaN", b"null", b'"x"', b"[]", b"3.5"))
    return data[: one.start()] + other + data[one.end() :]


KINDS = (flipped, flipped, cut, swapped, blanked, inserted, numbered)


def mutate(data: bytes, chance: random.Random) -> tuple[str, bytes]:
    """(what was done, the new bytes)."""
    how = chance.choice(KINDS)
    made = bytes(how(bytearray(data or b"\0"), chance))
    return how.__name__, made


def mutate_file(path: Path, chance: random.Random) -> str:
    """Change a file in place; of an archive half the time an entry, whose checksum is then right again."""
    data = path.read_bytes()
    if data[:2] == b"PK" and chance.random() < 0.6:
        return _mutate_entry(path, data, chance)
    if path.suffix == ".safetensors" and chance.random() < 0.6:  # its header, where the decisions are taken
        size = 8 + int.from_bytes(data[:8], "little")
        how, head = mutate(data[:size], chance)
        path.write_bytes(head + data[size:])
        return f"{how} in the header of {path.name}"
    how, made = mutate(data, chance)
    path.write_bytes(made)
    return f"{how} in {path.name}"


def _mutate_entry(path: Path, data: bytes, chance: random.Random) -> str:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    name = next(name for name in entries if name.endswith("data.pkl"))
    name = name if chance.random() < 0.7 else chance.choice(list(entries))
    how, entries[name] = mutate(entries[name], chance)
    with zipfile.ZipFile(path, "w") as archive:
        for entry, content in entries.items():
            archive.writestr(entry, content)
    return f"{how} in {path.name}:{name}"
