"""The error of rounding: the mel of the lowered denoiser in float16, bfloat16 and float8 against float32.

    python -m bench.precision [--json bench/results/precision.json]

The kernels' arithmetic in plain PyTorch on a CPU: operands and stored values are rounded, sums are float32. float8 is
e4m3 with a scale for every output channel of a weight and one for every row (or for all rows) of an activation, in the
three large products; the rest stays float16. Once with choir.fsvc, trained, on a recording; once with a network
of CoMoSVC's full size, random, beside the plain model in float16, which takes minutes on a CPU. An error is the root
mean square of the difference over that of the normalised mel; in dB it is that of the mel itself.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

from bench import circumstances, program


def main() -> None:
    parser = program.parser(__doc__)
    parser.add_argument("--seconds", type=program.length, default=1.0, help="of audio")
    parser.add_argument("--json", type=program.result, metavar="FILE")
    options = parser.parse_args()
    import torch

    from bench import rounding

    torch.manual_seed(0)
    with torch.inference_mode():
        cases = rounding.choir(options.seconds), rounding.full_size(options.seconds)
        rows = [row for case in cases for row in rounding.errors(case)]
    print(rounding.table(rows))
    about = circumstances.describe("python -m bench.precision", torch.device("cpu"))
    circumstances.keep({"errors": rows, **about}, options.json)


if __name__ == "__main__":
    program.start(main)
