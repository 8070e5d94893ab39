"""500 damaged recordings: no crash, hang, traceback, nor a recording made from garbage. Run by `make fuzz`.

FASTSVC_FUZZ: how many (default 500); FASTSVC_FUZZ_SEED: others.
"""

import os

import audio_fuzz
import pytest

COUNT, SEED = int(os.environ.get("FASTSVC_FUZZ", "500")), int(os.environ.get("FASTSVC_FUZZ_SEED", "0"))


@pytest.mark.timeout(3600)
def test_damaged_recordings(tmp_path, record_property):
    faults, read, refused = audio_fuzz.run(tmp_path / "fuzz", COUNT, SEED)
    record_property("say", f"fuzz: {COUNT} damaged recordings: {read} read, {refused} refused, {len(faults)} faults")
    assert not faults, "\n".join(faults)
