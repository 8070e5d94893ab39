"""Wraps the pages at 120 characters: README.md, CONTRIBUTING.md, CHANGELOG.md and docs/*.md.

python ci/wrap.py [PAGE…]     wraps paragraphs that have a longer line anew, and changes nothing else

Tables, headings, code and comments stay as they are, and the rendered pages do not change.
"""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LONGEST = 120
FENCE = re.compile(r"\s*(```|~~~)")
UNCHANGED = re.compile(r"\||#|<!--|    ")
SHORT_CODE = re.compile(r"`[^`]{1,40}`")  # not broken: `pip install .` reads as one word
ITEM = re.compile(r"\s*(?:[-*+] |\d+[.)] |> )?")
MEANS_SOMETHING = re.compile(r"[-*+>|#=] |\d+[.)] |[-=]+$")  # at a line's beginning


def pages() -> list[Path]:
    """The paths of all pages."""
    names = "README.md", "CONTRIBUTING.md", "CHANGELOG.md"
    return [*(ROOT / name for name in names), *sorted((ROOT / "docs").glob("*.md"))]


def wrapped(text: str) -> str:
    """The page, with every paragraph that has a longer line wrapped anew."""
    lines, paragraph, code = [], [], False
    for line in [*text.splitlines(), ""]:
        fence = bool(FENCE.match(line))
        unchanged = code or fence or not line.strip() or bool(UNCHANGED.match(line))
        code ^= fence
        if paragraph and (unchanged or MEANS_SOMETHING.match(line.lstrip())):
            lines += _broken(paragraph)
            paragraph = []
        if unchanged:
            lines.append(line)
        else:
            paragraph.append(line)
    return "\n".join(lines[:-1]) + "\n"


def _broken(paragraph: list[str]) -> list[str]:
    if max(map(len, paragraph)) <= LONGEST:
        return paragraph
    lead = ITEM.match(paragraph[0])[0]
    indent = lead if lead.endswith("> ") else " " * len(lead)
    text = paragraph[0] + "".join(" " + line.strip().removeprefix("> ") for line in paragraph[1:])
    text = SHORT_CODE.sub(lambda code: code[0].replace(" ", "\0"), text)
    for width in range(LONGEST, LONGEST - 20, -1):  # narrower, if a line would begin with a Markdown marker
        lines = textwrap.wrap(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        if not any(MEANS_SOMETHING.match(line.lstrip()) for line in lines[1:]):
            return [line.replace("\0", " ") for line in lines]
    return paragraph


if __name__ == "__main__":
    for page in map(Path, sys.argv[1:] or pages()):
        text = page.read_text(encoding="utf-8")
        if (new := wrapped(text)) != text:
            page.write_text(new, encoding="utf-8")
            print(f"{page}: wrapped")
