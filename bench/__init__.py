"""Programs that measure fastsvc: `python bench/NAME.py` from any folder, or `python -m bench.NAME` from the root."""
