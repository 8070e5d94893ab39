"""Upstream's whole offline path around the specification gives upstream's own samples."""

import numpy as np
import pytest
import rvc_golden
import rvc_offline
import torch

INDEX = rvc_golden.FOLDER / "index_v2" / "added_IVF3_Flat_nprobe_1_Voice_v2.index"


@pytest.fixture(scope="module")
def voice():
    return rvc_golden.voice(rvc_golden.read("v2_40k/v2_40k.pth"))


@pytest.fixture(scope="module")
def index():
    return rvc_offline.stored(INDEX)


def steps(voice, case, index) -> int:
    """The largest difference in steps of int16, of a level of 28091 in one case, 16293 in the other."""
    pcm, lengths = rvc_offline.convert(voice, case, index if case["index_rate"] else None)
    assert lengths == case["pieces"].tolist()
    assert pcm.shape == case["pcm"].shape
    return int(np.abs(pcm.astype(int) - case["pcm"]).max())


@pytest.mark.parametrize("name", ["offline_one", "offline_cut"])
def test_to_one_step_of_int16(voice, index, name):
    """In one piece with f0 filled, and in three with an index, protection, another key and loudness."""
    assert steps(voice, rvc_golden.pieces(name), index) <= 1


def test_each_option_matters(voice, index):
    case = rvc_golden.pieces("offline_cut")
    for option, value in {"index_rate": 0.0, "protect": 0.5, "rms_mix_rate": 1, "unvoiced_filled": True}.items():
        assert steps(voice, case | {option: value}, index) > 100, option


@pytest.mark.parametrize("mix", [0.0, 0.25, 0.75, 1.0])
def test_loudness(mix):
    golden = rvc_golden.pieces("loudness")
    source, target = golden["source"].astype(np.float32), golden["target"].astype(np.float32)
    for sound, rate_hz, curve in ((source, 16000, "rms_source"), (target, 40000, "rms_target")):
        torch.testing.assert_close(rvc_offline.loudness(sound, rate_hz)[None], torch.from_numpy(golden[curve]))
    got = rvc_offline.bent(target, 40000, source, mix)[:: golden["step"]]
    np.testing.assert_allclose(got, golden[f"out_{mix}"], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["audio", "short"])
def test_highpass(name):
    golden = rvc_golden.pieces("highpass")
    got = rvc_offline.high_passed(golden[name])
    np.testing.assert_allclose(got, golden["out" if name == "audio" else "short_out"], rtol=0, atol=1e-12)
