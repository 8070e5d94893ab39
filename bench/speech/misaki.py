"""The phonemes of misaki, which Kokoro and hibari speak, as phones of the choir with the times of a synthesis.

Capital letters are diphthongs, T is a tapped t. A vowel with an r after it that misaki writes as one sound (ɜɹ, əɹ)
is the dictionary's er.
"""

from __future__ import annotations

from collections.abc import Iterable

# ours: theirs
_ALIKE = """aa: ɑ ɒ; ae: æ a; ah: ə ʌ ᵊ ɐ ᵻ; ao: ɔ; aw: W; ay: I; eh: ɛ; er: ɜ; ey: A; ih: ɪ; iy: i; ow: O Q; oy: Y;
uh: ʊ; uw: u; b: b; ch: ʧ; d: d; dh: ð; f: f; g: ɡ; hh: h; jh: ʤ; k: k; l: l; m: m; n: n; ng: ŋ; p: p; r: ɹ; s: s;
sh: ʃ; t: t T ɾ ʔ; th: θ; v: v; w: w; y: j; z: z; zh: ʒ"""
PHONES = {
    theirs: ours.strip() for ours, group in (part.split(":") for part in _ALIKE.split(";")) for theirs in group.split()
}
STRESS, LENGTH = "ˈˌ", "ː"
ER = "ɜə"  # with ɹ after them
PAUSE_S = 0.09  # shorter spaces are shared by their neighbours


def spans(symbols: Iterable[str], frames: Iterable[float], frame_s: float) -> list[tuple[str, float, float]]:
    """[(phone, start, end in seconds)] of symbols and of how many frames each lasts.

    Other symbols (spaces, punctuation, the pads "_" at both ends) are pauses, or nothing where they are short.
    """
    marks, now = [], 0.0  # [phone or "" (a gap), start, end, symbol]
    stress_s = 0.0  # a stress mark stands before its vowel and has frames of its own
    for symbol, count in zip(symbols, map(float, frames)):
        end = now + count * frame_s
        phone = PHONES.get(symbol, "")
        if symbol in STRESS:
            stress_s += end - now
        elif symbol == LENGTH and marks:
            marks[-1][2] = end
        elif phone == "r" and marks and marks[-1][3] in tuple(ER) and not stress_s:
            marks[-1][0], marks[-1][2], marks[-1][3] = "er", end, ""
        elif not phone and marks and not marks[-1][0]:
            marks[-1][2] = end
        else:
            marks.append([phone, now - stress_s, end, symbol])
            stress_s = 0.0
        now = end
    return [(phone, start, end) for phone, start, end in _shared(marks)]


def _shared(marks: list[list]) -> list[list]:
    """Long gaps as pauses; the others halved between their neighbours."""
    found: list[list] = []
    for index, (phone, start, end, _) in enumerate(marks):
        if phone:
            found.append([phone, start, end])
        elif index in (0, len(marks) - 1) or end - start >= PAUSE_S:
            found.append(["pau", start, end])
        else:
            middle = (start + end) / 2
            found[-1][2] = marks[index + 1][1] = middle
    return found
