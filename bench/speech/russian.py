"""festvox-ru's phones (msu_ru) as those of the choir, and its label files as transcripts.

Soft consonants (doubled letters) become the hard ones: English knows no difference. After the table of features in the
package's festvox/msu_ru_nsh_phoneset.scm, and L. M. Zakharov's "Acoustic variation of sounds in Russian speech".
"""

from __future__ import annotations

from pathlib import Path

# ours: theirs. Vowels: doubled letters are stressed; "ae" and "ay" are schwas after hard and soft consonants.
_ALIKE = """aa: aa; ah: a ae; ao: oo; eh: e ee; ih: i y yy ay; iy: ii; uw: uu; uh: u ur;
p: p pp; b: b bb; t: t tt; d: d dd; k: k kk; g: g gg; f: f ff; v: v vv; s: s ss; z: z zz; sh: sh sch; zh: zh;
hh: h hh; ch: ch; m: m mm; n: n nn; l: l ll; r: r rr; y: j; pau: pau"""
PHONES: dict[str, tuple[str, ...]] = {
    theirs: (ours.strip(),)
    for ours, group in (part.split(":") for part in _ALIKE.split(";"))
    for theirs in group.split()
} | {"c": ("t", "s")}


def read(path: Path) -> list[tuple[str, float, float]]:
    """A label file of EST ("end colour phone" after a line "#") -> [(phone of the choir, start, end in seconds)].

    A phone that is two of ours is halved. Raises ValueError for an unknown phone, or times that run backwards.
    """
    _, _, body = path.read_text(encoding="ascii").partition("#\n")
    found, start = [], 0.0
    for line in body.splitlines():
        end, _, name = line.split()
        if name not in PHONES:
            raise ValueError(f"{path}: unknown phone {name!r}")
        ours, length = PHONES[name], float(end) - start
        if length < 0:
            raise ValueError(f"{path}: {name} ends before it starts")
        for index, phone in enumerate(ours):
            found.append((phone, start + index * length / len(ours), start + (index + 1) * length / len(ours)))
        start = float(end)
    return found
