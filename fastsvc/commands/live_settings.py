"""What keys change while `fastsvc live` runs, and the line that shows it."""

from __future__ import annotations

import math

from fastsvc import arguments, screen

HELP = "keys: v V voice, + - transpose, m M mix, g G gain, space bypass, q end"
METER_DB, METER = -60.0, 12  # the lowest level of a meter, its length
GAIN_DB = (-60.0, 60.0)


class Settings:
    """``voices``: names in their order; ``shown``: the one that is used, or the mixture of the command line."""

    def __init__(self, voices, shown: str, transpose: float, mix: float, gain: float):
        self.voices, self.shown = tuple(voices), shown
        self.transpose, self.mix, self.gain_db, self.bypass = transpose, mix, 20 * math.log10(gain), False

    @classmethod
    def of(cls, stream, mix: float) -> Settings:
        table, request = stream.engine.table, stream.request
        return cls(table.names, table.name(request.speaker), float(request.transpose), mix, stream.gain)

    def press(self, key: str) -> dict | None:
        """The changes for Session.set that a key asks for; None where it asks for the end."""
        if key in ("q", "Q"):
            return None
        if key in ("v", "V") and len(self.voices) > 1:
            at = self.voices.index(self.shown) if self.shown in self.voices else -1 if key == "v" else 0
            self.shown = self.voices[(at + (1 if key == "v" else -1)) % len(self.voices)]
            return {"speaker": self.shown}
        if key in ("+", "=", "up", "-", "down"):
            low, high = arguments.SEMITONES
            self.transpose = min(high, max(low, self.transpose + (-1 if key in ("-", "down") else 1)))
            return {"transpose": self.transpose}
        if key in ("m", "M"):
            self.mix, self.bypass = min(1.0, max(0.0, round(self.mix + (0.1 if key == "M" else -0.1), 1))), False
            return {"mix": self.mix}
        if key in ("g", "G"):
            self.gain_db = min(GAIN_DB[1], max(GAIN_DB[0], round(self.gain_db) + (1 if key == "G" else -1)))
            return {"gain": 10 ** (self.gain_db / 20)}
        if key == " ":
            self.bypass = not self.bypass
            return {"mix": 0.0 if self.bypass else self.mix}
        return {}

    def line(self, session, width: int) -> str:
        """Levels since the last line, what was late, and the settings, in at most ``width`` characters."""
        chain = session.chain
        levels = f"in {meter(chain.peak_in)} out {meter(chain.peak_out)}"
        chain.peak_in = chain.peak_out = 0.0
        if session.card is None:
            levels = "no device"
        late = f"{session.counts.late} late {session.xruns} xruns"
        mix = "bypass" if self.bypass else f"mix {100 * self.mix:.0f} %"
        voice = f"{screen.shown(self.shown)} {self.transpose:+g}, {mix}, gain {self.gain_db:+.0f} dB"
        gate = "" if chain.gate.threshold_db is None else f" | gate {'open' if chain.gate.open else 'closed'}"
        times = f" | {chain.stream.latency.compute_ms[1]:.0f} of {chain.stream.latency.block_ms:.0f} ms"
        return f"{levels} | {late} | {voice}{gate}{times}"[:width].ljust(width)


def meter(peak: float) -> str:
    """A bar from -60 dB to full scale, and the level."""
    if peak <= 1e-6:
        return f"[{'':{METER}}]  -- dB"
    level_db = 20 * math.log10(peak)
    filled = round(METER * min(1.0, max(0.0, 1 - level_db / METER_DB)))
    return f"[{'#' * filled:{METER}}] {level_db:3.0f} dB"
