"""`fastsvc live` on a real sound system: PulseAudio's null sink, whose monitor is the microphone. Skipped where there
is none: it needs PortAudio, its package sounddevice and a pulseaudio daemon, which only some machines have."""

import os
import shutil
import signal
import subprocess
import sys
import time

import engines
import pytest

from fastsvc.audio import io

pytestmark = pytest.mark.slow
PATIENCE_S = 60


@pytest.fixture
def pulse(tmp_path):
    """The environment of a PulseAudio daemon of its own, with a null sink."""
    for program in ("pulseaudio", "pactl"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    (tmp_path / "home").mkdir()
    environment = {**os.environ, "HOME": str(tmp_path / "home"), "XDG_RUNTIME_DIR": str(tmp_path / "home")}
    environment |= {"ALSA_CONFIG_PATH": "/usr/share/alsa/alsa.conf", "OMP_NUM_THREADS": "1"}
    (tmp_path / "home" / ".asoundrc").write_text("pcm.!default { type pulse }\nctl.!default { type pulse }\n")
    load = "--load=module-null-sink sink_name=null", "--load=module-native-protocol-unix"
    options = ["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", *load]
    daemon = subprocess.Popen(["pulseaudio", *options], env=environment, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 20
    while subprocess.run(["pactl", "info"], env=environment, capture_output=True).returncode:
        if daemon.poll() is not None or time.monotonic() > until:
            daemon.kill()
            pytest.skip("pulseaudio does not start here")
        time.sleep(0.2)
    yield environment
    daemon.terminate()
    daemon.wait()


def test_a_null_sink(pulse, tmp_path):
    model = engines.build_engine(tmp_path, steps=(1,))
    command = [sys.executable, "-m", "fastsvc", "live", "-m", str(model), "--spk", "Ada", "--gate", "off"]
    listed = subprocess.run([*command[:4], "--list"], env=pulse, capture_output=True, text=True, timeout=PATIENCE_S)
    if listed.returncode:
        pytest.skip(listed.stderr.strip())  # sounddevice or PortAudio is missing
    if "default" not in listed.stdout:
        pytest.skip("PortAudio finds no device of pulseaudio: ALSA's plugins are not installed")
    files = [tmp_path / name for name in ("in.wav", "out.wav")]
    process = subprocess.Popen([*command, "--record", *map(str, files)], env=pulse, stderr=-1, stdout=-1, text=True)
    until = time.monotonic() + PATIENCE_S
    while process.poll() is None and not (files[1].exists() and files[1].stat().st_size > 200_000):
        assert time.monotonic() < until, "nothing is played"
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    out, messages = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 143 and "Traceback" not in messages, messages
    assert "live: " in out and all(io.probe(name).samples > 40_000 for name in files)
