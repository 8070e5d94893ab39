"""`python -m fastsvc.build.cubins.resources`: registers, memory and block of each kernel on each architecture.

Compiles ahead of time, so it needs no GPU; a few minutes on two cores. Writes bench/results/kernels.md. `--check` also
fails if a kernel spills, does not fit, or leaves the tensor cores unused.
"""

from __future__ import annotations

import argparse
import re

import torch
from torch import Tensor

from fastsvc.build.cubins import compiler, page
from fastsvc.config import MelConfig, VocoderConfig, rvc_sizes
from fastsvc.engine.cuda import launch_plan
from fastsvc.kernels import dependent
from fastsvc.kernels.denoiser import condition
from fastsvc.kernels.denoiser.network import DenoiserLaunches, NoiseLevel, Tiles, Update
from fastsvc.kernels.denoiser.pack import PackedDenoiser, padded
from fastsvc.kernels.launch import Launch
from fastsvc.kernels.tiles import PROCESSORS, SHARED_BYTES, architecture, power_of_two
from fastsvc.kernels.vocoder import source
from fastsvc.model import pulse_mel

ARCHITECTURES = (80, 86, 89, 90, 100, 120)
FRAMES = (94, 1875)  # half a second and ten seconds of CoMoSVC
TOUCHES = re.compile(r"\b(ld|st|atom|red)\.(\w+\.)*global|cp\.async")  # in PTX; a prefetch does not count
TENSOR_CORES = ("wgmma", "mma.sync", "tcgen05.mma")
TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


