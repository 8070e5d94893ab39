"""What TensorRT for RTX says on the GPU at hand, listed by its makers or not: a plan for it is built and run.

    python -m bench.trt_here --json OUT_DIR/trt_here.json

The engine itself asks only GPUs that are listed (fastsvc/engine/tensorrt/trt_packages.py); this asks any, in a process
of its own, and writes down how far it comes: the package, the plan, its loading, milliseconds for ten seconds of audio,
or the words in which it refuses.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

import tempfile
from pathlib import Path

from bench import circumstances, program, trt_plans
from bench.vocoder_cpu import CASES

BATCH, FRAMES = 2, 1024  # as ten seconds are cut


def main() -> None:
    parser = program.parser(__doc__)
    parser.add_argument("--json", type=program.result, metavar="FILE")
    options = parser.parse_args()
    import torch

    from fastsvc.engine.tensorrt import trt_packages

    record: dict = {"package": trt_packages.RTX.version(), "step": "package"}
    try:
        run(record, lambda: circumstances.keep(record, options.json))
    except Exception as error:  # whatever it says is the finding
        record["refused"] = " ".join(str(error).split())[:500]
    record |= circumstances.describe("python -m bench.trt_here", torch.device("cpu"))
    circumstances.keep(record, options.json)
    print({name: record.get(name) for name in ("package", "gpu", "step", "refused", "p50_ms")})


def run(record: dict, save) -> None:
    """``save`` before each step: one that ends the process is the one that was written last."""
    import torch

    from bench.timing import Clock
    from fastsvc.engine.cuda import gpu_parts, support
    from fastsvc.engine.cuda.generators.choice import fill
    from fastsvc.engine.cuda.vocoder import VocoderInputs
    from fastsvc.engine.tensorrt import plan_files, trt_packages
    from fastsvc.engine.tensorrt.trt_runner import Runner

    module = trt_packages.load(trt_packages.RTX)
    why = support.why_no_cuda()
    if why is not None:
        raise RuntimeError(why)
    device = torch.device("cuda", torch.cuda.current_device())
    arch, config = gpu_parts.architecture(device), CASES["m4"]
    record |= {
        "gpu": torch.cuda.get_device_name(device),
        "arch": arch,
        "served": trt_packages.RTX.refusal(arch) is None,
    }
    with tempfile.TemporaryDirectory() as scratch:
        graph = trt_plans.folder(Path(scratch), "m4") / trt_plans.GRAPH
        record["step"] = "building"
        save()
        plan, _ = plan_files.build(module, graph, config, plan_files.origin(module, arch, "0" * 64))
    record |= {"built_s": round(plan.seconds, 1), "mb": round(len(plan.code) / 1e6, 1), "step": "loading"}
    save()
    runner = Runner(module, plan.code, device)
    record["step"] = "running"
    save()
    inputs = VocoderInputs(config, BATCH, FRAMES, device)
    fill(inputs)
    bound = runner.bind({"mel": inputs.mel, "source": inputs.excitation}, {"audio": inputs.audio})
    record |= {**Clock(device, 20)(bound), "batch": BATCH, "frames": FRAMES, "step": "done"}
    record["finite"] = bool(torch.isfinite(inputs.audio).all())


if __name__ == "__main__":
    program.start(main)
