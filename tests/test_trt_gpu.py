"""The TensorRT vocoder on hardware: against the plain model, in graphs, in batches, from kept plans.

Written without a GPU at hand. Where no TensorRT package serves the GPU, it says so and skips.
"""

import pytest
import torch
import vocoders

pytest.importorskip("onnx")

from fastsvc.artifact import engine_folder
from fastsvc.engine.cpu.vocoder import Vocoder
from fastsvc.engine.cuda.generators import tensorrt_backend
from fastsvc.engine.cuda.graphs import Graphs
from fastsvc.engine.tensorrt import trt_packages
from fastsvc.errors import EngineError, FastsvcError

pytestmark = pytest.mark.gpu
SHAPES = [(1, 1), (1, 63), (2, 112), (3, 129), (8, 64), (2, 448), (1, 1024)]


def arch():
    major, minor = torch.cuda.get_device_capability()
    return 10 * major + minor


@pytest.fixture(scope="module", params=list(trt_packages.PACKAGES))
def package(request):
    try:
        trt_packages.load(trt_packages.choose(arch(), request.param))
    except FastsvcError as error:
        pytest.skip(str(error))
    return request.param


class Made:
    """A vocoder, its folder, and what was kept of it."""

    def __init__(self, path, config, package):
        self.config, self.package, self.store = config, package, {}
        self.model = vocoders.generator(config)
        self.folder = vocoders.folder(path / "a.fsvc", self.model)
        self.exact = vocoders.Generator(config).double().cuda().eval()
        self.exact.load_state_dict(self.model.state_dict())

    def generator(self, name="vocoder_fp16.onnx", **options):
        given = {"read": self.store.get, "store": self.store.update, **options}
        return tensorrt_backend.TensorRTGenerator(
            self.config, self.folder, "cuda", arch(), graph=name, package=self.package, **given
        )

    def buffers(self, batch, frames):
        from types import SimpleNamespace

        given = {name: value.cuda() for name, value in vocoders.given(self.config, batch, frames).items()}
        audio = torch.full((batch, frames * self.config.mel.hop_samples), torch.nan, device="cuda")
        others = {name: given.get(name) for name in ("noise", "speaker")}
        return SimpleNamespace(mel=given["mel"], excitation=given.get("source"), audio=audio, **others)

    @torch.no_grad()
    def want(self, given):
        """In float64, one slice after another as memory is dear."""
        parts = []
        for row in range(len(given.mel)):
            inputs = arguments(given)
            parts.append(self.exact(*(None if v is None else v[row : row + 1].double() for v in inputs)))
        return torch.cat(parts)


@pytest.fixture(scope="module", params=list(vocoders.SMALL))
def made(request, package, tmp_path_factory):
    return Made(tmp_path_factory.mktemp("trt"), vocoders.SMALL[request.param], package)


def arguments(given):
    """Of a generator."""
    return given.mel, given.excitation, given.speaker if given.noise is None else given.noise


def rms(value):
    return float(value.double().square().mean().sqrt())


@torch.no_grad()
@pytest.mark.parametrize("name", engine_folder.GRAPHS.values())
def test_same_as_the_plain_model(made, name):
    generator = made.generator(name)
    assert generator.name == made.package and name in generator.how
    dtype = torch.float16 if "fp16" in name else torch.float32
    peer = Vocoder(made.model.state_dict(), made.config, dtype, "cuda")
    for shape in SHAPES:
        given = made.buffers(*shape)
        generator.bind(given)()
        torch.cuda.synchronize()
        want = made.want(given)
        assert torch.isfinite(given.audio).all(), f"{shape}: samples were left out"
        if dtype == torch.float32:
            assert (given.audio - want).abs().max() < 1e-4, shape
            continue
        theirs = rms(peer(*arguments(given)) - want)
        assert rms(given.audio - want) <= 2 * theirs, shape


@torch.no_grad()
def test_captured(made):
    """Replays follow the buffers; each shape's graph has a context of its own, and they share memory."""
    generator, graphs = made.generator(), Graphs(torch.device("cuda"))
    shapes = [(8, 512), (1, 40), (2, 300)]
    given = [made.buffers(*shape) for shape in shapes]
    replays = [graphs.capture(generator.bind(each)) for each in given]
    assert graphs.captured == len(shapes)
    for each, replay in zip(given, replays):
        for part in filter(torch.is_tensor, (each.mel, each.excitation)):
            part.mul_(0.5).add_(0.01)
        each.audio.fill_(torch.nan)
        replay()
        torch.cuda.synchronize()
        captured = each.audio.clone()
        made.generator().bind(each)()
        torch.cuda.synchronize()
        assert torch.isfinite(captured).all() and (captured - each.audio).abs().max() < 1e-3
    first = [each.audio.clone() for each in given]
    for _ in range(3):  # one after another over the same memory
        for replay in replays:
            replay()
    torch.cuda.synchronize()
    for each, before in zip(given, first):
        assert (each.audio - before).abs().max() < 1e-3


@torch.no_grad()
def test_released_memory_goes_back(made):
    generator = made.generator()
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    generator.bind(made.buffers(8, 512))
    assert torch.cuda.memory_allocated() > before
    generator.release()
    assert torch.cuda.memory_allocated() == before
    given = made.buffers(1, 40)
    generator.bind(given)()
    torch.cuda.synchronize()
    assert torch.isfinite(given.audio).all()


def test_a_kept_plan_is_taken(made):
    made.generator()
    assert any(name.endswith(".plan") for name in made.store)
    assert "built before" in made.generator().how


def test_a_length_without_a_profile(made):
    with pytest.raises(EngineError, match="not made for mel"):
        made.generator().bind(made.buffers(1, 1025))


def test_a_damaged_plan_is_named(made):
    generator = made.generator()
    name = generator.origin.name + ".plan"
    kept = made.store[name]
    head = kept.index(b"}\n") + 2
    made.store[name] = kept[:head] + bytes(1000) + kept[head + 1000 :]
    try:
        with pytest.raises(EngineError, match="cannot load its plan"):
            made.generator()
    finally:
        made.store[name] = kept
