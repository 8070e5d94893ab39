"""Every file that bench/gpu.sh has written, read as those read it who make tables of it: whole, and with all rows.

python tests/rehearsal/read.py OUT_DIR [rvc]
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench import latency, rvc_stages, stages, table

TIMES = {"p50_ms", "p20_ms", "p80_ms", "repeats", "wall_p50_ms"}
STAGE = {"seconds", "steps", "stage", "launches", "busy_ms", "peak_mb", *TIMES}
ALWAYS = {"engine", "sizes", "roofs", "resampling", "stages", "peers", "vocoders", "rungs", "machine", "versions"}
ALWAYS |= {"load_1min", "load_1min_after", "command", "date"}
FILES = {False: ("latency", "peers", "compile"), True: ("rvc_latency",)}


def faults(result: dict, rvc: bool) -> list[str]:
    """What a result of bench.latency on a GPU lacks."""
    words = shlex.split(result["command"])
    options = latency.arguments(words[words.index("--device") :])  # without the engine, which is gone
    lacking = [f"no {name}" for name in sorted(ALWAYS - result.keys())]
    if lacking:
        return lacking
    first, names = options.steps[0], (rvc_stages if rvc else stages).STAGES
    steps = [1] if rvc else options.steps
    wanted = {(s, first, name) for s in options.seconds for name in (*names, stages.WHOLE)}
    wanted |= {(s, n, name) for s in options.seconds for n in steps for name in stages.STEPPED if not rvc}
    rows = {(row["seconds"], row["steps"], row["stage"]): row for row in result["stages"]}
    lacking += [f"no row of {key}" for key in sorted(wanted - rows.keys())]
    for key, row in rows.items():
        lacking += [f"{key}: no {name}" for name in sorted(STAGE) if row.get(name) is None]
    pairs = {(row["seconds"], row["peer"]) for row in result["peers"]}
    alone = {(row["seconds"], row.get("peer")) for row in result["vocoders"]}
    for asked in ((s, peer) for s in options.peer_seconds for peer in options.peers):
        lacking += [f"no row of {asked} among {which}" for which, one in (("peers", pairs), ("vocoders", alone))
                    if asked not in one]  # fmt: skip
    for row in (*result["peers"], *result["vocoders"]):
        if not row.get("skipped") and not row.keys() >= TIMES:
            lacking.append(f"{row}: neither times nor a reason")
    if options.pdl and [row.get("early") for row in result["early"]] != [False, True] * len(options.peer_seconds):
        lacking.append(f"early: {result['early']}")
    if not options.no_extras and not ("skipped" not in result["cold"] and result["throughput"]["audio_s_per_s"]):
        lacking.append(f"cold start and throughput: {result.get('cold')}, {result.get('throughput')}")
    return lacking


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("rvc", nargs="?", choices=("rvc",))
    options = parser.parse_args()
    found = []
    for name in FILES[bool(options.rvc)]:
        path = options.folder / f"{name}.json"
        if not path.exists():
            found.append(f"{path.name}: not there")
            continue
        result = json.loads(path.read_text(encoding="utf-8"))
        found += [f"{path.name}: {fault}" for fault in faults(result, bool(options.rvc))]
        print(f"{path.name}: {result.get('rehearsal', 'measured')}\n\n{table.markdown(result)}\n", flush=True)
    if not options.rvc:
        said = json.loads((options.folder / "trt_here.json").read_text(encoding="utf-8"))
        found += [f"trt_here.json: no {name}" for name in ("package", "step", "machine") if name not in said]
    print(*found, sep="\n", file=sys.stderr)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
