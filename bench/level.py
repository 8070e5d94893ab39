"""Is a result as loud as its recording: over all, over time, in rests; and what does keeping it so cost?

python -m bench.level [MODEL.fsvc] [--json bench/results/level.json] [--voices slt,kal,bruno] [--mos FOLDER]

All recordings of a folder are sung by each voice, then brought to the recording's loudness in several ways: mixes of
the model's own loudness, lengths of the window, peaks at which the model hears it. --mos adds a judge of quality at
one loudness, DistillMOS: pip install --no-deps --target FOLDER distillmos xls-r-sqa
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

import importlib
import types
from pathlib import Path

from bench import program
from fastsvc import files

ROOT = Path(__file__).resolve().parent.parent
MIXES = (1.0, 0.25, 0.0)
WINDOWS_S = (0.1, 0.4)
PEAKS = (0.95, 0.5, 0.3)
JUDGE = "distillmos"
FRAME = 2  # blocks of 10 ms
ACTIVE_DB, REST_DB = 40, 45  # of frames, below the loudest


def decibel(power: float) -> float:
    import math

    return 10 * math.log10(max(float(power), 1e-14))


def loudness(audio, came, rate_hz: int) -> dict:
    """Of a result against its recording, both [samples]: level, slope and correlation of frames in dB, rests."""
    import numpy as np

    from fastsvc.audio import envelope

    made, given = (envelope.powers(one, rate_hz) for one in (audio, came))
    made, given = (one[: len(one) // FRAME * FRAME].reshape(-1, FRAME).mean(axis=1) for one in (made, given))
    out_db, in_db = (10 * np.log10(one + 1e-14) for one in (made, given))
    active, rest = in_db > in_db.max() - ACTIVE_DB, in_db < in_db.max() - REST_DB
    found = {
        "level_db": decibel(made.mean()) - decibel(given.mean()),
        "slope": np.polyfit(in_db[active], out_db[active], 1)[0],
        "correlation": np.corrcoef(in_db[active], out_db[active])[0, 1],
        "frame_off_db": np.abs(out_db - in_db)[active].mean(),
        "peak": np.abs(audio).max(),
    }
    if rest.sum() >= 5:
        found["rest_db"] = decibel(made[rest].mean()) - decibel(given[rest].mean())
    return {name: float(value) for name, value in found.items()}


def judge(folder: Path | None):
    """DistillMOS, of audio at one loudness, or None without its folder."""
    if folder is None:
        return None
    import numpy as np
    import torch

    from fastsvc.audio.resample import resample

    sys.path.insert(0, str(folder))
    sys.modules.setdefault("torchaudio", types.ModuleType("torchaudio"))  # it reads files with it, which we do not
    model = importlib.import_module(JUDGE).ConvTransformerSQAModel().eval()

    @torch.inference_mode()
    def of(audio, rate_hz: int) -> float:
        at_16k = resample(audio, rate_hz, 16000)
        at_16k *= 10 ** (-26 / 20) / max(float(np.sqrt(np.mean(at_16k**2))), 1e-9)
        return float(model(torch.from_numpy(at_16k)[None]))

    return of


class Bench:
    """One engine, and whatever is sung by it, once."""

    def __init__(self, engine, voices, mos):
        self.engine, self.voices, self.mos = engine, voices, mos

    def melody(self, audio, came, rate_hz: int, semitones: float) -> dict:
        from fastsvc.audio.resample import resample
        from fastsvc.evaluation import pitch
        from fastsvc.evaluation.choir_table import track

        (f0_hz, voiced), wanted = (track(resample(one, rate_hz, self.engine.rate_hz), self.engine.config)
                                   for one in (audio, came))  # fmt: skip
        found = pitch.compare((f0_hz, voiced), (wanted[0] * 2 ** (semitones / 12), wanted[1]))
        return {name: found[name] for name in ("fpc_voiced", "f0_rmse_cents")}

    def sung(self, recordings, peak: float) -> list:
        """(name, voice, audio, rate, result at the model's own loudness, semitones), heard at that peak."""
        import numpy as np

        made = []
        for name, audio, rate_hz in recordings:
            gain = np.float32(peak / np.abs(audio).max())
            for voice in self.voices:
                how = {"transpose": "auto", "normalise": False, "rms_mix_rate": 1.0}
                result, _ = self.engine.convert(audio * gain, rate_hz, voice, **how)
                made.append((name, voice, audio, rate_hz, result / gain, self.engine.transposed))
        return made

    def measured(self, sung, mix: float, melody: bool = False) -> dict:
        """Means, and the worst level, of all results after loudness follow."""
        import numpy as np

        from fastsvc.engine.level import LoudnessProfile

        rows = []
        for _, _, audio, rate_hz, result, semitones in sung:
            level, result = LoudnessProfile.of(audio, rate_hz, mix), result.copy()
            result = result if level is None else level.follow(result, rate_hz)
            row = loudness(result, audio, rate_hz)
            row |= self.melody(result, audio, rate_hz, semitones) if melody else {}
            row |= {"mos": self.mos(result, rate_hz)} if self.mos else {}
            rows.append(row)
        names = dict.fromkeys(name for row in rows for name in row)
        found = {name: float(np.mean([row[name] for row in rows if name in row])) for name in names}
        worst = max((row["level_db"] for row in rows), key=abs)
        rests = [row["rest_db"] for row in rows if "rest_db" in row]
        found |= {"worst_level_db": worst, "loudest_rest_db": max(rests, default=float("nan"))}
        return {name: round(value, 3) for name, value in found.items()}

    def situations(self, audio, rate_hz: int, voice: str, mix: float) -> dict:
        """The steps of softer verses, a click in a quiet take, a silent second, a recording at full scale: in dB."""
        import numpy as np

        def convert(given):
            given = given.astype(np.float32)
            return self.engine.convert(given, rate_hz, voice, transpose="auto", rms_mix_rate=mix)[0]

        def level(one) -> float:
            return decibel(np.mean(np.square(one, dtype=np.float64)))

        found, size = {}, len(audio)
        for step in (24, 30):
            made = convert(np.concatenate([audio, audio * 10 ** (-step / 20), np.zeros(rate_hz), audio]))
            found[f"step_{step}_db"] = level(made[:size]) - level(made[size : 2 * size])
            rest = made[2 * size + rate_hz // 20 : 2 * size + rate_hz - rate_hz // 20]
            found["silent_rest_dbfs"] = level(rest)
        quiet = 0.03 * audio / np.abs(audio).max()
        clicked, away = quiet.copy(), np.ones(size, bool)
        clicked[size // 3] = 1.0
        away[size // 3 - rate_hz // 20 : size // 3 + rate_hz // 20] = False
        found["click_db"] = level(convert(clicked)[away]) - level(convert(quiet)[away])
        full = audio / np.abs(audio).max()
        found["full_scale_level_db"] = level(convert(full)) - level(full)
        return {name: round(value, 2) for name, value in found.items()}


def main() -> None:
    parser = program.parser(__doc__)
    parser.add_argument("model", nargs="?", type=program.existing, default=ROOT / "fastsvc" / "demo" / "choir.fsvc")
    parser.add_argument("--recordings", type=program.existing, default=ROOT / "examples" / "recordings")
    parser.add_argument("--voices", default="slt,kal,bruno")
    parser.add_argument("--mos", type=program.existing, metavar="FOLDER", help="where DistillMOS is installed")
    parser.add_argument("--json", type=program.result, metavar="FILE")
    options = parser.parse_args()
    from fastsvc.audio import io
    from fastsvc.engine import Engine, level
    from fastsvc.evaluation import machine, recordings_table

    bench = Bench(Engine.open(options.model, "cpu"), options.voices.split(","), judge(options.mos))
    paths = recordings_table.recordings(options.recordings)
    recordings = [(path.name, audio[0], rate_hz) for path in paths for audio, rate_hz in [io.read(path, mono=True)]]
    head = machine.describe("cpu") | {"command": "python -m bench.level " + " ".join(sys.argv[1:])}
    result = head | {"recordings": [name for name, _, _ in recordings], "voices": bench.voices}

    def keep(what: str, name, found: dict) -> None:
        result.setdefault(what, {})[str(name)] = found
        print(what, name, found, flush=True)
        if options.json:
            files.write_json(options.json, result)

    if bench.mos:
        judged = [bench.mos(audio, rate_hz) for _, audio, rate_hz in recordings]
        keep("recordings_themselves", "mos", round(sum(judged) / len(judged), 3))
    long_enough = [one for one in recordings if len(one[1]) > 3 * one[2]]
    for name, audio, rate_hz in sorted(long_enough, key=lambda one: len(one[1]) / one[2])[:1]:
        for mix in (1.0, 0.0):
            keep("situations", f"{name}, mix {mix:g}", bench.situations(audio, rate_hz, bench.voices[0], mix))
    for peak in PEAKS:
        sung = bench.sung(recordings, peak)
        if peak == PEAKS[0]:
            for mix in MIXES:
                keep("mixes", mix, bench.measured(sung, mix, melody=True))
            usual = sung
        else:
            keep("input_peaks_own_loudness", peak, bench.measured(sung, 1.0, melody=True))
    for level.SLOW_S in WINDOWS_S:
        keep("windows_s", level.SLOW_S, bench.measured(usual, 0.0))


if __name__ == "__main__":
    program.start(main)
