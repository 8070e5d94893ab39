"""Ways from a recording to audio, judged by ears that were not trained here: the parts of bench/ears.py."""
