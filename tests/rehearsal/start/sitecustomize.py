"""Imported by every Python process that finds this folder on its path: a rehearsal begins.

Alone in its folder, so that no other module of ours hides one of the same name.
"""

import os
import sys

if os.environ.get("FASTSVC_REHEARSAL"):
    sys.path.append(os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..")))  # for ptx and rehearsal
    from rehearsal import process

    process.begin()
