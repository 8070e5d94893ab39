"""Imported by every Python process that finds this folder on its path: a rehearsal begins."""

import os
import sys

if os.environ.get("FASTSVC_REHEARSAL"):
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # tests/, for ptx and this package
    from rehearsal import process

    process.begin()
