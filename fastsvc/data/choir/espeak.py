"""espeak-ng says one string of phonemes. This file runs as a program of its own and needs only the standard library.

    python -I espeak.py VOICE TEXT -> a line of JSON {"rate_hz", "events": [[name, sample], ...]}, then int16 samples

The library keeps the state of its wave generator from one utterance to the next. In a fresh process each time, the
output depends on the voice and the text alone. Structures and constants after espeak-ng's speak_lib.h.
"""

import ctypes
import json
import os
import sys

LIBRARY = "libespeak-ng.so.1"
_PHONEME_EVENT, _SYNCHRONOUS, _WITH_PHONEME_EVENTS, _UTF8_AND_PHONEMES = 7, 2, 1, 0x101


class _Event(ctypes.Structure):
    class _Id(ctypes.Union):
        _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]

    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


def synthesize(voice: str, text: str) -> tuple[int, bytes, list[tuple[str, int]]]:
    """(rate in Hz, int16 samples, phonemes with the sample at which each begins)."""
    library = ctypes.CDLL(LIBRARY)
    audio, events = [], []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))
    def receive(samples, count, event_list):
        if samples and count > 0:
            audio.append(ctypes.string_at(samples, 2 * count))
        position = 0
        while event_list[position].type:
            if event_list[position].type == _PHONEME_EVENT:
                name = ctypes.string_at(ctypes.addressof(event_list[position].id), 8).split(b"\0")[0]
                events.append((name.decode("utf-8", "replace"), event_list[position].sample))
            position += 1
        return 0

    rate_hz = library.espeak_Initialize(_SYNCHRONOUS, 0, None, _WITH_PHONEME_EVENTS)
    if rate_hz <= 0:
        raise OSError("espeak-ng finds no data; is the package espeak-ng-data installed?")
    library.espeak_SetSynthCallback(receive)
    library.espeak_Info.restype, folder = ctypes.c_char_p, ctypes.c_char_p()
    library.espeak_Info(ctypes.byref(folder))
    variant = os.path.join(os.fsdecode(folder.value), "voices", "!v", voice.partition("+")[2])
    # Without the variant's file espeak-ng would use the plain voice and report no error.
    if not os.path.exists(variant) or library.espeak_SetVoiceByName(voice.encode()):
        raise OSError(f"espeak-ng has no voice {voice}")
    data = text.encode()
    library.espeak_Synth(data, len(data) + 1, 0, 1, 0, _UTF8_AND_PHONEMES, None, None)
    library.espeak_Synchronize()
    return rate_hz, b"".join(audio), events


if __name__ == "__main__":
    try:
        spoken_hz, pcm, spoken = synthesize(sys.argv[1], sys.argv[2])
    except OSError as error:
        sys.exit(str(error))
    sys.stdout.buffer.write(json.dumps({"rate_hz": spoken_hz, "events": spoken}).encode() + b"\n" + pcm)
