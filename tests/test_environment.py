"""The variables of the environment: known, described, and their words checked before the work."""

import re

import pytest
from command_line import run
from rooms import ROOT

from fastsvc import environment
from fastsvc.errors import ConfigError

VARIABLE = re.compile(r"FASTSVC_[A-Z]+(?:_[A-Z]+)*")
TESTS_OWN = {"FASTSVC_COMPILE", "FASTSVC_CRASHES", "FASTSVC_FUZZ", "FASTSVC_FUZZ_EACH", "FASTSVC_FUZZ_SEED"}
TESTS_OWN |= {"FASTSVC_LACKING", "FASTSVC_LONG", "FASTSVC_PICTURES", "FASTSVC_REHEARSAL", "FASTSVC_REHEARSAL_SECONDS"}
TESTS_OWN |= {"FASTSVC_SEED", "FASTSVC_SHARE", "FASTSVC_SLOWER"}


def variables(*folders, skipped=()):
    files = (path for folder in folders for path in (ROOT / folder).rglob("*.py") if path.name not in skipped)
    return {name for path in files for name in VARIABLE.findall(path.read_text(encoding="utf-8"))}


def test_every_variable_is_known_and_described():
    read = variables("fastsvc", "kernels", "build")
    assert read == {*environment.WORDS, *environment.TEXTS}
    assert variables("bench", "tests", skipped=("test_environment.py",)) - read == TESTS_OWN
    rows = re.findall(r"^\| (`FASTSVC.*?`) \|", (ROOT / "docs/environment.md").read_text(encoding="utf-8"), re.M)
    assert {name for row in rows for name in VARIABLE.findall(row)} == read | TESTS_OWN


@pytest.mark.parametrize("variable", environment.WORDS)
def test_unknown_values_are_errors(monkeypatch, variable):
    words = environment.WORDS[variable]
    monkeypatch.delenv(variable, raising=False)
    assert environment.word(variable) == words[0]
    for word in words:
        monkeypatch.setenv(variable, word)
        assert environment.word(variable) == word
    monkeypatch.setenv(variable, "")
    assert environment.word(variable) == words[0]
    monkeypatch.setenv(variable, "Yes")
    with pytest.raises(ConfigError, match=rf"^\${variable} is 'Yes' \(use one of .*\)$"):
        environment.word(variable)


def test_commands_refuse_them_before_the_work_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("FASTSVC_PERSISTENT", "on")
    result = run("prepare", tmp_path, "-o", tmp_path / "corpus", code=2)
    assert result.stderr == "error: $FASTSVC_PERSISTENT is 'on' (use one of 0, 1)\n"
    assert "--like" in run("prepare", "--help").output  # help is there all the same
