"""Files that messages, comments and pages name are there, and the GPU's gate is a test that needs a GPU."""

import ast
import re
from pathlib import Path

import pytest

from fastsvc.engine import backends

ROOT = Path(__file__).parent.parent
FOLDERS = "tests|bench|docs|configs|fastsvc|kernels|build|examples"
NAMED = re.compile(rf"(?<![\w/.<{{-])((?:{FOLDERS})/[\w./-]*\w\.(?:py|md|sh|yaml|json|png|npz))\b")
JOINED = re.compile(r'(?:ROOT|root) / ("[\w./-]+"(?: / "[\w./-]+")*)')
MODULE = re.compile(r"python3? -m ((?:bench|fastsvc)[\w.]*\w)")
LANE = re.compile(r"`make ([a-z-]+)")
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)\s]*)?\)")


def texts():
    folders = ("fastsvc", "kernels", "build", "bench", "tests", "docs", "configs")
    for pattern in ("*.py", "*.md", "*.sh", "*.yaml"):
        for folder in folders:
            yield from sorted((ROOT / folder).rglob(pattern))
    yield from (ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile", "setup.py"))


def test_named_files_exist():
    lacking, seen = [], 0
    for path in texts():
        if path == Path(__file__):
            continue
        for name in NAMED.findall(path.read_text(encoding="utf-8")):
            seen += 1
            if "NAME" not in name and not any((root / name).is_file() for root in (ROOT, ROOT / "fastsvc")):
                lacking.append(f"{path.relative_to(ROOT)} names {name}")
    assert not lacking, "\n".join(lacking)
    assert seen > 50


def test_paths_joined_from_the_root_exist():
    lacking, seen = [], 0
    for path in texts():
        for joined in JOINED.findall(path.read_text(encoding="utf-8")) if path.suffix == ".py" else ():
            name = "/".join(re.findall(r'"([^"]+)"', joined))
            seen += re.match(f"({FOLDERS})/", name) is not None
            if re.match(f"({FOLDERS})/", name) and not (ROOT / name).exists():
                lacking.append(f"{path.relative_to(ROOT)} names {name}")
    assert not lacking and seen > 20, lacking


def test_named_programs_exist():
    for path in texts():
        for name in MODULE.findall(path.read_text(encoding="utf-8")):
            if "NAME" in name:
                continue
            place = ROOT.joinpath(*re.sub(r"^fastsvc\.(?=(kernels|build)\.)", "", name).split("."))
            assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), f"{path} names {name}"


def test_named_lanes_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    lanes = {lane for path in texts() for lane in LANE.findall(path.read_text(encoding="utf-8"))}
    lacking = {lane for lane in lanes if not re.search(rf"^{lane}:", makefile, re.MULTILINE)}
    assert not lacking and len(lanes) > 5, lacking


def test_links_of_pages_lead_somewhere():
    pages = [path for path in texts() if path.suffix == ".md"]
    links = [(page, target) for page in pages for target in LINK.findall(page.read_text(encoding="utf-8"))]
    lacking = [f"{page.relative_to(ROOT)}: {target}" for page, target in links if not (page.parent / target).exists()]
    assert not lacking and len(links) > 10, lacking


def test_the_gate_of_the_gpu_needs_a_gpu():
    """What must pass on a GPU before it is taken by default is skipped everywhere else, and not on one."""
    for name in backends.GATE:
        source = (ROOT / name).read_text(encoding="utf-8")
        marks = [ast.unparse(node.value) for node in ast.parse(source).body if isinstance(node, ast.Assign)
                 and node.targets[0].id == "pytestmark"]  # fmt: skip
        assert marks == ["pytest.mark.gpu"]
    assert "tests" in (ROOT / "bench/gpu.sh").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["tests/test_gone.py", "`docs/none.md`", "(bench/none.sh)"])
def test_a_name_is_found(name):
    assert NAMED.findall(f"see {name} for more")
