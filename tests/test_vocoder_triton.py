"""The vocoder through kernels against the specification: layer by layer, upstream's own audio, shapes in turn."""

import types

import big_blocks
import golden
import pytest
import torch
import vocoders
from golden import relative_rms
from kernel_check import ARCH, DEVICE, GPU

pytest.importorskip("triton")

from fastsvc.build.passes import target
from fastsvc.config import MelConfig, VocoderConfig
from fastsvc.engine import buckets
from fastsvc.engine.cuda import launch_plan, launcher
from fastsvc.engine.cuda.generators import triton_backend
from fastsvc.engine.cuda.generators.triton_backend import TritonGenerator
from fastsvc.engine.cuda.vocoder import VocoderInputs
from fastsvc.errors import EngineError
from fastsvc.kernels.vocoder import generator, pack
from fastsvc.model import vocoder, weight_norm

OPENVPI = {
    "family": "openvpi",
    "mel": MelConfig(rate_hz=44100, hop_samples=512, fft_samples=2048, window_samples=2048, bins=128),
    "upsample_rates": (8, 8, 2, 2, 2),
    "upsample_kernels": (16, 16, 4, 4, 4),
}
SMALL = {"mel": MelConfig(hop_samples=6, bins=20), "upsample_rates": (3, 2), "upsample_kernels": (7, 4)}
SINGLE = {"resblock": "2", "resblock_kernels": (3, 5), "resblock_dilations": ((1, 2), (2, 6))}
LONG = {"resblock_kernels": (17, 3), "resblock_dilations": ((1, 2), (3,))}  # 17 taps are not done in one launch
FEW = {"resblock_kernels": (3, 11), "resblock_dilations": ((1, 3, 5), (1, 5))}
CASES = {
    "m4": (VocoderConfig(initial_channels=16), 2, 2),
    "m4-one-frame": (VocoderConfig(initial_channels=96, **FEW), 1, 1),
    "openvpi": (VocoderConfig(initial_channels=32, **OPENVPI, **FEW), 1, 1),
    "pc-nsf": (VocoderConfig(initial_channels=32, source="sine", noise_sigma=0.1, **OPENVPI, **FEW), 1, 1),
    "pulse": (VocoderConfig(initial_channels=32, source="pulse", noise_sigma=0.5, **SMALL, **LONG), 2, 7),
    "resblock-2": (VocoderConfig(initial_channels=24, **SMALL, **SINGLE), 3, 9),
    "wide": (VocoderConfig(initial_channels=384, **SMALL, resblock_kernels=(3,), resblock_dilations=((5,),)), 1, 5),
}
BOUND = 1e-4 if GPU else 1e-5  # three TF32 products leave about 21 bits; the interpreter has 24
HALF = ("m4", "resblock-2")  # in float16, too


@pytest.fixture(autouse=True)
def blocks(monkeypatch):
    if not GPU:
        big_blocks.prepare(monkeypatch)


def model_of(config):
    """The specification with random weights that keep the signal's size."""
    return vocoders.generator(config).to(DEVICE)


def inputs_of(config, batch, frames):
    given = VocoderInputs(config, batch, frames, DEVICE)
    for buffer in (given.mel, given.excitation, given.noise):
        if buffer is not None:
            buffer.copy_(torch.randn(buffer.shape))
    given.audio.fill_(float("nan"))
    return given


def made_of(model, config, dtype=torch.float32):
    return TritonGenerator(model.state_dict(), config, dtype, DEVICE, ARCH, launcher.Jit())


def poisoned(*shape, dtype, device):
    return torch.full(shape, float("nan"), dtype=dtype, device=device)


def traced(model, given):
    """What leaves every layer of the specification [B, T, C], but for sums over blocks that go on, and the audio."""
    config, found, hooks = model.config, [], []

    def before(module, slope):
        def keep(_, arguments):
            x = arguments[0].transpose(1, 2)
            found.append(torch.where(x < 0, x / slope, x) if slope else x)

        hooks.append(module.register_forward_pre_hook(keep))

    kinds = len(config.resblock_kernels)
    for i, up in enumerate(model.ups):
        before(up, vocoder.SLOPE)
        for j, block in enumerate(model.resblocks[i * kinds : (i + 1) * kinds]):
            if j == 0:
                before(block, None)
            for unit in block.units[1:]:
                before(unit[0], vocoder.SLOPE)
    before(model.conv_post, vocoder.LAST_SLOPE)
    with torch.no_grad():
        audio = model(given.mel, given.excitation, given.noise)
    for hook in hooks:
        hook.remove()
    return found, audio


def outputs(made, given, kinds):
    """The same of the kernels, launch by launch: only what a launch writes for others, not the inside of a unit."""
    found, sums = [], 0
    for launch in triton_backend.launches(made, given):
        launch.run()
        out = launch.arguments.get("out")
        if out is None or out.data_ptr() == made.inner.data_ptr():
            continue
        total = out.data_ptr() == made.sum.data_ptr()
        sums = sums + 1 if total and out.shape[1] > given.mel.shape[1] else 0 if not total and sums == kinds else sums
        if not total or out.shape[1] == given.mel.shape[1] or sums % kinds == 0:
            found.append(out.clone())
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, dtype", [*((name, torch.float32) for name in CASES), *((name, torch.float16) for name in HALF)]
)
def test_layer_by_layer(name, dtype):
    (config, batch, frames), bound = CASES[name], 3e-6 if dtype == torch.float32 else 4e-3
    model, given = model_of(config), inputs_of(config, batch, frames)
    weights = pack.pack_generator(model.state_dict(), config, dtype, DEVICE)
    made = generator.GeneratorLaunches(weights, config, batch, frames, ARCH, "ieee", poisoned)
    want, audio = traced(model, given)
    got = outputs(made, given, len(config.resblock_kernels))
    assert len(got) == len(want)
    for index, (ours, theirs) in enumerate(zip(got, want)):
        channels = theirs.shape[2]
        assert relative_rms(ours[..., :channels], theirs) < bound, f"{name}: layer {index} of {len(want)}"
        assert not ours[..., channels:].any(), f"{name}: a padded channel of layer {index} is not zero"
    assert relative_rms(given.audio, audio) < 2 * bound and audio.abs().max() > 0.05


