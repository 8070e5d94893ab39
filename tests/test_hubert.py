"""HuBERT: the specification against transformers, the encoder against the specification."""

import dataclasses

import golden
import huberts
import numpy as np
import pytest
import torch

from fastsvc.config import HubertConfig, hubert_units
from fastsvc.data.units import describe
from fastsvc.engine.cpu import denoiser_bf16
from fastsvc.errors import ConfigError
from fastsvc.features import hubert
from fastsvc.features.hubert import HubertEncoder, windows
from fastsvc.model.hubert import Hubert


def plain(config=huberts.TINY, seed=0):
    model = Hubert(config).eval()
    model.load_state_dict(huberts.tensors(config, seed))
    return model.requires_grad_(False)


def encoder_of(config=huberts.TINY):
    return HubertEncoder(config, huberts.tensors(config))


def audio_of(samples, offset=0.02):
    return 0.1 * torch.randn(samples) + offset


@pytest.mark.slow
@pytest.mark.parametrize("samples", [400, 719, 720, 5000, 16001])
@pytest.mark.sampled(5)
def test_equals_transformers(samples):
    transformers = pytest.importorskip("transformers", reason="transformers (extra: test) is what we compare with")
    values = {key: value for key, value in huberts.huggingface_config().items() if key != "model_type"}
    theirs = transformers.HubertModel(transformers.HubertConfig(**values)).eval()
    state = huberts.huggingface_state(huberts.tensors(), parametrised=True)
    state = {name: value for name, value in state.items() if not name.startswith("final_proj")}
    theirs.load_state_dict(state | {"masked_spec_embed": torch.zeros(32)})
    audio = audio_of(2 * samples).view(2, -1)
    with torch.no_grad():
        states = theirs(audio, output_hidden_states=True).hidden_states
    for layer in (1, 2, 3):
        config = dataclasses.replace(huberts.TINY, layers=layer, projection=0)
        got = Hubert(config).eval()
        got.load_state_dict(huberts.tensors(), strict=False)
        with torch.no_grad():
            units = got(audio)
        assert units.shape == (2, (samples - 80) // 320, 32)
        assert golden.relative(units, states[layer]) < 1e-5
    with torch.no_grad():
        projected = torch.nn.functional.linear(states[3], *(plain().final_proj.weight, plain().final_proj.bias))
    assert golden.relative(plain()(audio), projected) < 1e-5


def test_the_full_size_has_the_shapes_of_transformers():
    transformers = pytest.importorskip("transformers", reason="transformers (extra: test) is what we compare with")
    with torch.device("meta"):
        theirs = transformers.HubertModel(transformers.HubertConfig()).state_dict()
        ours = Hubert(HubertConfig(projection=256)).state_dict()
    shapes = {name: tuple(value.shape) for name, value in theirs.items() if name != "masked_spec_embed"}
    direction = shapes.pop("encoder.pos_conv_embed.conv.parametrizations.weight.original1")
    assert shapes.pop("encoder.pos_conv_embed.conv.parametrizations.weight.original0") == (1, 1, 128)
    shapes |= {"encoder.pos_conv_embed.conv.weight": direction}
    shapes |= {"final_proj.weight": (256, 768), "final_proj.bias": (256,)}
    assert {name: tuple(value.shape) for name, value in ours.items()} == shapes
    assert sum(value.numel() for value in ours.values()) == 94_370_816 + 196_864  # HuBERT-base, final_proj


@pytest.mark.parametrize("samples", [400, 720, 721, 16000, 100 * 320 + 80, 101 * 320 + 80, 33333 * 2])
@pytest.mark.parametrize("projection", [0, 8])
@pytest.mark.sampled(3)
def test_encoder_equals_the_specification(samples, projection):
    config = dataclasses.replace(huberts.TINY, projection=projection)
    audio = audio_of(samples)
    got = encoder_of(config).encode(audio)
    assert got.shape == ((samples - 80) // 320, projection or 32)
    assert golden.relative(got, plain(config)(audio[None])[0]) < 1e-5


@pytest.mark.parametrize("audio", [torch.zeros(8000), torch.full((8000,), 0.5), 1e-6 * torch.ones(8000).cumsum(0)])
def test_silence_and_offsets_as_specified(audio):
    assert golden.relative(encoder_of().encode(audio), plain()(audio[None])[0]) < 1e-4


@pytest.mark.parametrize("samples, units", [(0, 1), (1, 1), (399, 1), (719, 1), (720, 2)])
def test_short_audio_still_has_a_unit(samples, units):
    result = encoder_of().encode(audio_of(samples))
    assert result.shape == (units, 8) and torch.isfinite(result).all()


def test_arrays_and_tensors_alike():
    encoder, audio = encoder_of(), audio_of(4000)
    assert torch.equal(encoder.encode(audio), encoder.encode(audio.numpy()))
    assert torch.equal(encoder.encode(audio), encoder.encode(np.repeat(audio.numpy(), 2)[::2]))
    with pytest.raises(ValueError, match="samples"):
        encoder.encode(torch.zeros(2, 4000))


def cut_small(monkeypatch, context):
    for name, value in {"WHOLE": 100, "KEEP": 70, "CONTEXT": context, "FADE": 7, "FRONT": 9}.items():
        monkeypatch.setattr(hubert, name, value)


@pytest.mark.parametrize("units", [101, 140, 211, 282])
def test_windows_that_see_everything_change_nothing(monkeypatch, units):
    encoder, audio = encoder_of(), audio_of(units * 320 + 80)
    whole = encoder.encode(audio)
    cut_small(monkeypatch, context=300)
    assert len(windows(units)) > 1
    assert golden.relative(encoder.encode(audio), whole) < 1e-5


@pytest.mark.parametrize("context", [0, 5, 60])
def test_all_but_attention_is_exact_in_windows(monkeypatch, context):
    """Convolutions, the group norm over all of it, and positions: with attention silenced nothing may differ."""
    encoder, audio = encoder_of(), audio_of(300 * 320) * torch.linspace(0, 2, 300 * 320)
    for layer in encoder.model.encoder.layers:
        layer.attention.out_proj.weight.zero_()
    whole = encoder.encode(audio)
    cut_small(monkeypatch, context)
    assert golden.relative(encoder.encode(audio), whole) < 1e-5


def test_windows_differ_from_one_pass_by_what_lies_far_away(monkeypatch):
    """More context, less difference: attention that is nearly flat averages over more of the recording."""
    encoder, audio = encoder_of(), audio_of(1000 * 320)
    whole = encoder.encode(audio)
    errors = []
    for context in (0, 100, 400):
        cut_small(monkeypatch, context)
        errors.append(golden.relative_rms(encoder.encode(audio), whole))
    assert 0.1 > errors[0] > errors[1] > errors[2] > 0


def test_windows_lie_at_absolute_places():
    assert windows(3000) == [(0, 3000, 0, 3000)]
    assert windows(5001) == [(0, 2000, 0, 2500), (2000, 4000, 1500, 4500), (4000, 5001, 3500, 5001)]


def test_the_encoder_shares_its_weights_and_tells_who_it_is():
    tensors = huberts.tensors()
    encoder = HubertEncoder(huberts.TINY, tensors)
    name = "encoder.layers.0.feed_forward.output_dense.weight"
    assert encoder.model.state_dict()[name].data_ptr() == tensors[name].data_ptr()
    told = describe(encoder)
    assert told["hash"] != describe(HubertEncoder(huberts.TINY, huberts.tensors(seed=1)))["hash"]
    assert (told["name"], told["rate_hz"], told["hop_samples"], told["channels"]) == ("vec8l3", 16000, 320, 8)


@pytest.mark.parametrize(
    "name, means",
    [
        ("vec768l12", (768, 12)),
        ("vec256l9", (256, 9)),
        ("vec256l12", (256, 12)),
        ("contentvec768l12", (768, 12)),
        ("contentvec", (256, 9)),
        ("contentvec768", (768, 9)),
        ("hubertbase", (256, 9)),
        ("hubertbase768l12", (768, 12)),
        ("recogniser", None),
        ("hubertsoft", None),
        ("whisper-ppg", None),
        ("vec768l12tta2x", None),
    ],
)
def test_names_of_units(name, means):
    assert hubert_units(name) == means


def test_cutting_the_configuration():
    full = HubertConfig(projection=256)
    assert (full.hop_samples, full.window_samples) == (320, 400)
    assert [full.cut(name).units for name in ("vec768l12", "contentvec", "vec256l12")] == [
        "vec768l12",
        "vec256l9",
        "vec256l12",
    ]
    for config, name, why in [
        (full, "vec768l13", "layer 13"),
        (full, "vec768l0", "layer 0"),
        (full, "vec512l12", "512 channels"),
        (HubertConfig(), "vec256l9", "final_proj missing"),
        (full.cut("vec256l9"), "vec768l12", "has 9"),
        (full, "hubertsoft", "does not name"),
    ]:
        with pytest.raises(ConfigError, match=why):
            config.cut(name)


@pytest.mark.skipif(not denoiser_bf16.supported(), reason="this processor has no bfloat16 units")
@pytest.mark.parametrize("samples", [399, 719, 16001])
@torch.no_grad()
def test_in_bfloat16_it_is_no_worse_than_autocast(samples):
    config = dataclasses.replace(huberts.TINY, channels=64)
    rounded, audio = HubertEncoder(config, huberts.tensors(config), dtype=torch.bfloat16), audio_of(samples)
    exact, usual = encoder_of(config).encode(audio), plain(config)
    with torch.autocast("cpu", torch.bfloat16):
        padded = torch.nn.functional.pad(audio, (0, max(0, 400 - samples)))
        error = golden.relative_rms(usual(padded[None])[0].float(), exact)
    assert 1e-4 < golden.relative_rms(rounded.encode(audio), exact) <= 2 * error
