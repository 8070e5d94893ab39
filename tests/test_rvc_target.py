"""build --target for a voice of RVC: its generator's kernels alone, compiled without a GPU, as one looks them up."""

import pytest
import rvc_engines
import torch

pytest.importorskip("triton")

from fastsvc.artifact import engine_folder
from fastsvc.artifact.device_part import DevicePart
from fastsvc.build.passes import measure
from fastsvc.engine.cuda import launch_plan, launcher

ARCH = 90


@pytest.mark.slow
@pytest.mark.long
def test_kernels_for_a_gpu(tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "SECONDS_OF_AUDIO", {"latent": 0.1, "vocoder": 0.01})
    monkeypatch.setattr(launch_plan, "vocoder_shapes", lambda: [(2, 64)])
    path = rvc_engines.build_engine(tmp_path, target=f"sm_{ARCH}")
    folder = engine_folder.Artifact(path)
    part = DevicePart(folder, f"sm_{ARCH}")
    listing, why = launcher.usable_listing(part, ARCH)
    assert listing is not None, why
    kernels = listing["kernels"]
    operations = "source", "conv", "residual_unit", "upsample", "waveform"
    assert {entry["name"] for entry in kernels.values()} == {f"{name}_kernel" for name in operations}
    for entry in kernels.values():
        assert part.read(entry["file"])[:4] == b"\x7fELF"
        assert entry["stack"] == 0, f"{entry['name']} spills"
    vocoder = folder.manifest.vocoder.config
    needed = [*launch_plan.generator(vocoder, torch.float16, ARCH, [(2, 64)]), launch_plan.source(vocoder)]
    assert {launcher.key(launch.spec()) for launch in needed} == set(kernels)
