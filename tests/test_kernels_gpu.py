"""What only a GPU shows: bfloat16, the precision of float32 products, real widths, and the same bits every time."""

import pytest
import torch
from kernel_check import ARCH, DEVICE, GPU, check, lengths_of, poisoned, random

pytest.importorskip("triton")

from fastsvc.kernels import dependent
from fastsvc.kernels.denoiser import gated_conv, head, residual, skip
from fastsvc.kernels.launch import chained
from fastsvc.kernels.tiles import power_of_two

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not GPU, reason="needs an NVIDIA GPU")]
CASES = [(torch.float16, "ieee"), (torch.bfloat16, "ieee"), (torch.float32, "ieee"), (torch.float32, "tf32x3")]
WIDTHS = [(384, 128, 100), (512, 256, 80), (768, 256, 128)]


@pytest.mark.parametrize("dtype, precision", CASES)
@pytest.mark.parametrize("channels, hidden, mel_bins", WIDTHS)
@pytest.mark.parametrize("frames, dilation", [(94, 1), (391, 4)])
def test_numerics(dtype, precision, channels, hidden, mel_bins, frames, dilation):
    batch, layers, depth = 3, 4, 3 * channels + hidden
    eps = 2.0**-19 if precision == "tf32x3" else None  # its three products leave about 21 bits
    lengths = lengths_of(batch, frames)
    state = random(batch, frames, channels + hidden, dtype=dtype)
    weight, bias = random(depth, 2 * channels, dtype=dtype, scale=depth**-0.5), random(2 * channels)
    z = poisoned(batch, frames, layers * channels, dtype=dtype)
    block = gated_conv.tile(frames, channels, hidden, dtype, ARCH, batch)
    for layer in range(layers):
        part = z[..., layer * channels : (layer + 1) * channels]
        gated_conv.run(state, weight, bias, part, lengths, dilation, block=block, precision=precision)
    check(z[..., :channels], gated_conv.reference, state, weight, bias, lengths, dilation, eps=eps, depth=depth)

    weight, shift = random(channels, channels, dtype=dtype, scale=channels**-0.5), random(channels)
    before, x = state[..., :channels].clone(), state[..., :channels]
    block = residual.tile(frames, channels, dtype, ARCH, batch)
    residual.run(x, z[..., :channels], weight, shift, lengths, block=block, precision=precision)
    check(x, residual.reference, before, z[..., :channels], weight, shift, lengths, eps=eps, depth=channels)

    weight, bias = random(layers * channels, channels, dtype=dtype, scale=0.03), random(channels)
    block = skip.tile(frames, channels, layers, dtype, ARCH, batch)
    parts = skip.parts_like(z, channels, block).fill_(float("nan"))
    skip.run(z, weight, bias, parts, lengths, block=block, precision=precision)
    last = torch.zeros(channels, power_of_two(mel_bins), dtype=dtype, device=DEVICE)
    last[:, :mel_bins] = random(channels, mel_bins, scale=0.05)
    last_bias, x, out = random(last.shape[1]), random(batch, frames, mel_bins), poisoned(batch, frames, mel_bins)
    block = head.tile(frames, channels, mel_bins, dtype, ARCH, batch, block.splits)
    head.run(parts, bias, last, last_bias, x, out, lengths, block=block, c_skip=0.3, c_out=0.7, precision=precision)

    def both(z, weight, bias, last, last_bias, x):
        s = skip.reference(z, weight, bias, lengths)
        return head.reference(s, last[:, :mel_bins], last_bias[:mel_bins], x, lengths, 0.3, 0.7).to(x.dtype)

    check(out, both, z, weight, bias, last, last_bias, x, dtype=dtype, eps=eps, depth=layers * channels)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_the_same_bits_every_time(dtype):
    channels, hidden, frames = 512, 256, 188
    lengths = lengths_of(2, frames)
    state = random(2, frames, channels + hidden, dtype=dtype)
    depth = 3 * channels + hidden
    weight, bias = random(depth, 2 * channels, dtype=dtype, scale=depth**-0.5), random(2 * channels)
    block = gated_conv.tile(frames, channels, hidden, dtype, ARCH, 2)
    runs = []
    for _ in range(5):
        z = poisoned(2, frames, channels, dtype=dtype)
        runs.append(gated_conv.run(state, weight, bias, z, lengths, 1, block=block))
    assert all(torch.equal(runs[0], other) for other in runs[1:])
    weight, bias = random(channels, channels, dtype=dtype, scale=channels**-0.5), random(channels)
    block = skip.tile(frames, channels, 1, dtype, ARCH, 2)
    parts = [skip.run(runs[0], weight, bias, skip.parts_like(runs[0], channels, block), lengths, block=block)]
    parts.append(skip.run(runs[0], weight, bias, skip.parts_like(runs[0], channels, block), lengths, block=block))
    assert torch.equal(*parts)


def test_a_captured_schedule_gives_what_single_launches_give():
    """Lengths, seeds and condition are read from buffers when the graph runs, so one graph serves them all."""
    from test_kernels_denoiser import CONFIG, FRAMES, build, consistency_updates, prepare

    _, net, sigmas = build("consistency", 2, torch.float16)
    launches = net.schedule(consistency_updates(sigmas, CONFIG.edm.sigma_min), spread=sigmas[0])
    prepare(net, random(3, FRAMES, CONFIG.denoiser.cond_channels))
    for launch in launches:
        launch.run()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for launch in launches:
            launch.run()
    prepare(net, random(3, FRAMES, CONFIG.denoiser.cond_channels))
    graph.replay()
    captured = net.out.clone()
    for launch in launches:
        launch.run()
    assert torch.equal(net.out, captured)


def test_early_starts_give_the_same_bits():
    """Programmatic dependent launch, one by one and in a graph; a kernel that did not wait would read what is stale."""
    from test_kernels_denoiser import CONFIG, FRAMES, build, consistency_updates, prepare

    if not dependent.possible(torch.device(DEVICE), ARCH):
        pytest.skip(f"sm_{ARCH} cannot start kernels early")
    _, net, sigmas = build("consistency", 4, torch.float16)
    plain = net.schedule(consistency_updates(sigmas, CONFIG.edm.sigma_min), spread=sigmas[0])
    early = chained(plain)

    def result(start):
        for buffer in (net.z, net.parts, net.x, net.out, net.state[..., : net.weights.channels]):
            buffer.fill_(float("nan"))
        start()
        return net.out.clone()

    def started(launches):
        return lambda: [launch.run() for launch in launches]

    prepare(net, random(3, FRAMES, CONFIG.denoiser.cond_channels))
    want = result(started(plain))
    assert torch.isfinite(want).all() and torch.equal(result(started(early)), want)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        started(early)()
    for number in range(300):
        assert torch.equal(result(graph.replay), want), f"replay {number}"
