"""Fetch human speech from Debian's packages and lay it out for `fastsvc prepare`, one folder per speaker.

python -m bench.speech [PACKAGE...] [-o work/speech] [--spoken MINUTES] [--synthetic MINUTES] [--test]

OUT/speakers holds a folder per speaker. --spoken adds that many minutes of English by each voice of flite. --synthetic
adds that many by Kokoro, a new voice for every utterance (half as fast as it is long, one core), half of them by its
copy hibari, and a sixth by festival's ked. --test fetches the recordings that only tests may use, and lays out none of
them. Nothing of all this is part of fastsvc: docs/speech.md says whose it is.
"""

from __future__ import annotations

from pathlib import Path

from bench import program
from bench.speech import festival, fetch, neural, packages, speakers, spoken
from bench.speech.styles import Styles, voices


def minutes(folder: Path) -> float:
    """Of all recordings below a folder."""
    import soundfile

    files = [path for path in folder.rglob("*") if path.suffix in (".wav", ".ogg")]
    return sum(soundfile.info(path).duration for path in files) / 60


def table(folder: Path) -> list[str]:
    """A line for each speaker that is laid out."""
    return [f"{path.name:<20} {minutes(path):7.1f} min" for path in sorted(folder.iterdir()) if path.is_dir()]


def synthetic(out: Path, minutes: float) -> None:
    """The cheapest first."""
    styles = Styles(voices(out))  # the network's share first
    made = festival.speak(neural.Dictionary().words, out / "speakers", minutes / 6, out)
    print(f"festival: {made} recordings", flush=True)
    for voice, share in ((neural.Hibari(), 0.5), (neural.Kokoro(styles), 1.0)):
        print(f"{voice.name}: {neural.speak(voice, out / 'speakers', share * minutes)} recordings", flush=True)


def main() -> None:
    parser = program.parser(__doc__)
    name = program.one_of(*packages.PACKAGES)
    parser.add_argument("packages", nargs="*", type=name, metavar="PACKAGE", help=", ".join(packages.PACKAGES))
    parser.add_argument("-o", "--out", type=program.folder, default=Path("work/speech"))
    parser.add_argument("--spoken", type=program.length, metavar="MINUTES")
    parser.add_argument("--synthetic", type=program.length, metavar="MINUTES")
    parser.add_argument("--test", action="store_true", help="the packages for tests alone")
    options = parser.parse_args()
    everything = [package.name for package in packages.PACKAGES.values() if package.use == "test"]
    wanted = options.packages or (everything if options.test else packages.TRAIN)
    if options.synthetic and not options.packages:
        wanted = ()
    for wanted_name in wanted:
        package = fetch.fetch(wanted_name, options.out)
        said = f"{wanted_name} {fetch.version(wanted_name, options.out)}, {packages.PACKAGES[wanted_name].licence}"
        if wanted_name in speakers.LAYOUTS:
            counts = speakers.lay_out(package, options.out / "speakers")
            said += f": {sum(counts.values())} recordings of {len(counts)} speakers"
        print(said, flush=True)
    if options.spoken:
        print("flite:", spoken.spoken(options.out / "speakers", options.spoken), flush=True)
    if options.synthetic:
        synthetic(options.out, options.synthetic)
    for line in table(options.out / "speakers") if (options.out / "speakers").is_dir() else ():
        print(line)


if __name__ == "__main__":
    program.start(main)