@pytest.mark.slow
def test_upstreams_audio():
    """M4Singer's own code, its weights and excitation given."""
    case = golden.arrays("m4gan_small/T3")
    state = torch.load(golden.FOLDER / "m4gan_small/model_ckpt_steps_1970000.ckpt", weights_only=True)
    tensors = weight_norm.fold(state["state_dict"]["model_gen"])
    mel, excitation = case["mel"].transpose(1, 2), case["source"][..., 0]
    given = VocoderInputs(golden.VOCODER, len(mel), mel.shape[1], DEVICE)
    given.mel.copy_(mel), given.excitation.copy_(excitation), given.audio.fill_(float("nan"))
    TritonGenerator(tensors, golden.VOCODER, torch.float32, DEVICE, ARCH, launcher.Jit()).bind(given)()
    assert golden.relative(given.audio.cpu(), case["wav"][:, 0]) < BOUND


@pytest.mark.slow
def test_shapes_take_turns_in_one_block_of_memory():
    """A graph of an earlier shape still finds its buffers, whatever came after."""
    config = VocoderConfig(initial_channels=16, **SMALL, resblock_kernels=(3,), resblock_dilations=((1, 3),))
    model = model_of(config)
    backend, shapes = made_of(model, config), [(1, 3), (2, 9), (1, 1), (2, 5)]
    given = [inputs_of(config, *shape) for shape in shapes]
    with torch.inference_mode():
        runs = [backend.bind(one) for one in given]
    assert [len(arena.memory) for arena in backend.arenas] == sorted(len(arena.memory) for arena in backend.arenas)
    assert len(backend.arenas) == 2 and backend.name == "triton" and "Triton" in backend.how
    for _ in range(2):
        for run, one in zip(runs, given):
            one.audio.fill_(float("nan"))
            run()
            with torch.no_grad():
                assert relative_rms(one.audio, model(one.mel, one.excitation)) < BOUND
    backend.release()
    assert backend.arenas == []
    given[0].audio.fill_(float("nan"))
    backend.bind(given[0])()
    with torch.no_grad():
        assert relative_rms(given[0].audio, model(given[0].mel, given[0].excitation)) < BOUND


def test_what_cannot_run_says_why():
    config = VocoderConfig(initial_channels=16, **SMALL)
    tensors = vocoder.Generator(config).state_dict()
    with pytest.raises(EngineError, match="sm_80"):
        TritonGenerator(tensors, config, torch.float32, DEVICE, 75, launcher.Jit())
    backend = TritonGenerator(tensors, config, torch.float32, DEVICE, ARCH, launcher.Jit())
    long = types.SimpleNamespace(mel=torch.empty(1, 2**27, 20, device="meta"))
    with pytest.raises(EngineError, match="too long"):
        backend.bind(long)
    none = launcher.Cubins({"arch": 90, "kernels": {}}, None, None, None)
    backend = TritonGenerator(tensors, config, torch.float32, DEVICE, ARCH, none)
    with pytest.raises(EngineError, match="no compiled conv_kernel for this shape"):
        backend.bind(inputs_of(config, 1, 2))


def test_constants_are_the_specifications():
    assert (generator.SLOPE, generator.LAST_SLOPE) == (vocoder.SLOPE, vocoder.LAST_SLOPE)


@pytest.mark.parametrize("arch", [86, 90])
def test_every_shape_is_compiled_ahead_of_time(arch, monkeypatch):
    """Blocks as they are chosen; what the plan lists covers any shape that a recording can come to."""
    monkeypatch.undo()
    config = VocoderConfig()
    planned = target.unique_specs(launch_plan.generator(config, torch.float16, arch))
    assert 30 < len(planned) < 100
    weights = triton_backend.without_storage(config, torch.float16)
    for batch, frames in ((1, 1), (1, 63), (3, 64), (6, 1024), (8, 112), (2, 640)):
        made = triton_backend.generator(weights, config, batch, frames, arch, launch_plan.empty)
        starts = triton_backend.launches(made, VocoderInputs(config, batch, frames, "meta"))
        assert target.unique_specs(starts).keys() <= planned.keys()
    assert buckets.EVEN_FRAMES[0] == generator.LEAST_FRAMES


def test_a_narrow_stage_has_half_as_many_launches():
    """Full size, ten seconds: 18 convolutions a stage, 9 launches where units are fused; nothing else is between."""
    config = VocoderConfig()
    weights = triton_backend.without_storage(config, torch.float16)
    made = triton_backend.generator(weights, config, 1, 1875, 90, launch_plan.empty)
    starts = triton_backend.launches(made, VocoderInputs(config, 1, 1875, "meta"))
    names = [getattr(launch.kernel, "fn", launch.kernel).__name__ for launch in starts]
    counts = {name: names.count(f"{name}_kernel") for name in ("conv", "upsample", "residual_unit", "waveform")}
    assert counts == {"conv": 1 + 18, "upsample": 4, "residual_unit": 27, "waveform": 1} and len(names) == 51
