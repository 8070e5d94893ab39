"""A voice of RVC by the command line: zip → build → inspect → convert, with everything that can be wrong on the way."""

import json
import shutil
import zipfile
from pathlib import Path

import huberts
import numpy as np
import pytest
import rvc_engines
import rvc_golden
from command_line import run
from recordings import put, tone

from fastsvc.artifact import bundled
from fastsvc.audio import io
from fastsvc.commands import choose
from fastsvc.reading.folder_zip import FolderZip

INDEX = "added_IVF7_Flat_nprobe_1_Voice_v1.index"
NEEDED = "is a voice of RVC v1, whose content encoder is a file of its own: vec256l9 (256 channels"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A zip as people share it, a HuBERT, and the engine that the command line built of them; what it said."""
    folder = tmp_path_factory.mktemp("shared")
    with zipfile.ZipFile(folder / "voice.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.write(rvc_engines.voice("v1_40k"), "My voice (final)/Voice.pth")
        packed.write(rvc_golden.FOLDER / "index_v1" / INDEX, f"My voice (final)/{INDEX}")
    huberts.huggingface(folder / "hubert", rvc_engines.HUBERTS["v1"])
    told = run("build", folder / "voice.zip", "--content", folder / "hubert", "-o", folder / "voice.fsvc").stdout
    return folder, told


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for variable in (choose.MODEL_VARIABLE, "FASTSVC_RMVPE"):
        monkeypatch.delenv(variable, raising=False)
    put(Path("songs/stereo.wav"), tone(0.3, 44100, channels=2), 44100)
    put(Path("songs/more/short.wav"), tone(0.05, 16000), 16000)


def test_the_build_ends_with_the_next_command(shared):
    folder, told = shared
    assert f"read: index {INDEX}" in told and told.endswith(f"next: fastsvc convert SONG.wav -m {folder}/voice.fsvc\n")


def test_inspect(shared):
    folder, _ = shared
    packed, built = (run("inspect", folder / name).stdout for name in ("voice.zip", "voice.fsvc"))
    assert f"{folder}/voice.zip: RVC checkpoint, voice, step 0" in packed
    assert "to build     --content PATH: vec256l9 (256 channels" in packed and "hubert_base.pt" in packed
    assert "made from    voice.zip (rvc, step 0)\n" in built and "HuBERT, 9 layers × 32 channels" in built
    for text in (packed, built):
        assert "generator    RVC's HiFi-GAN, sines, 32 channels, (10, 10, 2, 2)\n" in text
        assert "voice        RVC v1, 40000 Hz, hop 400 samples, with pitch\n" in text
        assert f"index        {INDEX}, " in text and " units in 7 lists" in text
        assert "speakers     3, ids from 0; without --spk 0 " in text and "\n       2  speaker 2\n" in text


def test_inspect_names_the_manifests_default(shared):
    shutil.copytree(shared[0] / "voice.fsvc", "other.fsvc")
    file = Path("other.fsvc/manifest.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"default_speaker": 2}))
    assert "speakers     3, ids from 0; without --spk 2 speaker 2\n" in run("inspect", "other.fsvc").stdout


def test_an_evaluation_compares_mels_and_says_so(shared):
    engine = shared[0] / "voice.fsvc"
    result = run("evaluate", "-m", engine, "--recordings", "songs/more", "--clips", 0, "-o", "tables", "-q", code=2)
    assert result.stderr.count("\n") == 1 and "bench.ears_folder" in result.stderr and not Path("tables").exists()


def test_many_speakers_are_shortened():
    text = run("inspect", rvc_engines.voice("v1_40k_nof0")).stdout
    assert "speakers     109, ids from 0; without --spk 0 v1_40k_nof0\n" in text
    assert "… and 101 more, to 108 speaker 108\n" in text and text.count("  speaker ") == 7
    assert "without pitch" in text and "index        none beside it; name one with --index\n" in text


@pytest.mark.parametrize("options", [[], ["--force"]])
def test_without_its_content_encoder_it_is_not_built(shared, options):
    folder, _ = shared
    result = run("build", folder / "voice.zip", "-o", "new.fsvc", *options, code=2)
    assert result.stderr.count("\n") == 1 and NEEDED in result.stderr and "(name it with --content: " in result.stderr
    assert not Path("new.fsvc").exists()


@pytest.mark.parametrize("broken", [False, True])
def test_a_zip_that_is_refused_was_unpacked_once(shared, broken, monkeypatch):
    unpacked, real = [], FolderZip.unpack
    monkeypatch.setattr(FolderZip, "unpack", lambda self, name, *rest: unpacked.append(name) or real(self, name, *rest))
    path = shared[0] / "voice.zip"
    if broken:
        path = Path("broken.zip")
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr("Voice.pth", b"no tensors")
    result = run("build", path, "-o", "new.fsvc", code=2)
    assert (NEEDED in result.stderr) is not broken and len(unpacked) == len(set(unpacked)) >= 1, unpacked


def test_a_content_encoder_of_other_units(shared):
    folder, _ = shared
    huberts.huggingface(Path("other"))
    result = run("build", folder / "voice.zip", "--content", "other", "-o", "new.fsvc", code=2)
    assert result.stderr.startswith("error: other") and not Path("new.fsvc").exists()
    demo = run("build", folder / "voice.zip", "--content", bundled.VOICES, "-o", "new.fsvc", code=2)
    assert "the acoustic model was trained on vec256l9 (name HuBERT or ContentVec with --content)" in demo.stderr


def test_a_folder_is_converted(shared):
    """Each result as long as its recording, each channel on its own; the same command again does nothing."""
    command = "convert", "songs", "-m", shared[0] / "voice.fsvc", "-o", "out", "--f0", "yin"
    options = "--channels", "keep", "--transpose", 3, "--format", "flac", "--bits", 24, "--report", "r.json"
    result = run(*command, *options)
    assert "speaker: Voice (the engine's default; 2 others by --spk)\npitch: yin\n" in result.stdout
    stereo, rate_hz = io.read("out/stereo.flac")
    assert stereo.shape == (2, 13230) and rate_hz == 44100 and np.abs(stereo).max() > 0.01
    assert io.read("out/more/short.flac")[0].shape == (1, 800)
    settings = json.loads(Path("r.json").read_text())["settings"]
    effective = {"index_rate": 0.75, "protect": 0.33, "index_search": "exact", "unvoiced": "zero", "f0_method": "yin"}
    assert settings.items() >= effective.items()
    again = run(*command, *options)
    assert "skipped 2 whose results exist" in again.stdout


def test_the_options_change_what_they_should(shared):
    def converted(*options):
        name = "-".join(map(str, options)) or "plain"
        run("convert", "songs/more", "-m", shared[0] / "voice.fsvc", "-o", name, "--f0", "yin", *options)
        return io.read(Path(name, "short.wav"))[0]

    plain = converted()
    np.testing.assert_array_equal(converted("--index-rate", 0.75, "--protect", 0.33, "--index-search", "exact"), plain)
    for options in (("--index-rate", 0), ("--index-rate", 1), ("--spk", 1), ("--seed", 3)):
        assert np.abs(converted(*options) - plain).max() > 1e-3, options


def test_what_is_wrong_is_said_before_any_recording(shared):
    folder, _ = shared
    command = "convert", "songs", "-m", folder / "voice.fsvc"
    for options, words in (
        (("--transpose", "auto"), "build the engine again with --speaker-f0"),
        (("--spk", "Vice"), "did you mean 'Voice'?"),
        (("--normalise",), "takes recordings as they are, so --normalise does not apply to it (omit it)"),
        (("--f0-range", "60:5000"), "tracked to 4000 Hz"),
        (("--f0", "rmvpe"), "--f0-weights or $FASTSVC_RMVPE"),
        (("--steps", 2), "2 steps are not built in, 1 are (omit steps, as a voice of RVC draws once)"),
        (("--formant", 1), "so formants stay"),
    ):
        result = run(*command, *options, code=2)
        assert words in result.stderr and result.stderr.count("\n") == 1, options
    assert not Path("converted").exists()


def test_auto_with_the_voices_pitch(shared):
    folder, _ = shared
    content = "--content", folder / "hubert"
    run("build", folder / "voice.zip", *content, "-o", "low.fsvc", "--speaker-f0", "Voice:110", "--index", "none")
    result = run("convert", "songs/stereo.wav", "-m", "low.fsvc", "--transpose", "auto", "--f0", "yin")
    assert "-12 semitones" in result.stdout or "−12 semitones" in result.stdout, result.stdout
    assert (
        "holds no index, so --index-rate" in run("convert", "songs", "-m", "low.fsvc", "--index-rate", 1, code=2).stderr
    )
    assert "index        none: built without one (--index)" in run("inspect", "low.fsvc").stdout
