"""A cut recording is refused whatever its format; what merely looks odd is read."""

import numpy as np
import pytest
from audio_files import WRITTEN, put

from fastsvc.audio import io
from fastsvc.errors import AudioError

LARGEST_LOSS = 0.05  # RMS of what lossy formats may change; of music() it is 0.22
CUTS = {"1 byte": 1, "5 bytes": 5, "a tenth off": 0.1, "half": 0.5, "a tenth left": 0.9, "almost all": 0.995}


@pytest.mark.parametrize("extension", sorted(WRITTEN))
def test_whole(tmp_path, extension):
    path, audio, rate_hz = put(tmp_path, extension)
    info = io.probe(path)
    assert (info.samples, info.channels, info.rate_hz) == (audio.shape[1], 2, rate_hz)
    got, got_hz = io.read(path)
    assert got.shape == audio.shape and got_hz == rate_hz
    error = WRITTEN[extension][3]
    if error is None:
        assert np.sqrt(np.mean((got - audio) ** 2)) < LARGEST_LOSS
    else:
        assert np.abs(got - audio).max() <= error


@pytest.mark.parametrize("extension", sorted(WRITTEN))
@pytest.mark.parametrize("cut", CUTS)
def test_cut(tmp_path, extension, cut):
    path, _, _ = put(tmp_path, extension)
    whole, share = path.read_bytes(), CUTS[cut]
    gone = share if isinstance(share, int) else int(len(whole) * share)
    path.write_bytes(whole[:-gone])
    reasons = []
    for look in (io.read, io.probe):
        try:
            look(path)
        except AudioError as error:
            reasons.append(str(error))
    assert reasons and "\n" not in reasons[0] and str(path) in reasons[0]
    if "byte" not in cut or WRITTEN[extension][0] not in ("FLAC", "MP3"):  # within their last frame
        assert len(reasons) == 2
    if share < 0.9:
        assert "cut short" in reasons[0]
