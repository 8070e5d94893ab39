"""The lowest version that setup.py allows of every package, as constraints for pip.

python ci/lowest.py [torch==2.13.0 …]     requirements named here replace setup.py's
python ci/lowest.py --declared f0,web     the requirements themselves, with those of extras, for a resolver
"""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent


def declared(setup: Path = ROOT / "setup.py") -> dict[str, list[str]]:
    """The requirements of setup.py: extra → requirements; "": always installed."""
    tools = mock.Mock()  # in place of setuptools, which newer Pythons do not include
    tools.find_packages.return_value = []
    with mock.patch.dict(sys.modules, setuptools=tools):
        runpy.run_path(str(setup))
    setup_arguments = tools.setup.call_args.kwargs
    return {"": setup_arguments["install_requires"], **setup_arguments["extras_require"]}


def name_of(requirement: str) -> str:
    """ "NumPy>=2.1; …" → "numpy", in the spelling of indexes."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()


def lowest(requirement: str) -> str:
    """ "numpy>=2.1,<3; marker" → "numpy==2.1; marker". Raises ValueError where no lowest version is named."""
    specifier, _, marker = (part.strip() for part in requirement.partition(";"))
    bound = re.search(r"(?:>=|==|~=)\s*([\w.+!]+)", specifier)
    if bound is None:
        raise ValueError(f"{requirement}: no lowest version")
    return f"{name_of(specifier)}=={bound[1]}" + (f"; {marker}" if marker else "")


def constraints(requirements: dict[str, list[str]], overrides: list[str] = ()) -> list[str]:
    """A line for each package; the highest of the lowest versions where extras differ."""
    lines = {name_of(line): line for line in overrides}
    for requirement in sorted((r for group in requirements.values() for r in group), key=_version, reverse=True):
        lines.setdefault(name_of(requirement), lowest(requirement))
    return [lines[name] for name in sorted(lines)]


def _version(requirement: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", lowest(requirement).partition(";")[0].partition("==")[2])]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--declared"]:
        groups = declared()
        print("\n".join(line for extra in ("", *sys.argv[2].split(",")) for line in groups[extra]))
    else:
        print("\n".join(constraints(declared(), sys.argv[1:])))
