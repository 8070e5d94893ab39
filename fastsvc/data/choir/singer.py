"""A singer: everything about a voice that does not change with the song."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace

import numpy as np

_NAMES = """
ada bruno clara dario elena fabio greta hugo irene jonas kira leon mira nino olga pavel quinn rocco stella tomas
uma viktor wanda xaver yara zeno alba boris celia dmitri edda felix gaia henrik ines jakob karin lukas maya nils
oona piet rosa samuel thea ugo vera willem xenia yuri zoe arno bianca cosmo dora emil flora gustav hanna ivo
"""
NAMES = tuple(_NAMES.split())  # high and low in turn


@dataclass(frozen=True)
class Tract:
    """Vocal tract and glottis of a source-filter singer."""

    length: float = 1.0  # vocal tract length relative to 17.5 cm; formants are divided by it
    formants: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0, 1.0)  # further factors of F1..F5
    vowel_spread: float = 0.03  # each vowel's own deviation (accent), drawn from ``seed``
    bandwidth: float = 1.0
    rd_soft: float = 1.1  # glottal shape (Fant 1995) at low and at high effort
    rd_firm: float = 0.5
    tilt_db: float = 0.0  # further slope of the source in dB an octave above 1 kHz
    breath_db: float = -30.0  # aspiration against the voiced source
    nasality: float = 0.0
    ring_db: float = 0.0  # gain of the singer's formant
    ring_hz: float = 3000.0
    shimmer: float = 0.02
    jitter: float = 0.003
    seed: int = 0


@dataclass(frozen=True)
class Style:
    """Habits of a performer: they go into the performance, not into the timbre."""

    tempo: float = 1.0  # factor of note lengths
    vibrato_hz: float = 5.5
    vibrato_cents: float = 50.0
    vibrato_onset_s: float = 0.2
    glide_s: float = 0.09
    overshoot: float = 0.08
    drift_cents: float = 10.0
    speech_semitones: float = -4.0  # where speech lies relative to song
    speech_tempo: float = 1.0


DRY_DB = -200.0  # of reverberation and noise: far below 16 bits


@dataclass(frozen=True)
class RoomAcoustics:
    """Room and microphone."""

    reverb_s: float = 0.2
    reverb_db: float = -22.0
    low_cut_hz: float = 60.0
    bands: tuple[tuple[float, float, float], ...] = ()  # (Hz, dB, width in octaves)
    noise_db: float = -75.0  # below full scale
    peak_db: float = -4.0


@dataclass(frozen=True)
class Singer:
    """A voice. ``kind`` is "source-filter", "flite" or "espeak"; ``voice`` names the program's voice."""

    name: str
    kind: str
    f0_hz: float  # natural median pitch; scores are sung around it
    voice: str = ""
    tract: Tract = field(default_factory=Tract)
    style: Style = field(default_factory=Style)
    room: RoomAcoustics = field(default_factory=RoomAcoustics)

    def to_dict(self) -> dict:
        """Plain data for choir.json."""
        return asdict(self)

    def dry(self) -> Singer:
        """The same singer without reverberation and noise; the microphone's response and level stay."""
        return replace(self, room=replace(self.room, reverb_db=DRY_DB, noise_db=DRY_DB))


def _style(rng: np.random.Generator) -> Style:
    return Style(
        tempo=rng.uniform(0.85, 1.15),
        vibrato_hz=rng.uniform(4.8, 6.5),
        vibrato_cents=rng.uniform(15.0, 90.0),
        vibrato_onset_s=rng.uniform(0.18, 0.32),
        glide_s=rng.uniform(0.06, 0.12),
        overshoot=rng.uniform(0.0, 0.16),
        drift_cents=rng.uniform(4.0, 18.0),
        speech_semitones=rng.uniform(-7.0, -1.0),
        speech_tempo=rng.uniform(0.8, 1.25),
    )


def _room(rng: np.random.Generator) -> RoomAcoustics:
    bands = tuple(
        (float(rng.uniform(low, high)), float(rng.uniform(-4.0, 4.0)), float(rng.uniform(0.6, 1.8)))
        for low, high in ((120, 400), (500, 1500), (1800, 4500), (5000, 10000))
    )
    return RoomAcoustics(
        reverb_s=rng.uniform(0.1, 0.45),
        reverb_db=rng.uniform(-34.0, -18.0),
        low_cut_hz=rng.uniform(40.0, 110.0),
        bands=bands,
        noise_db=rng.uniform(-88.0, -66.0),
        peak_db=rng.uniform(-6.0, -3.0),
    )


def source_filter_singer(index: int, seed: int) -> Singer:
    """The synthetic singer of that index: even ones are high voices, odd ones low."""
    rng = np.random.default_rng([seed, 202, index])
    high = index % 2 == 0
    # Long tracts mostly go with low voices, but not strictly: the two overlap.
    length = rng.uniform(0.80, 1.00) if high else rng.uniform(0.95, 1.22)
    firm = rng.uniform(0.36, 0.75)
    tract = Tract(
        length=length,
        formants=tuple(float(factor) for factor in 1.0 + rng.uniform(-0.06, 0.06, 5)),
        vowel_spread=rng.uniform(0.02, 0.05),
        bandwidth=rng.uniform(0.8, 1.4),
        rd_firm=firm,
        rd_soft=firm + rng.uniform(0.3, 0.9),
        tilt_db=rng.uniform(-1.0, 2.5),
        breath_db=rng.uniform(-44.0, -22.0),
        nasality=float(rng.uniform(0.0, 0.5) * (rng.random() < 0.5)),
        ring_db=float(rng.uniform(2.0, 11.0) * (rng.random() < 0.6)),
        ring_hz=rng.uniform(2700.0, 3300.0),
        shimmer=rng.uniform(0.005, 0.06),
        jitter=rng.uniform(0.0008, 0.004),
        seed=int(rng.integers(2**31)),
    )
    f0_hz = float(np.exp(rng.uniform(*np.log((190.0, 330.0) if high else (98.0, 168.0)))))
    name = NAMES[index % len(NAMES)] + (str(index // len(NAMES) + 1) if index >= len(NAMES) else "")
    return Singer(name, "source-filter", f0_hz, "", tract, _style(rng), _room(rng))


def voice_singer(name: str, kind: str, voice: str, f0_hz: float, seed: int, tag: int) -> Singer:
    """A singer made from a speech program's voice, with habits and a room of its own."""
    rng = np.random.default_rng([seed, 303, tag])
    return Singer(name, kind, f0_hz, voice, Tract(seed=int(rng.integers(2**31))), _style(rng), _room(rng))
