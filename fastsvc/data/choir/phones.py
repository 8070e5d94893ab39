"""The phones of the choir and how an average adult tract makes them.

Symbols are the 39 of the CMU pronouncing dictionary in lower case, and "pau". Formants are in Hz for a
tract of 17.5 cm; vowels after Peterson and Barney (1952), consonants after the tables of Klatt (1980),
rounded and adapted by eye. A diphthong has two targets.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Phone:
    """Targets of one phone. Levels are in dB below an open vowel; None means that the source is silent."""

    symbol: str
    kind: str  # vowel, glide, nasal, fricative, affricate, stop, aspirate, pause
    voiced: bool
    formants_hz: tuple[tuple[float, float, float], ...]
    seconds: float  # usual length in singing; speech takes about 0.7 of it
    voice_db: float | None = 0.0
    noise_db: float | None = None
    noise: str = ""  # key of NOISE_PEAKS
    follow: float = 0.0  # how far F2 and F3 lean towards the neighbouring vowels (a locus equation's slope)
    zero_hz: float = 0.0  # of nasals and of l; 0: none


# Noise of a constriction: (centre Hz, width in octaves, level dB) of bumps that add up.
NOISE_PEAKS = {
    "f": ((1500, 1.6, -14), (7500, 1.2, -6), (10500, 0.7, -8)),
    "th": ((1800, 1.4, -16), (6800, 0.8, -4), (9500, 0.6, -6)),
    "s": ((5200, 0.28, -6), (7200, 0.40, 0), (9800, 0.35, -3)),
    "sh": ((2700, 0.28, 0), (4200, 0.45, -3), (6800, 0.6, -9)),
    "p": ((700, 1.2, 0), (2500, 1.6, -10)),
    "t": ((3900, 0.35, 0), (6200, 0.7, -3)),
    "kfront": ((2500, 0.25, 0), (4800, 0.5, -10)),
    "kback": ((1350, 0.25, 0), (3800, 0.5, -14)),
}
NOISES = tuple(NOISE_PEAKS)


def _vowel(symbol: str, *targets: tuple[float, float, float], level: float = 0.0) -> Phone:
    return Phone(symbol, "vowel", True, targets, 0.20 if len(targets) > 1 else 0.16, voice_db=level)


def _fricative(symbol, voiced, formants, noise, noise_db, seconds, follow):
    return Phone(symbol, "fricative", voiced, (formants,), seconds, -13.0 if voiced else None, noise_db, noise, follow)


def _stop(symbol, voiced, formants, noise, seconds, follow):
    return Phone(symbol, "stop", voiced, (formants,), seconds, -18.0 if voiced else None, -9.0, noise, follow)


_LABIAL, _DENTAL, _ALVEOLAR = (300, 900, 2200), (320, 1350, 2500), (320, 1750, 2600)
_PALATAL, _VELAR = (300, 1950, 2600), (300, 1750, 2250)

TABLE: dict[str, Phone] = {
    phone.symbol: phone
    for phone in (
        _vowel("aa", (730, 1090, 2440)),
        _vowel("ae", (670, 1720, 2410)),
        _vowel("ah", (630, 1200, 2400), level=-0.5),
        _vowel("ao", (570, 840, 2410)),
        _vowel("aw", (720, 1250, 2450), (430, 950, 2300)),
        _vowel("ay", (710, 1150, 2450), (380, 2050, 2600)),
        _vowel("eh", (530, 1840, 2480), level=-0.5),
        _vowel("er", (480, 1330, 1690), level=-1.5),
        _vowel("ey", (480, 1950, 2520), (330, 2220, 2850), level=-1.0),
        _vowel("ih", (400, 1980, 2550), level=-1.5),
        _vowel("iy", (280, 2280, 3000), level=-3.0),
        _vowel("ow", (530, 950, 2350), (380, 820, 2250), level=-0.5),
        _vowel("oy", (540, 850, 2400), (370, 2000, 2550)),
        _vowel("uh", (440, 1030, 2240), level=-1.5),
        _vowel("uw", (310, 880, 2240), level=-3.0),
        Phone("w", "glide", True, ((290, 640, 2150),), 0.08, -6.0, follow=0.10),
        Phone("y", "glide", True, ((265, 2150, 3000),), 0.07, -6.0, follow=0.10),
        Phone("r", "glide", True, ((320, 1080, 1450),), 0.08, -5.0, follow=0.15),
        Phone("l", "glide", True, ((330, 1080, 2800),), 0.08, -6.0, follow=0.20, zero_hz=1900),
        Phone("m", "nasal", True, ((260, 1050, 2150),), 0.09, -8.0, follow=0.25, zero_hz=800),
        Phone("n", "nasal", True, ((270, 1500, 2450),), 0.08, -8.0, follow=0.25, zero_hz=1550),
        Phone("ng", "nasal", True, ((270, 1950, 2500),), 0.10, -8.0, follow=0.40, zero_hz=3000),
        _fricative("f", False, _LABIAL, "f", -20.0, 0.11, 0.5),
        _fricative("v", True, _LABIAL, "f", -27.0, 0.08, 0.5),
        _fricative("th", False, _DENTAL, "th", -20.0, 0.11, 0.4),
        _fricative("dh", True, _DENTAL, "th", -29.0, 0.06, 0.4),
        _fricative("s", False, _ALVEOLAR, "s", -9.0, 0.13, 0.3),
        _fricative("z", True, _ALVEOLAR, "s", -15.0, 0.10, 0.3),
        _fricative("sh", False, _PALATAL, "sh", -7.0, 0.13, 0.2),
        _fricative("zh", True, _PALATAL, "sh", -14.0, 0.10, 0.2),
        Phone("hh", "aspirate", False, ((500, 1500, 2500),), 0.08, None, follow=1.0),
        _stop("p", False, _LABIAL, "p", 0.11, 0.5),
        _stop("t", False, _ALVEOLAR, "t", 0.10, 0.3),
        _stop("k", False, _VELAR, "k", 0.11, 0.7),
        _stop("b", True, _LABIAL, "p", 0.08, 0.5),
        _stop("d", True, _ALVEOLAR, "t", 0.08, 0.3),
        _stop("g", True, _VELAR, "k", 0.08, 0.7),
        Phone("ch", "affricate", False, (_PALATAL,), 0.14, None, -8.0, "sh", 0.2),
        Phone("jh", "affricate", True, (_PALATAL,), 0.11, -18.0, -13.0, "sh", 0.2),
        Phone("pau", "pause", False, ((500, 1500, 2500),), 0.30, None, follow=1.0),
    )
}
PHONES: tuple[str, ...] = tuple(sorted(TABLE))
VOWELS: tuple[str, ...] = tuple(symbol for symbol in PHONES if TABLE[symbol].kind == "vowel")
