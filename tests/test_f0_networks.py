"""CREPE, FCPE and RMVPE: against the packages' own results, in blocks, and with broken weights."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from fastsvc.errors import CheckpointError, ConfigError, MissingPackageError
from fastsvc.features import f0
from fastsvc.features.f0 import decode, networks, neural, pitch_weights
from fastsvc.model import rmvpe

GOLDEN = np.load(Path(__file__).parent / "data" / "f0" / "packages.npz")


def packaged(method):
    if importlib.util.find_spec(pitch_weights.PACKAGED[method][0]) is None:
        pytest.skip(f"the package {pitch_weights.PACKAGED[method][0]} is not installed")


def golden_audio():
    return torch.from_numpy(GOLDEN["audio"].astype(np.float32) / 32768)


def test_htk_filters_equal_librosas():
    librosa = pytest.importorskip("librosa", reason="the package librosa is not installed")
    limits = {"n_mels": rmvpe.MEL_BINS, "fmin": rmvpe.LOW_HZ, "fmax": rmvpe.HIGH_HZ, "htk": True}
    want = librosa.filters.mel(sr=networks.RATE_HZ, n_fft=rmvpe.WINDOW, **limits)
    np.testing.assert_allclose(networks._htk_filters(), want, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("method", ["crepe", "crepe-tiny", "fcpe"])
def test_salience_equals_the_package(method):
    packaged(method)
    name = method.replace("-", "_")
    got = torch.cat(list(networks.salience(method, golden_audio()))).numpy()
    assert got.shape == (26, 360)
    np.testing.assert_allclose(got[GOLDEN[f"{name}_frames"]], GOLDEN[f"{name}_salience"], atol=5e-6)
    if method == "fcpe":
        f0_hz, confidence = neural.track("fcpe", golden_audio(), 0.0, np.inf)
        np.testing.assert_allclose(np.where(confidence > 0.006, f0_hz, 0), GOLDEN["fcpe_f0_hz"], rtol=1e-5)
        return
    low, high = (1200 * np.log2(hz / 10) - float(networks.CENTS[0]) for hz in (50, 1100))
    bins = decode.best_bins(got, int(low // 20), int(np.ceil(high / 20)))
    np.testing.assert_array_equal(bins, GOLDEN[f"{name}_bins"])
    np.testing.assert_allclose(got[np.arange(26), bins], GOLDEN[f"{name}_periodicity"], atol=5e-6)


def test_the_path_is_the_cheapest():
    """Against Viterbi with the whole transition matrix, as torchcrepe writes it, also where the range cuts bins off."""
    salience = np.random.default_rng(0).uniform(size=(40, 360)).astype(np.float32) ** 8 * 4
    steps = np.maximum(12 - np.abs(np.arange(360)[:, None] - np.arange(360)), 0)
    with np.errstate(divide="ignore"):
        moves = np.log(steps / steps.sum(1, keepdims=True))  # [from, to]
    for low, high in ((0, 360), (39, 300)):
        cut = np.where((np.arange(360) >= low) & (np.arange(360) < high), salience, -np.inf)
        seen = np.log(np.exp(cut) / np.exp(cut).sum(1, keepdims=True), where=cut > -1, out=np.full(cut.shape, -np.inf))
        total, back = seen[0].astype(np.float64), []
        for row in seen[1:]:
            paths = total[:, None] + moves
            back.append(paths.argmax(0))
            total = paths.max(0) + row
        want = [int(total.argmax())]
        for came in reversed(back):
            want.append(int(came[want[-1]]))
        np.testing.assert_array_equal(decode.best_bins(salience, low, high), want[::-1])


def test_blocks_change_nothing():
    packaged("fcpe")
    audio = torch.cat([golden_audio()] * 8)
    fcpe = networks._network("fcpe", str(pitch_weights.find("fcpe")), "cpu")
    one, cut = (torch.cat(list(networks.fcpe_blocks(fcpe, audio, n))) for n in (10**6, 37))
    torch.testing.assert_close(cut, one, rtol=0, atol=1e-5)
    tiny = networks._network("crepe-tiny", str(pitch_weights.find("crepe-tiny")), "cpu")
    one, cut = (torch.cat(list(networks.crepe_blocks(tiny, audio[:9000], 85, n))) for n in (10**6, 7))
    torch.testing.assert_close(cut, one, rtol=0, atol=1e-5)


# The keys and shapes of the released file (`rmvpe.pt`, RVC's E2E(4, 1, (2, 2))), from its published source.
def released_shapes():
    shapes = {"unet.encoder.bn": ("norm", 1)}

    def block(prefix, before, after):
        for at in (0, 3):
            shapes[f"{prefix}.conv.{at}.weight"] = (after, before if at == 0 else after, 3, 3)
            shapes[f"{prefix}.conv.{at + 1}"] = ("norm", after)
        if before != after:
            shapes[f"{prefix}.shortcut.weight"] = (after, before, 1, 1)
            shapes[f"{prefix}.shortcut.bias"] = (after,)

    for i, size in enumerate((16, 32, 64, 128, 256)):
        for j in range(4):
            block(f"unet.encoder.layers.{i}.conv.{j}", (1 if i == 0 else size // 2) if j == 0 else size, size)
    for i in range(4):
        for j in range(4):
            block(f"unet.intermediate.layers.{i}.conv.{j}", 256 if i == j == 0 else 512, 512)
    for i, size in enumerate((256, 128, 64, 32, 16)):
        shapes[f"unet.decoder.layers.{i}.conv1.0.weight"] = (2 * size, size, 3, 3)
        shapes[f"unet.decoder.layers.{i}.conv1.1"] = ("norm", size)
        for j in range(4):
            block(f"unet.decoder.layers.{i}.conv2.{j}", 2 * size if j == 0 else size, size)
    shapes |= {"cnn.weight": (3, 16, 3, 3), "cnn.bias": (3,), "fc.1.weight": (360, 512), "fc.1.bias": (360,)}
    for end in ("", "_reverse"):
        shapes[f"fc.0.gru.weight_ih_l0{end}"] = (768, 384)
        shapes[f"fc.0.gru.weight_hh_l0{end}"] = (768, 256)
        shapes |= {f"fc.0.gru.bias_{side}h_l0{end}": (768,) for side in "ih"}
    return shapes


@pytest.fixture(scope="module")
def released():
    """Random weights of that form, of half precision as in RVC's file, with activations of a sensible size."""
    torch.manual_seed(0)
    state = {}
    for name, shape in released_shapes().items():
        if shape[0] == "norm":
            state |= {f"{name}.weight": torch.full((shape[1],), 0.5), f"{name}.bias": torch.zeros(shape[1])}
            state |= {f"{name}.running_mean": torch.zeros(shape[1]), f"{name}.running_var": torch.ones(shape[1])}
            state[f"{name}.num_batches_tracked"] = torch.tensor(7)
        else:
            fan = max(1, int(np.prod(shape[1:])))
            state[name] = torch.empty(shape).uniform_(-1, 1).mul_((3 / fan) ** 0.5)
    return {name: value.half() if value.is_floating_point() else value for name, value in state.items()}


