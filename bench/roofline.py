"""What each kernel must cost on each GPU, from its work and its compiled code, as a page beside the other results.

    python bench/roofline.py

Operations and bytes are counted from the launches (bench/kernel_work.py), registers and shared memory are those of
bench/results/kernels.md, instructions those of bench/results/sass.json, and times come from the constants of
bench/kernel_time.py. No kernel is started or compiled. Estimates have not been compared with a GPU.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

from bench import program


def main() -> None:
    program.parser(__doc__).parse_args()
    from bench import roofline_choice, roofline_page

    print(roofline_page.write(roofline_choice.section))


if __name__ == "__main__":
    program.start(main)
