"""Small recordings in the containers and codecs that FFmpeg encodes, made by PyAV itself."""

from fractions import Fraction

import numpy as np

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
_TYPES = {"u8": np.uint8, "s16": np.int16, "s32": np.int32, "flt": np.float32, "dbl": np.float64}


def chirp(samples=20011, rate=44100, channels=2, level=0.3):
    """[channels, samples]: each sweeps up an octave from a pitch of its own, so that it fits itself at lag 0 alone."""
    time = np.arange(samples) / rate
    starts = [180.0 * (1 + 0.6 * i) for i in range(channels)]
    length = max(samples / rate, 0.25)
    sung = [np.sin(2 * np.pi * start * (time + time**2 / (2 * length))) for start in starts]
    return (level * np.stack(sung)).astype(np.float32)


def lag(made, wanted, most=3000):
    """Samples by which ``made`` comes later than ``wanted``, both [samples]."""
    size = 1 << int(np.ceil(np.log2(len(made) + len(wanted))))
    fit = np.fft.irfft(np.fft.rfft(made, size) * np.conj(np.fft.rfft(wanted, size)), size)
    lags = np.r_[-most : most + 1]
    return int(lags[np.argmax(fit[lags])])


def encode(path, audio, rate, codec, format, sample_format=None, begin=0, container=None, **options):
    """Write ``audio [channels, samples]``; ``begin``: its first sample's time, in samples. Returns the path."""
    write(path, format, [(audio, rate, codec, sample_format, begin, options)], container)
    return path


def write(path, format, streams, container=None, dispositions=()):
    """Several streams, one after another. Each: (audio, rate, codec, sample format, begin, options)."""
    import av

    with av.open(str(path), "w", format=format, options={"strict": "-2", **(container or {})}) as file:
        made = []
        for number, (audio, rate, codec, sample_format, _, options) in enumerate(streams):
            options = {name: str(value) for name, value in options.items()}
            stream = file.add_stream(codec, rate=rate, options={"strict": "-2", **options})
            stream.layout = LAYOUTS[len(audio)]
            stream.codec_context.format = sample_format or stream.codec_context.codec.audio_formats[0].name
            if dispositions:
                stream.disposition = dispositions[number]
            if "b" in options:
                stream.bit_rate = int(options["b"])
            made.append(stream)
        for stream, (audio, rate, _, _, begin, _) in zip(made, streams):
            for frame in _frames(av, stream, audio, rate, begin):
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))


def _frames(av, stream, audio, rate, begin):
    context = stream.codec_context
    context.open(strict=False)
    name, size = context.format.name, context.frame_size or 4096
    kind = _TYPES[name.rstrip("p")]
    for start in range(0, audio.shape[1], size):
        block = audio[:, start : start + size].astype(np.float64)
        if kind is np.uint8:
            block = np.round(block * 127 + 128)
        elif np.issubdtype(kind, np.integer):
            block = np.round(block * np.iinfo(kind).max)
        block = block if name.endswith("p") else block.T.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block.astype(kind)), name, LAYOUTS[len(audio)])
        frame.sample_rate, frame.pts, frame.time_base = rate, begin + start, Fraction(1, rate)
        yield frame


def picture(path, format="mp4", codec="mpeg4"):
    """A video of two frames without sound."""
    import av

    with av.open(str(path), "w", format=format) as file:
        stream = file.add_stream(codec, rate=25)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for _ in range(2):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")))
        file.mux(stream.encode(None))
    return path


def aac_in_caf(path, aac, samples, rate_code=4, priming=1024):
    """What Apple's recorders write, from the frames of an ADTS file in stereo at 44,100 Hz. FFmpeg writes none."""
    content, packets = aac.read_bytes(), []
    while content:
        size = (content[3] & 3) << 11 | content[4] << 3 | content[5] >> 5
        packets.append(content[7:size])
        content = content[size:]

    def part(tag, body):
        return bytes([tag, len(body)]) + body

    def chunk(name, body):
        return name + len(body).to_bytes(8, "big") + body

    def count(number):  # seven bits a byte
        found = [number & 127]
        while number := number >> 7:
            found.append(number & 127 | 128)
        return bytes(reversed(found))

    number = lambda value, width=4: value.to_bytes(width, "big")  # noqa: E731
    setup = part(5, number(2 << 11 | rate_code << 7 | 2 << 3, 2))
    cookie = part(4, b"\x40\x15\0\0\0" + number(128000) * 2 + setup)
    cookie = number(0) + part(3, bytes(3) + cookie + part(6, b"\2"))
    description = np.array([44100.0], ">f8").tobytes() + b"aac " + b"".join(map(number, (0, 0, 1024, 2, 0)))
    rest = len(packets) * 1024 - priming - samples
    table = number(len(packets), 8) + number(samples, 8) + number(priming) + number(rest)
    table += b"".join(count(len(packet)) for packet in packets)
    chunks = [(b"desc", description), (b"kuki", cookie), (b"pakt", table), (b"data", bytes(4) + b"".join(packets))]
    path.write_bytes(b"caff\0\1\0\0" + b"".join(chunk(*one) for one in chunks))
    return path


def edited(path, *edits):
    """Of an MP4 of one track, play ``edits`` instead of its one: (ms, first sample; -1: silence), as players do."""
    content = bytearray(path.read_bytes())
    place, entries = content.index(b"elst") + 8, b""
    for length_ms, begin in edits:
        entries += length_ms.to_bytes(4, "big") + begin.to_bytes(4, "big", signed=True) + b"\0\1\0\0"
    content[place : place + 16] = len(edits).to_bytes(4, "big") + entries
    for box in (b"moov", b"trak", b"edts", b"elst"):
        at = content.rindex(box, 0, place) - 4
        content[at : at + 4] = (int.from_bytes(content[at : at + 4], "big") + len(entries) - 12).to_bytes(4, "big")
    path.write_bytes(content)
    return path


def aliased(path, target):
    """A QuickTime file of one track, whose sound now lies in the file ``target``, as an alias of Mac OS names it."""
    content = bytearray(path.read_bytes())
    place = content.index(b"dref") + 12
    old, name, whole = int.from_bytes(content[place : place + 4], "big"), target.name.encode(), str(target).encode()
    alias = bytes(14) + b"\1V" + bytes(38) + bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16) + b"\0\1\0\1"
    alias += bytes(16) + b"\0\2" + len(whole).to_bytes(2, "big") + whole + bytes(len(whole) & 1) + b"\xff\xff\0\0"
    alias = (len(alias) + 8).to_bytes(4, "big") + b"alis" + alias
    content[place : place + old] = alias
    for box in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        at = content.rindex(box, 0, place) - 4
        content[at : at + 4] = (int.from_bytes(content[at : at + 4], "big") + len(alias) - old).to_bytes(4, "big")
    path.write_bytes(content)
    return path
