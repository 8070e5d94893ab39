"""An evaluation of recordings: a bad one is named, the others go on."""

import json
import shutil
from pathlib import Path

import pytest
from evaluated import networks

SPEECH = Path(__file__).parent.parent / "examples" / "recordings" / "speech"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return networks(tmp_path_factory)


@pytest.mark.parametrize("bad", ["empty.wav", "text.wav"])
def test_a_bad_recording_is_named_and_the_others_go_on(made, tmp_path, bad):
    from click.testing import CliRunner

    from fastsvc.cli import main

    folder = tmp_path / "recordings"
    folder.mkdir()
    (folder / bad).write_bytes(b"" if bad == "empty.wav" else b"no sound")
    shutil.copy(SPEECH / "front_center.wav", folder / "z.wav")
    config = tmp_path / "evaluate.yaml"
    settings = {"model": str(made["engine"]), "clips": 0, "recordings": str(folder), "voices": ["ada"], "ears": "never"}
    config.write_text(json.dumps(settings))  # JSON is YAML
    called = CliRunner().invoke(main, ["evaluate", "-c", str(config), "-o", str(tmp_path / "out"), "-q"])
    assert called.exit_code == 1 and f"not evaluated: {folder / bad}: " in called.stderr
    written = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert [row["file"] for row in written["recordings"]["rows"]] == ["z.wav"]
    assert list(written["recordings"]["failed"]) == [str(folder / bad)]
    assert f"- {folder / bad}: " in (tmp_path / "out" / "evaluation.md").read_text()
    assert "mos" not in written["recordings"]["rows"][0]
