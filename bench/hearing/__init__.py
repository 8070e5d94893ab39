"""Ways from a recording to audio, judged by ears that were not trained here: the parts of bench/ears.py."""

from pathlib import Path

LIST = Path(__file__).parent / "clips.json"  # the fixed clips
DATA = Path(__file__).parents[2] / "work" / "speech"  # where bench/speech/fetch.py unpacks their packages
EXAMPLES = Path(__file__).parents[2] / "examples"
