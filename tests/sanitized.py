"""`python -m sanitized`: the kernels once, small, over memory that nobody has written to: for compute-sanitizer.

The condition, a schedule of two steps and the harmonic source, in a batch of unequal lengths.
"""

import torch
from kernel_check import DEVICE, random
from test_kernels_denoiser import CONFIG, FRAMES, LENGTHS, PLACES, SEEDS, build, consistency_updates
from test_kernels_source import f0_of

from fastsvc.kernels.tiles import power_of_two
from fastsvc.kernels.vocoder import source


def denoiser(dtype):
    _, net, sigmas = build("consistency", 2, dtype, allocate=torch.empty)
    net.prepare(torch.tensor(LENGTHS), None, torch.tensor(PLACES), torch.tensor(SEEDS))
    units, places = random(3, 9, 6, dtype=dtype), torch.zeros(3, FRAMES, dtype=torch.int32, device=DEVICE)
    scalars, utterance = torch.ones(3, 3, FRAMES, device=DEVICE), random(3, net.weights.hidden)
    net.project_units(units, places, scalars, utterance).run()
    for launch in net.schedule(consistency_updates(sigmas, CONFIG.edm.sigma_min), spread=sigmas[0]):
        launch.run()
    return net.out


def excitation(frames=41, hop=32, rate_hz=24000, channels=9):
    f0, wide = f0_of(2, frames), power_of_two(channels)
    mix = torch.zeros(2, wide, dtype=torch.int64), torch.ones(wide) / wide, torch.zeros(1)
    slices = torch.tensor([frames, 20], dtype=torch.int32), torch.tensor([0, 2**31]), torch.tensor([1, 2])
    given = [t.to(DEVICE) for t in (f0, *source.phases(f0, rate_hz, hop), *mix)]
    out = torch.empty(2, frames * hop, device=DEVICE)
    return source.run(*given, out, *(t.to(DEVICE) for t in slices), rate_hz, channels)


def main():
    made = [denoiser(torch.float16), excitation()]
    assert all(torch.isfinite(part).all() for part in made)
    print("all kernels ran")


if __name__ == "__main__":
    main()
