"""Make fastsvc/demo/phrases again: what a new voice says and sings in its training besides its own songs.

    python -m bench.speech.phrases work/phrases --spoken work/speech/speakers/kokoro --sung work/people/singers

--spoken: folder of English by many synthetic throats (`make speech-synthetic`), of which three minutes are taken.
--sung: folder of a choir and nothing else (`fastsvc choir --dry`); ten seconds are taken of every third singer.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench import program

SPOKEN_S, SUNG_S, FADE_S = 180.0, 10.0, 0.01
EVERY = 3  # singers
QUALITY = 0.8  # of Vorbis, from 0 (best) to 1


def spoken(folder: Path, out: Path) -> int:
    """Whole recordings until they are long enough → how many."""
    import soundfile

    seconds, count = 0.0, 0
    for path in sorted(folder.rglob("*.wav")):
        if seconds >= SPOKEN_S:
            break
        audio, rate_hz = soundfile.read(path)
        _write(out / f"{count:02d}.ogg", audio, rate_hz)
        seconds, count = seconds + len(audio) / rate_hz, count + 1
    return count


def sung(folder: Path, out: Path) -> int:
    """From a third of each singer's middle song → how many singers."""
    import soundfile

    singers = sorted(path for path in folder.iterdir() if any(path.glob("*.wav")))[::EVERY]
    for singer in singers:
        songs = sorted(singer.glob("*.wav"))
        audio, rate_hz = soundfile.read(songs[len(songs) // 2])
        first, fade = len(audio) // 3, int(FADE_S * rate_hz)
        part = audio[first : first + int(SUNG_S * rate_hz)]
        part[:fade] *= np.linspace(0, 1, fade)
        part[-fade:] *= np.linspace(1, 0, fade)
        _write(out / f"{singer.name}.ogg", part, rate_hz)
    return len(singers)


def _write(path: Path, audio: np.ndarray, rate_hz: int) -> None:
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, rate_hz, format="OGG", subtype="VORBIS", compression_level=QUALITY)


def main() -> None:
    parser = program.parser(__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--spoken", type=program.existing, required=True)
    parser.add_argument("--sung", type=program.existing, required=True)
    options = parser.parse_args()
    if options.out.exists():
        parser.error(f"{options.out} exists: choose another folder")
    print(f"{spoken(options.spoken, options.out / 'spoken')} spoken, {sung(options.sung, options.out / 'sung')} sung")


if __name__ == "__main__":
    program.start(main)
