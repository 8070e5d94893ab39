"""The choir's words: common English ones, and random ones that could be English.

The pronunciations were written by hand (General American, schwa as "ah"); "." parts syllables.
"""

from __future__ import annotations

import numpy as np

Syllable = tuple[str, ...]

_LEXICON = """
front f r ah n t|center s eh n . t er|left l eh f t|right r ay t|rear r ih r|side s ay d|noise n oy z|test t eh s t
one w ah n|two t uw|three th r iy|four f ao r|five f ay v|six s ih k s|seven s eh . v ah n|eight ey t|nine n ay n
ten t eh n|eleven ih . l eh . v ah n|twelve t w eh l v|zero z ih . r ow|hello hh ah . l ow|yes y eh s|no n ow
thing th ih ng|this dh ih s|that dh ae t|these dh iy z|those dh ow z|there dh eh r|they dh ey|with w ih dh|and ae n d
the dh ah|a ah|of ah v|to t uw|in ih n|is ih z|was w aa z|you y uw|your y ao r|for f ao r|on aa n|are aa r|as ae z
have hh ae v|from f r ah m|had hh ae d|his hh ih z|her hh er|what w ah t|when w eh n|where w eh r|which w ih ch
who hh uw|why w ay|how hh aw|she sh iy|he hh iy|we w iy|me m iy|my m ay|were w er|would w uh d|could k uh d
should sh uh d|good g uh d|look l uh k|book b uh k|put p uh t|putting p uh . t ih ng|music m y uw . z ih k|voice v oy s
boy b oy|joy jh oy|choice ch oy s|enjoy eh n . jh oy|sing s ih ng|song s ao ng|singer s ih ng . er|long l ao ng
house hh aw s|out aw t|now n aw|down d aw n|sound s aw n d|around er . aw n d|mouth m aw th|about ah . b aw t
light l ay t|night n ay t|time t ay m|life l ay f|mind m ay n d|sky s k ay|fire f ay . er|I ay|I'm ay m|eye ay
day d ey|say s ey|way w ey|again ah . g eh n|great g r ey t|place p l ey s|make m ey k|take t ey k|face f ey s
measure m eh . zh er|pleasure p l eh . zh er|vision v ih . zh ah n|usual y uw . zh uw . ah l
decision d ih . s ih . zh ah n
treasure t r eh . zh er|beige b ey zh|garage g er . aa zh|church ch er ch|each iy ch|teach t iy ch|watch w aa ch
just jh ah s t|judge jh ah jh|age ey jh|change ch ey n jh|large l aa r jh|other ah . dh er|mother m ah . dh er
father f aa . dh er|brother b r ah . dh er|together t ah . g eh . dh er|breathe b r iy dh|think th ih ng k
thank th ae ng k
nothing n ah . th ih ng|earth er th|both b ow th|path p ae th|world w er l d|word w er d|work w er k|girl g er l
first f er s t|water w ao . t er|never n eh . v er|over ow . v er|river r ih . v er|summer s ah . m er|love l ah v
come k ah m|some s ah m|sun s ah n|up ah p|under ah n . d er|home hh ow m|go g ow|alone ah . l ow n|open ow . p ah n
low l ow|slow s l ow|old ow l d|hope hh ow p|moon m uw n|blue b l uw|true t r uw|through th r uw|new n uw|soon s uw n
heart hh aa r t|star s t aa r|far f aa r|stop s t aa p|top t aa p|not n aa t|all ao l|call k ao l|walk w ao k
dog d ao g|lost l ao s t|more m ao r|door d ao r|before b ih . f ao r|bed b eh d|red r eh d|head hh eh d|end eh n d
friend f r eh n d|step s t eh p|next n eh k s t|best b eh s t|air eh r|cat k ae t|back b ae k|hand hh ae n d
happy hh ae . p iy|man m ae n|land l ae n d|stand s t ae n d|black b l ae k|see s iy|green g r iy n|dream d r iy m
sleep s l iy p|free f r iy|sea s iy|he's hh iy z|please p l iy z|year y ih r|little l ih . t ah l|big b ih g|give g ih v
if ih f|spring s p r ih ng|winter w ih n . t er|wish w ih sh|fish f ih sh|ship sh ih p|shine sh ay n|wash w aa sh
speaker s p iy . k er|channel ch ae . n ah l|audio ao . d iy . ow|quiet k w ay . ah t|question k w eh s . ch ah n
yellow y eh . l ow|young y ah ng|beyond b iy . aa n d|away ah . w ey|always ao l . w ey z|want w aa n t|very v eh . r iy
ever eh . v er|every eh . v r iy|visit v ih . z ih t|zoo z uw|busy b ih . z iy|rose r ow z|goes g ow z|pick p ih k
paper p ey . p er|people p iy . p ah l|baby b ey . b iy|table t ey . b ah l|ghost g ow s t|egg eh g|bag b ae g
foot f uh t
"""


def _parse(text: str) -> list[tuple[Syllable, ...]]:
    entries = [entry.split(maxsplit=1)[1] for line in text.split("\n") for entry in line.split("|") if entry.strip()]
    return [tuple(tuple(part.split()) for part in entry.split(" . ")) for entry in entries]


WORDS: list[tuple[Syllable, ...]] = _parse(_LEXICON)

_ONSETS = (
    "p b t d k g f v th dh s z sh ch jh m n l r w y hh",  # the likeliest: single consonants, each as often
    "pl pr bl br tr dr kl kr gl gr fl fr thr sl sm sn sp st sk sw tw kw shr spr str skr spl",
)
_CLUSTERS = {"thr": "th r", "shr": "sh r"}
_CODAS = (
    "p b t d k g f v th dh s z sh ch jh m n ng l r zh",
    "n+t n+d s+t t+s k+s m+p ng+k l+d l+t l+k f+t p+s k+t n+s n+z d+z s+k r+t r+d r+n r+k l+z v+z m+z",
)
_NUCLEI = "aa ae ah ah ao aw ay eh er ey ih ih iy ow oy uh uw"
_SHORT = {"ae", "ah", "eh", "ih", "ao"}  # vowels before ng
_BEFORE_R = {"aa", "ao", "eh", "ih"}


def _onset(rng: np.random.Generator) -> list[str]:
    choice = rng.random()
    if choice < 0.12:
        return []
    singles, clusters = (group.split() for group in _ONSETS)
    if choice < 0.80:
        return [str(rng.choice(singles))]
    cluster = str(rng.choice(clusters))
    return _CLUSTERS.get(cluster, " ".join(cluster)).split()


def _coda(rng: np.random.Generator, nucleus: str) -> list[str]:
    choice = rng.random()
    if choice < 0.40:
        return []
    coda = str(rng.choice(_CODAS[0 if choice < 0.85 else 1].split())).split("+")
    if (coda[0] == "ng" and nucleus not in _SHORT) or (coda[0] == "r" and nucleus not in _BEFORE_R):
        return ["n", *coda[1:]] if coda[0] == "ng" else coda[1:]
    return coda


def random_word(rng: np.random.Generator) -> tuple[Syllable, ...]:
    """One to three syllables after English phonotactics."""
    syllables = []
    for _ in range(int(rng.choice([1, 1, 2, 2, 3]))):
        nucleus = str(rng.choice(_NUCLEI.split()))
        syllables.append((*_onset(rng), nucleus, *_coda(rng, nucleus)))
    return tuple(syllables)


def word(rng: np.random.Generator) -> tuple[Syllable, ...]:
    """A common word or an invented one, each about as often."""
    if rng.random() < 0.5:
        return WORDS[int(rng.integers(len(WORDS)))]
    return random_word(rng)
