"""`fastsvc stream`: the bytes of the Python stream through real pipes, and every end of a pipe."""

import signal
import subprocess
import sys

import numpy as np
import pytest
import streams
from click.testing import CliRunner
from engines import build_engine

import fastsvc
from fastsvc.cli import main
from fastsvc.convert import pipe

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return build_engine(tmp_path_factory.mktemp("engine"))


# a shell's background jobs ignore SIGINT, and this test may run in one
HEEDING = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
HEEDING += "import fastsvc.__main__; fastsvc.__main__.main()"


def begun(model, *options):
    words = ["stream", "-m", str(model), "--spk", "Ada", "--rate", "24000", *options]
    return subprocess.Popen([sys.executable, "-c", HEEDING, *words], stdin=-1, stdout=-1, stderr=-1)


@pytest.mark.parametrize("format", ["f32", "s16"])
@pytest.mark.sampled(2)
def test_a_pipe_gives_the_bytes_of_a_stream(model, format):
    audio = streams.song(0.7, 24000)
    sent = pipe.encoded(audio, format)
    process = begun(model, "--format", format, "--block", "60", "--lookahead", "80", "--transpose", "2")
    got, messages = process.communicate(sent, timeout=120)
    assert process.returncode == 0, messages
    stream = fastsvc.load(model, device="cpu").stream("Ada", 24000, block_ms=60, lookahead_ms=80, transpose=2)
    want = streams.pushed(stream, pipe.decoded(sent, format), [len(audio)])
    assert got == pipe.encoded(want, format) and len(got) == len(sent)
    assert b"speaker: Ada" in messages and b"latency: block 58.7 + look-ahead 80.0 + filters" in messages


def test_blocks_come_before_the_input_ends(model):
    """And once nobody reads any more, the command ends without a word."""
    process = begun(model, "-q", "--block", "20", "--lookahead", "20")
    process.stdin.write(pipe.encoded(streams.song(0.5, 24000), "f32"))
    process.stdin.flush()
    assert len(process.stdout.read(4 * 1000)) == 4000  # while the input is open
    process.stdout.close()
    try:
        for _ in range(50):
            process.stdin.write(pipe.encoded(streams.song(0.5, 24000), "f32"))
        process.stdin.close()
    except BrokenPipeError:
        pass
    process.stdin = None
    assert process.wait(timeout=120) == 0 and process.stderr.read() == b""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for another process there")
def test_ctrl_c_is_one_line(model):
    process = begun(model, "--block", "20", "--lookahead", "20")
    process.stdin.write(pipe.encoded(streams.song(0.5, 24000), "f32"))
    process.stdin.flush()
    process.stdout.read(4)
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 130 and messages.splitlines()[-1] == b"interrupted" and b"Traceback" not in messages


def test_what_is_not_finite_or_not_whole_is_named(model):
    audio = streams.song(0.3, 24000)
    bad = audio.copy()
    bad[[5, 700, 701]] = np.nan, np.inf, 1e30
    got, messages = begun(model).communicate(bad.tobytes() + b"xyz", timeout=120)
    assert len(got) == 4 * len(audio) and np.isfinite(np.frombuffer(got, np.float32)).all()
    assert b"note: 3 samples were not finite or beyond all scale, and were taken as silence" in messages
    assert b"note: the input ended within a sample" in messages


@pytest.mark.parametrize(
    "options, words",
    [
        (["--block", "0.5"], "--block"),
        (["--lookahead", "nan"], "--lookahead"),
        (["--gain", "0"], "--gain"),
        (["--rate", "999"], "--rate"),
        (["--transpose", "auto"], "--transpose"),
        (["--format", "u8"], "--format"),
        (["--steps", "9"], "9 steps are not built in"),
        (["--spk", "Zoe"], "there is no speaker"),
    ],
)
def test_wrong_options_end_with_2(model, options, words):
    result = CliRunner().invoke(main, ["stream", "-m", str(model), "--spk", "Ada", "--rate", "24000", *options])
    assert result.exit_code == 2 and words in result.output and "Traceback" not in result.output


@pytest.mark.parametrize("variable, threads", [(None, 1), ("2", 2)])
def test_one_thread_computes_unless_the_user_says_otherwise(model, monkeypatch, variable, threads):
    import torch

    from fastsvc.commands.stream_options import opened

    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if variable:
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
    torch.set_num_threads(2)
    try:
        line, stream = opened(str(model), "Ada", 24000, 80.0, 160.0, {})
        assert torch.get_num_threads() == threads and "Ada" in line and stream.latency.block_ms > 70
    finally:
        torch.set_num_threads(before)