def packed_weights(
    channels: int, hidden: int, layers: int, mel_bins: int, unit_channels: int, dtype: torch.dtype, pulse_rows: int = 0
) -> PackedDenoiser:
    """Packed weights without storage."""
    c, h, mel = padded(channels), padded(hidden), power_of_two(mel_bins)
    u = padded(unit_channels)

    def empty(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.empty(*shape, dtype=dtype, device="meta")

    return PackedDenoiser(
        mel_bins=mel_bins,
        first_weight=empty(mel, c, dtype=dtype),
        first_bias=empty(c),
        first_shift=empty(1, c),
        conv_weight=empty(layers, 3 * c + h, 2 * c, dtype=dtype),
        conv_bias=empty(layers, 2 * c),
        residual_weight=empty(layers - 1, c, c, dtype=dtype),
        residual_shift=empty(1, layers - 1, c),
        skip_weight=empty(layers * c, c, dtype=dtype),
        skip_bias=empty(c),
        head_weight=empty(c, mel, dtype=dtype),
        head_bias=empty(mel),
        units_weight=empty(u, h, dtype=dtype),
        vectors=empty(condition.SCALED + pulse_rows, h),
        scale=empty(mel),
        offset=empty(mel),
    )


def launches(
    frames: int,
    arch: int,
    dtype: torch.dtype,
    *,
    batch: int = 1,
    channels: int = 512,
    hidden: int = 256,
    layers: int = 20,
    mel_bins: int = 80,
    unit_channels: int = 768,
    pulse_rows: int = 0,
) -> dict[str, Launch]:
    """One launch of every operation of the denoiser by name; the condition's units are in ``dtype``. "layers" is all
    layers in one, where inputs are short enough for it."""

    def empty(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.empty(*shape, dtype=dtype, device="meta")

    packed = packed_weights(channels, hidden, layers, mel_bins, unit_channels, dtype, pulse_rows)
    tiles = Tiles.of(packed, batch, frames, arch)
    pdl = dependent.possible(packed.conv_weight.device, arch)
    level, processors = NoiseLevel(0, 0.5, 0.5, 0.5), PROCESSORS[architecture(arch)]
    net = DenoiserLaunches(packed, (1,) * layers, [level], batch, frames, tiles, pdl=pdl, processors=processors)
    units = empty(batch, frames, unit_channels, dtype=dtype)
    positions, scalars = empty(batch, frames, dtype=torch.int32), empty(3, batch, frames)
    cond = net.project_units(units, positions, scalars, empty(batch, packed.hidden))
    chain = net.schedule([Update(spread=1.0)], spread=1.0)
    names = ("condition", "first", "gated_conv", "residual", "skip", "head")
    by_name: dict[str, Launch] = dict(zip(names, (cond, *chain[:3], *chain[-2:])))
    if net.can_join:
        net.together = True
        by_name["layers"] = net.evaluation(0)[1]
    return by_name


def excitation(frames: int = 187, hop: int = 128, rate_hz: int = 24000, channels: int = 9) -> Launch:
    """The harmonic source's launch."""

    def empty(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.empty(*shape, dtype=dtype, device="meta")

    f0, phase, wide = empty(1, frames), empty(1, frames, dtype=torch.int64), source.width(channels)
    mix = empty(1, wide, dtype=torch.int64), empty(wide), empty(1), empty(1, frames * hop)
    slices = empty(1, dtype=torch.int32), empty(1, dtype=torch.int64), empty(1, dtype=torch.int64)
    return source.launch(f0, phase, phase, *mix, *slices, rate_hz, channels, pulse=channels == 2)


def vocoder_launches(
    frames: int, arch: int, dtype: torch.dtype, *, batch: int = 1, config: VocoderConfig | None = None
) -> dict[str, Launch]:
    """One launch of every operation of the vocoder by name and channels; of convolutions the one with most taps."""
    by_name: dict[str, Launch] = {}
    for launch in launch_plan.generator(config or VocoderConfig(), dtype, arch, [(batch, frames)]):
        name = vocoder_name(launch)
        if name not in by_name or launch.constants["TAPS"] > by_name[name].constants["TAPS"]:
            by_name[name] = launch
    return by_name


def vocoder_name(launch: Launch) -> str:
    """The operation and its channels out, as rows of the table are named."""
    name = getattr(launch.kernel, "fn", launch.kernel).__name__.removesuffix("_kernel")
    width = launch.constants.get("OUT", launch.constants["C"])
    return f"{name} {width}" if name != "waveform" else name


def faults(name: str, cubin: compiler.Cubin) -> list[str]:
    """A line for each rule that the compiled kernel breaks."""
    lines = []
    if cubin.stack:
        lines.append(f"{name} on sm_{cubin.arch}: {cubin.stack} bytes of stack")
    if cubin.shared > SHARED_BYTES[architecture(cubin.arch)]:
        lines.append(f"{name} on sm_{cubin.arch}: {cubin.shared} bytes of shared memory")
    if name not in ("source", "waveform") and not any(word in cubin.ptx for word in TENSOR_CORES):
        lines.append(f"{name} on sm_{cubin.arch}: no tensor cores")
    if "griddepcontrol" in cubin.ptx and TOUCHES.search(cubin.ptx.partition("griddepcontrol.wait")[0]):
        lines.append(f"{name} on sm_{cubin.arch}: touches memory before it waits for the kernel before it")
    return lines


def tile_cells(name: str, kind: str, frames: int, launch: Launch, arch: int) -> str:
    """The first half of a row: the cells that tile() decides."""
    constants = launch.constants
    mel = constants.get("MEL")
    columns = constants["C"] if name.startswith("residual_unit") else constants.get("COLUMNS", mel)
    block = (constants.get("ROWS"), columns, constants.get("DEPTH", mel))
    block = str(constants["SAMPLES"]) if "SAMPLES" in constants else "×".join(map(str, block))
    if "NARROW" in constants:
        block += f", then {constants['NARROW']}"
    if constants.get("SPLITS", 1) > 1:
        block += f", K in {constants['SPLITS']}"
    return f"| sm_{arch} | {name} | {kind} | {frames} | {block} | {launch.warps} | {launch.stages} |"


def row(name: str, kind: str, frames: int, launch: Launch, cubin: compiler.Cubin) -> str:
    """A row of the table."""
    unit = next((word for word in TENSOR_CORES if word in cubin.ptx), "–")
    return (
        tile_cells(name, kind, frames, launch, cubin.arch)
        + f" {cubin.registers} | {cubin.shared} | {cubin.stack} | {unit} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit 1 if any kernel spills or does not fit")
    parser.add_argument("--all-widths", action="store_true", help="C 384, 512, 768 and all types; no table")
    parser.add_argument("--only", nargs="*", help="operations, such as head conv; the page's other rows stay")
    parser.add_argument("--arch", type=int, nargs="*", default=ARCHITECTURES)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    cases = _every_width(options.arch) if options.all_widths else table_cases(options.arch)
    cases = [case for case in cases if not options.only or case[0].split()[0] in options.only]
    cubins = compiler.compile_kernels([(launch.spec(), arch) for _, _, _, launch, arch in cases], options.processes)
    wrong = [fault for case, cubin in zip(cases, cubins) for fault in faults(case[0], cubin)]
    lines = [row(*case[:4], cubin) for case, cubin in zip(cases, cubins)]
    if options.all_widths:
        print("\n".join(lines))
    else:
        page.write(lines, keep=bool(options.only))
    print(f"{len(cases)} kernels compiled; " + ("; ".join(wrong) or "nothing spills, everything fits"))
    if wrong and options.check:
        raise SystemExit(1)


def table_cases(archs) -> list[tuple[str, str, int, Launch, int]]:
    """(operation, type, frames, launch, architecture) of the page's table."""
    cases = []
    for arch in archs:
        for kind, frames in (("fp16", FRAMES[0]), ("fp16", FRAMES[1]), ("fp32", FRAMES[1])):
            for name, launch in launches(frames, arch, TYPES[kind]).items():
                cases.append((name, kind, frames, launch, arch))
        cases.append(("source", "fp32", FRAMES[1], excitation(FRAMES[1]), arch))
        for kind, frames in (("fp16", FRAMES[0]), ("fp16", FRAMES[1]), ("fp32", FRAMES[1])):
            for name, launch in vocoder_launches(frames, arch, TYPES[kind]).items():
                cases.append((name, kind, frames, launch, arch))
    return cases


def _every_width(archs) -> list[tuple[str, str, int, Launch, int]]:
    """Each distinct block once: of the denoiser with C 384 (H 100, M 100), 512 and 768, from one frame to a minute; of
    the vocoder with 384 and 512 initial channels, with openvpi's five stages and with RVC's sizes."""
    seen, cases = set(), []

    def add(name: str, kind: str, frames: int, launch: Launch, arch: int) -> None:
        key = (arch, str(launch.spec()))
        if key not in seen:
            seen.add(key)
            cases.append((name, kind, frames, launch, arch))

    widths = ({"channels": 384, "hidden": 100, "mel_bins": 100}, {}, {"channels": 768, "mel_bins": 128})
    pulses = {"pulse_rows": pulse_mel.ROWS}
    for arch in archs:
        for width in widths:
            for kind, dtype in TYPES.items():
                for frames in (1, 94, 188, 375, 938, 1875, 5625, 11250):
                    for name, launch in launches(frames, arch, dtype, **width).items():
                        add(name, kind, frames, launch, arch)
                    add("pulses", kind, frames, launches(frames, arch, dtype, **width, **pulses)["condition"], arch)
        rvc = map(rvc_sizes.generator, rvc_sizes.SIZES)
        for config in (VocoderConfig(), VocoderConfig(initial_channels=384), _openvpi(), *rvc):
            for kind, dtype in TYPES.items():
                for frames in (1, 94, 188, 375, 1024, 1875):
                    for name, launch in vocoder_launches(frames, arch, dtype, config=config).items():
                        add(name, kind, frames, launch, arch)
    return cases


def _openvpi() -> VocoderConfig:
    mel = MelConfig(rate_hz=44100, hop_samples=512, fft_samples=2048, window_samples=2048, bins=128)
    rates, kernels = (8, 8, 2, 2, 2), (16, 16, 4, 4, 4)
    return VocoderConfig("openvpi", mel, upsample_rates=rates, upsample_kernels=kernels)


if __name__ == "__main__":
    main()
