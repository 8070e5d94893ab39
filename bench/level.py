"""Is a result as loud as its recording, over all, over time and in rests? And what does loudness matching cost?

python -m bench.level [MODEL.fsvc] [--json bench/results/level.json] [--voices slt,kal,bruno] [--mos]

All recordings of a folder are converted to each voice, then brought to the recording's loudness in several ways: mixes
of the model's own loudness, lengths of the window, peaks of the model's input. --mos adds a judge of quality at one
loudness, DistillMOS (docs/ears.md: make ears).
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

from pathlib import Path

from bench import program
from fastsvc import files
from fastsvc.artifact import bundled

ROOT = Path(__file__).resolve().parent.parent
MIXES = (1.0, 0.25, 0.0)
WINDOWS_S = (0.1, 0.4)
PEAKS = (0.95, 0.5, 0.3)
FRAME = 2  # blocks of 10 ms
ACTIVE_DB, REST_DB = 40, 45  # of frames, below the loudest


def decibel(power: float) -> float:
    import math

    return 10 * math.log10(max(float(power), 1e-14))


def loudness(audio, source, rate_hz: int) -> dict:
    """A result against its recording, both [samples]: level, slope and correlation of frames in dB, and rests."""
    import numpy as np

    from fastsvc.audio import envelope

    blocks = [envelope.powers(signal, rate_hz) for signal in (audio, source)]
    output_power, source_power = (b[: len(b) // FRAME * FRAME].reshape(-1, FRAME).mean(axis=1) for b in blocks)
    out_db, in_db = (10 * np.log10(power + 1e-14) for power in (output_power, source_power))
    active, in_rest = in_db > in_db.max() - ACTIVE_DB, in_db < in_db.max() - REST_DB
    figures = {
        "level_db": decibel(output_power.mean()) - decibel(source_power.mean()),
        "slope": np.polyfit(in_db[active], out_db[active], 1)[0],
        "correlation": np.corrcoef(in_db[active], out_db[active])[0, 1],
        "frame_off_db": np.abs(out_db - in_db)[active].mean(),
        "peak": np.abs(audio).max(),
    }
    if in_rest.sum() >= 5:
        figures["rest_db"] = decibel(output_power[in_rest].mean()) - decibel(source_power[in_rest].mean())
    return {name: float(value) for name, value in figures.items()}


class Bench:
    """One engine, its conversions, and their figures."""

    def __init__(self, engine, voices, mos):
        self.engine, self.voices, self.mos = engine, voices, mos

    def melody(self, audio, source, rate_hz: int, semitones: float) -> dict:
        from fastsvc.audio.resample import resample
        from fastsvc.evaluation import pitch
        from fastsvc.evaluation.choir_table import track

        (f0_hz, voiced), expected = (
            track(resample(signal, rate_hz, self.engine.rate_hz), self.engine.config) for signal in (audio, source)
        )
        figures = pitch.compare((f0_hz, voiced), (expected[0] * 2 ** (semitones / 12), expected[1]))
        return {name: figures[name] for name in ("fpc_voiced", "f0_rmse_cents")}

    def convert_all(self, recordings, peak: float) -> list:
        """(name, voice, audio, rate, result at the model's own loudness, semitones), for inputs of that peak."""
        import numpy as np

        results = []
        for name, audio, rate_hz in recordings:
            gain = np.float32(peak / np.abs(audio).max())
            for voice in self.voices:
                options = {"transpose": "auto", "normalise": False, "rms_mix_rate": 1.0}
                result, _ = self.engine.convert(audio * gain, rate_hz, voice, **options)
                results.append((name, voice, audio, rate_hz, result / gain, self.engine.transposed))
        return results

    def measured(self, results, mix: float, melody: bool = False) -> dict:
        """Means over all results, and the worst level, after loudness matching."""
        import numpy as np

        from fastsvc.engine.level import LoudnessProfile

        rows = []
        for _, _, audio, rate_hz, result, semitones in results:
            level, result = LoudnessProfile.of(audio, rate_hz, mix), result.copy()
            result = result if level is None else level.follow(result, rate_hz)
            row = loudness(result, audio, rate_hz)
            row |= self.melody(result, audio, rate_hz, semitones) if melody else {}
            row |= {"mos": self.mos(result, rate_hz)} if self.mos else {}
            rows.append(row)
        names = dict.fromkeys(name for row in rows for name in row)
        means = {name: float(np.mean([row[name] for row in rows if name in row])) for name in names}
        worst = max((row["level_db"] for row in rows), key=abs)
        rests = [row["rest_db"] for row in rows if "rest_db" in row]
        means |= {"worst_level_db": worst, "loudest_rest_db": max(rests, default=float("nan"))}
        return {name: round(value, 3) for name, value in means.items()}

    def situations(self, audio, rate_hz: int, voice: str, mix: float) -> dict:
        """Levels in dB of softer verses, a click in a quiet take, a silent second, a recording at full scale."""
        import numpy as np

        def convert(signal):
            signal = signal.astype(np.float32)
            return self.engine.convert(signal, rate_hz, voice, transpose="auto", rms_mix_rate=mix)[0]

        def level(signal) -> float:
            return decibel(np.mean(np.square(signal, dtype=np.float64)))

        figures, size = {}, len(audio)
        for step in (24, 30):
            output = convert(np.concatenate([audio, audio * 10 ** (-step / 20), np.zeros(rate_hz), audio]))
            figures[f"step_{step}_db"] = level(output[:size]) - level(output[size : 2 * size])
            silence = output[2 * size + rate_hz // 20 : 2 * size + rate_hz - rate_hz // 20]
            figures["silent_rest_dbfs"] = level(silence)
        quiet = 0.03 * audio / np.abs(audio).max()
        clicked, away = quiet.copy(), np.ones(size, bool)
        clicked[size // 3] = 1.0
        away[size // 3 - rate_hz // 20 : size // 3 + rate_hz // 20] = False
        figures["click_db"] = level(convert(clicked)[away]) - level(convert(quiet)[away])
        full = audio / np.abs(audio).max()
        figures["full_scale_level_db"] = level(convert(full)) - level(full)
        return {name: round(value, 2) for name, value in figures.items()}


def main() -> None:
    parser = program.parser(__doc__)
    parser.add_argument("model", nargs="?", type=program.existing, default=bundled.VOICES)
    parser.add_argument("--recordings", type=program.existing, default=ROOT / "examples" / "recordings")
    parser.add_argument("--voices", default="slt,kal,bruno")
    parser.add_argument("--mos", action="store_true", help="DistillMOS of the results (make ears installs it)")
    parser.add_argument("--json", type=program.result, metavar="FILE")
    options = parser.parse_args()
    from fastsvc.audio import io
    from fastsvc.engine import Engine, level
    from fastsvc.evaluation import machine, recordings_table
    from fastsvc.evaluation.ears import opinion

    bench = Bench(
        Engine.open(options.model, "cpu", "built"), options.voices.split(","), opinion.mos if options.mos else None
    )
    paths = recordings_table.recordings(options.recordings)
    recordings = [(path.name, audio[0], rate_hz) for path in paths for audio, rate_hz in [io.read(path, mono=True)]]
    head = machine.describe("cpu") | {"command": "python -m bench.level " + " ".join(sys.argv[1:])}
    result = head | {"recordings": [name for name, _, _ in recordings], "voices": bench.voices}

    def keep(section: str, name, figures: dict) -> None:
        result.setdefault(section, {})[str(name)] = figures
        print(section, name, figures, flush=True)
        if options.json:
            files.write_json(options.json, result)

    if bench.mos:
        judged = [bench.mos(audio, rate_hz) for _, audio, rate_hz in recordings]
        keep("recordings_themselves", "mos", round(sum(judged) / len(judged), 3))
    long_enough = [recording for recording in recordings if len(recording[1]) > 3 * recording[2]]
    for name, audio, rate_hz in sorted(long_enough, key=lambda recording: len(recording[1]) / recording[2])[:1]:
        for mix in (1.0, 0.0):
            keep("situations", f"{name}, mix {mix:g}", bench.situations(audio, rate_hz, bench.voices[0], mix))
    for peak in PEAKS:
        results = bench.convert_all(recordings, peak)
        if peak == PEAKS[0]:
            for mix in MIXES:
                keep("mixes", mix, bench.measured(results, mix, melody=True))
            usual = results
        else:
            keep("input_peaks_own_loudness", peak, bench.measured(results, 1.0, melody=True))
    for level.SLOW_S in WINDOWS_S:
        keep("windows_s", level.SLOW_S, bench.measured(usual, 0.0))


if __name__ == "__main__":
    program.start(main)
