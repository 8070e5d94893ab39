"""Recordings put together and taken apart by their bytes: tags of mp3, pages of Ogg."""

from fastsvc.audio import mp3

ID3V2 = b"ID3\x04\0\0" + bytes([0, 0, 7, 104]) + b"TIT2" + bytes(range(256)) * 3 + bytes(1000 - 4 - 768)
ID3V1 = b"TAG" + b"a song".ljust(125)
_ITEM = (7).to_bytes(4, "little") + bytes(4) + b"Title\0a song."
_APE = (2000).to_bytes(4, "little") + (len(_ITEM) + 32).to_bytes(4, "little") + (1).to_bytes(4, "little")
APE = b"APETAGEX" + _APE + b"\0\0\0\xa0" + bytes(8) + _ITEM + b"APETAGEX" + _APE + b"\0\0\0\x80" + bytes(8)


def sizes(content):
    """Bytes of each frame of an mp3 without tags before it."""
    place, found = 0, []
    while frame := mp3.frame(content[place : place + 4]):
        found.append(frame.size)
        place += frame.size
    return found


def untagged(content):
    """(an mp3 without the frame of its tag, as programs write it to a pipe; how many frames it has)"""
    frames = sizes(content)
    return content[frames[0] :], len(frames) - 1


def tag_place(content):
    return content.index(b"Info") if b"Info" in content else content.index(b"Xing")


def pages(content):
    """Of an Ogg file, as bytearrays."""
    place, found = 0, []
    while place < len(content):
        begin = place + 27 + content[place + 26]
        end = begin + sum(content[place + 27 : begin])
        found.append(bytearray(content[place:end]))
        place = end
    return found


def put_together(changed):
    """An Ogg file of these pages, with their sums put right."""
    for page in changed:
        page[22:26] = bytes(4)
        page[22:26] = _sum(page).to_bytes(4, "little")
    return b"".join(map(bytes, changed))


def paged(packets, samples):
    """An Ogg file of one packet a page, of which the last ends after ``samples``."""
    made = []
    for number, packet in enumerate(packets):
        lacing = b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255])
        flags = 2 if number == 0 else 4 if number == len(packets) - 1 else 0
        head = b"OggS\0" + bytes([flags]) + bytes(8) + b"song" + number.to_bytes(4, "little") + bytes(4)
        made.append(bytearray(head + bytes([len(lacing)]) + lacing + packet))
    placed(made[-1], samples)
    return put_together(made)


def flac_frames(content):
    """Where the frames of a FLAC file begin."""
    place, last = 4, False
    while not last:
        last = content[place] & 128
        place += 4 + int.from_bytes(content[place + 1 : place + 4], "big")
    return place


def _sum(page):
    value = 0
    for byte in page:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7) & 0xFFFFFFFF if value & 1 << 31 else value << 1
    return value


def placed(page, samples):
    """``page``, which says that it ends there; negative: that nothing ends in it."""
    page[6:14] = samples.to_bytes(8, "little", signed=True)
    return page


def place_of(page):
    return int.from_bytes(page[6:14], "little", signed=True)