@pytest.fixture(scope="module")
def rmvpe_file(released, tmp_path_factory):
    path = tmp_path_factory.mktemp("rmvpe") / "rmvpe.pt"
    torch.save(released, path)
    return path


@pytest.mark.slow
def test_rmvpe_runs_and_blocks_change_nothing(rmvpe_file, monkeypatch):
    network = networks._network("rmvpe", str(rmvpe_file), "cpu")
    assert sum(p.numel() for p in network.parameters()) == 90_423_165
    audio = torch.cat([golden_audio()] * 3)  # 75 + 1 frames, padded to 96
    whole = torch.cat(networks.rmvpe_blocks(network, audio))
    assert whole.shape == (76, 360) and bool(torch.isfinite(whole).all()) and float(whole.std()) > 1e-4
    # One pass of the plain module, the mel frames continued as upstream does.
    mel = networks.rmvpe_mel(audio)
    mel = torch.cat((mel, mel.flip(1)[:, 1:21]), 1)
    with torch.inference_mode():
        torch.testing.assert_close(whole, network(mel)[0, :76], rtol=0, atol=1e-5)
        # 32 frames a block: the halo of 1632 frames reaches both ends, the GRU's state goes from block to block.
        cut = torch.cat(networks.rmvpe_blocks(network, audio, 32))
    torch.testing.assert_close(cut, whole, rtol=0, atol=1e-5)
    f0_hz, voiced = f0.extract(audio, 16000, 160, 75, method="rmvpe", weights=rmvpe_file)
    assert f0_hz.shape == (75,) and bool(voiced.any()) and 50 <= float(f0_hz.min()) <= float(f0_hz.max()) <= 1100
    monkeypatch.setenv(pitch_weights.RMVPE_VARIABLE, str(rmvpe_file))
    assert torch.equal(f0.extract(audio, 16000, 160, 75, method="rmvpe")[0], f0_hz)


