"""The IPA symbols of the phone recogniser hama, as phones of the choir.

One set of phones serves songs and speech: the 39 of the CMU dictionary and the pause. Sounds that English lacks go to
the nearest phone of that set; length, tone and other marks go to none.
"""

from __future__ import annotations

from fastsvc.errors import ConfigError

# ours: theirs
_ALIKE = """aa: a ä à ã å ɑ ɒ; ae: æ; ah: ə ʌ ɐ ɘ ɤ ᵊ; ao: ɔ; aw: aʊ; ay: aɪ; eh: e ɛ ẽ; er: ɚ ɝ ɜ ø œ; ey: eɪ;
ih: ɪ ɨ ʏ; iy: i ì ĩ ǐ; ow: o oʊ õ; oy: ɔɪ; uh: ʊ ɵ; uw: u ũ ʉ ɯ y; w: w ɰ ɥ; y: j ʝ; r: r ɹ ɻ ɽ ɾ ʀ ʁ;
l: l ɫ ɮ ʎ; m: m ɱ; n: n ñ ɲ; ng: ŋ ɴ; f: f ɸ; v: v ʋ β ᵝ; th: θ; dh: ð; s: s s͈; z: z ẑ; sh: ʃ ɕ ʂ; zh: ʒ ʑ ʐ;
hh: h ɦ ħ x χ ç; p: p pʰ p͈; t: t tʰ t͈ ʈ; k: k kʰ k͈ c; b: b ɓ ʙ; d: d ɖ ɗ; g: g ɡ ɣ ɟ; ch: t͡ʃ t͡ɕ t͡ɕʰ t͡ɕ͈;
jh: d͡ʒ"""
_TWO = """eə: eh ah; ɪə: ih ah; ɯi: uw iy; ja: y aa; je: y eh; jo: y ow; ju: y uw; jʌ: y ah; wa: w aa; we: w eh;
wi: w iy; wʌ: w ah"""
# Marks that stand alone, tones, the glottal stop, Chinese particles, punctuation, and the decoder's own tokens.
_NOTHING = """ʔ ʰ ʱ ʲ ʷ ˀ ː ˑ ˕ ˞ ˤ ˥ ˦ ˧ ˨ ˩ ~ ² ³ ¹ ⁰ ⁴ ⁵ ⁻ ⁽ ⁾ ‿ ꜔ 一 不 % , <pad> <sos> <eos> <unk> <wb> <blank>
\u0303 \u0306 \u0308 \u030a \u030c \u030d \u031a \u031d \u031e \u031f \u0320 \u0325 \u0329 \u032a \u032c \u032f
\u0330 \u033a \u033b \u0348 \u034d \u035c \u0361"""


def _pairs(table: str):
    return ([side.split() for side in part.split(":")] for part in table.split(";"))


SYMBOLS: dict[str, tuple[str, ...]] = (
    {theirs: (ours[0],) for ours, group in _pairs(_ALIKE) for theirs in group}
    | {theirs[0]: tuple(ours) for theirs, ours in _pairs(_TWO)}
    | dict.fromkeys([*_NOTHING.split(), " "], ())
)


def phones(symbol: str) -> tuple[str, ...]:
    """No phone, one or two. Raises ConfigError for a symbol without a place."""
    try:
        return SYMBOLS[symbol]
    except KeyError:
        what = f"the phone recogniser says {symbol!r}, which is not a phone known here"
        raise ConfigError(what, "install the recogniser's tried version: hama 1.7.0") from None
