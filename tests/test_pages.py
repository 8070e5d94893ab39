"""Pages keep their lines within 120 characters, and breaking lines changes nothing that is shown."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = "CONTRIBUTING.md", "CHANGELOG.md", *(f"docs/{page.name}" for page in sorted((ROOT / "docs").glob("*.md")))


def _wrap():
    spec = importlib.util.spec_from_file_location("wrap", ROOT / "ci" / "wrap.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


wrap = _wrap()


@pytest.mark.parametrize("name", PAGES)
def test_lines_are_short(name):
    """If not: make format."""
    text = (ROOT / name).read_text(encoding="utf-8")
    assert wrap.wrapped(text) == text
    assert [
        line for line in text.splitlines() if len(line) > 120 and not line.startswith("|") and "](" not in line
    ] == []


def test_paragraphs_with_a_long_line_are_broken_anew():
    long = " ".join(["word"] * 40)
    lines = wrap.wrapped(f"short\n{long}\nend\n\nnext\nline\n").splitlines()
    assert " ".join(lines[:-3]) == f"short {long} end" and max(map(len, lines)) <= 120
    assert lines[-3:] == ["", "next", "line"]


def test_items_are_indented_and_stay_apart():
    long = " ".join(["word"] * 30)
    lines = wrap.wrapped(f"- {long}\n- two\n  more\n12. {long}\n").splitlines()
    assert [line[:4] for line in lines] == ["- wo", "  wo", "- tw", "  mo", "12. ", "    "]


def test_what_means_something_does_not_begin_a_line():
    text = f"{'x' * 115} a - b + c 1. d # e"
    lines = wrap.wrapped(text + "\n").splitlines()
    assert " ".join(lines) == text and not any(line.startswith(("- ", "+ ", "1. ", "# ")) for line in lines)


@pytest.mark.parametrize("start", ["| ", "# ", "    ", "<!-- ", "```\n"])
def test_tables_headings_and_code_stay(start):
    text = start + " ".join(["word"] * 40) + "\n"
    assert wrap.wrapped(text) == text