def test_the_halo_of_rmvpe_is_enough():
    """One frame that is no number reaches no further than the halo; one channel each, as channels have no reach."""
    network, ones = rmvpe.Rmvpe().eval(), [1] * rmvpe.LEVELS
    network.unet.encoder = rmvpe.LayerList([rmvpe.DownBlock(1, 1) for _ in ones], norm=True)
    network.unet.intermediate = rmvpe.LayerList([rmvpe.DownBlock(1, 1) for _ in range(rmvpe.MIDDLE_LAYERS)])
    network.unet.decoder = rmvpe.LayerList([rmvpe.UpBlock(1, 1) for _ in ones])
    network.cnn = torch.nn.Conv2d(1, 3, 3, padding=1)
    network = network.double().requires_grad_(False)  # in float32 faster convolutions would spread it further
    reach = []
    for place in (2048, 2048 + 15, 2048 + 31):
        mel = torch.ones(1, 4096, 32, dtype=torch.double)
        mel[:, place] = torch.nan
        lost = network.hidden(mel).isnan().any(2)[0].nonzero()[:, 0]
        reach.append(max(place - int(lost[0]), int(lost[-1]) - place))
    assert 1500 < max(reach) <= rmvpe.HALO_FRAMES


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda s: s.pop("cnn.bias"), "missing: cnn.bias"),
        (lambda s: s.update(extra=torch.zeros(1)), "unexpected: extra"),
        (lambda s: s.update({"fc.1.bias": torch.zeros(359)}), "fc.1.bias has shape 359 instead of 360"),
        (lambda s: s.update({"cnn.bias": torch.full((3,), torch.nan)}), "cnn.bias holds values that are not finite"),
    ],
)
def test_broken_weights_are_named(released, tmp_path, change, words, monkeypatch):
    state = dict(released)
    change(state)
    monkeypatch.setattr(pitch_weights.loading, "load", lambda path: {"model": state})
    with pytest.raises(CheckpointError, match=words):
        pitch_weights.read("rmvpe", tmp_path / "model.pt")


def test_unused_filters_are_left_out(released, monkeypatch):
    """yxlllc's file: {"model": …} with `unet.tf`, which its network never runs."""
    state = released | {"unet.tf.layers.0.conv.0.weight": torch.zeros(16, 16, 3, 3)}
    monkeypatch.setattr(pitch_weights.loading, "load", lambda path: {"model": state})
    assert isinstance(pitch_weights.read("rmvpe", Path("model.pt")), rmvpe.Rmvpe)


def test_what_is_missing_says_where_it_comes_from(monkeypatch, tmp_path):
    audio = np.zeros(1000, np.float32)
    monkeypatch.delenv(pitch_weights.RMVPE_VARIABLE, raising=False)
    with pytest.raises(ConfigError, match=r"weights file.*github.com/yxlllc/RMVPE.*--f0-weights or \$FASTSVC_RMVPE"):
        f0.extract(audio, 16000, 160, 6, method="rmvpe")
    with pytest.raises(CheckpointError, match="nowhere.pt: no such file"):
        f0.extract(audio, 16000, 160, 6, method="rmvpe", weights=tmp_path / "nowhere.pt")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match="needs the package torchfcpe.*pip install --no-deps torchfcpe"):
        f0.extract(audio, 16000, 160, 6, method="fcpe")


def test_fcpe_of_another_form_is_refused(monkeypatch, tmp_path):
    packaged("fcpe")
    content = pitch_weights.loading.load(pitch_weights.find("fcpe"))
    for change, words in (
        (lambda c: c["model"].pop("input_stack.3.bias"), "missing: input_stack.3.bias"),
        (lambda c: c["model"].pop("output_proj.weight_g"), "missing: output_proj.weight_g"),
        (
            lambda c: c["model"].pop("net.encoder_layers.2.conformer.net.4.conv.bias"),
            r"layers\.2\.conformer\.net\.4\.c",
        ),
        (lambda c: c["config_dict"]["mel"].update(hop_size=128), "mel.hop_size is 128, not 160"),
    ):
        copy = {"model": dict(content["model"]), "config_dict": {"mel": dict(content["config_dict"]["mel"])}}
        change(copy)
        monkeypatch.setattr(pitch_weights.loading, "load", lambda path, copy=copy: copy)
        with pytest.raises(CheckpointError, match=words):
            pitch_weights.read("fcpe", tmp_path / "it.pt")


def test_nothing_of_torchaudio_is_imported():
    import sys

    packaged("fcpe")
    f0.extract(golden_audio(), 16000, 160, 25, method="fcpe")
    assert not {"torchaudio", "torchfcpe", "torchcrepe"} & set(sys.modules)
