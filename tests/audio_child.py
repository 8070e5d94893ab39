"""Reads recordings, with limits of time and memory, and says what became of each; see audio_fuzz.py."""

import json
import signal
import sys
import time
from pathlib import Path

import numpy as np

from fastsvc.audio import io
from fastsvc.errors import AudioError

LIMIT_S, LIMIT_BYTES = 20, 3 * 2**30


def looked(call):
    try:
        return call(), ""
    except AudioError as error:
        return None, str(error)


def read(path):
    start = time.perf_counter()
    info, refused = looked(lambda: io.probe(path))
    content, reason = looked(lambda: io.read(path))
    said = {"name": path.name, "probe_reason": refused, "reason": reason}
    if content is not None:
        audio, rate_hz = content
        said |= {"samples": audio.shape[1], "channels": audio.shape[0], "rate_hz": rate_hz}
        said |= {
            "finite": bool(np.isfinite(audio).all()),
            "rms": float(np.sqrt(np.mean(np.square(audio, dtype=float)))),
        }
        np.save(path.with_suffix(path.suffix + ".npy"), audio)
    return said | {"probed": info and info.samples, "seconds": time.perf_counter() - start}


def main():
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
    names = json.loads(sys.stdin.read())
    for name in names:
        print(json.dumps({"begin": name}), flush=True)
        if hasattr(signal, "alarm"):
            signal.alarm(LIMIT_S)  # ends this process
        print(json.dumps(read(Path(sys.argv[1], name))), flush=True)


main()
