"""The API's pages from docstrings, every module of the package: docs/api/index.html. `make docs` calls this.

python ci/api.py [FOLDER]     writes into another folder
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def modules() -> list[str]:
    """Dotted names, also of modules that their package's ``__all__`` does not name."""
    names = set()
    for folder in ("fastsvc", "kernels", "build"):
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if path.resolve() == path and parts[-1] != "__main__":  # the links in fastsvc/ lead to the other two
                parts = parts[:-1] if parts[-1] == "__init__" else parts
                names.add(".".join(parts if folder == "fastsvc" else ("fastsvc", *parts)))
    return sorted(names)


if __name__ == "__main__":
    import pdoc

    # A package brings those of its modules that `__all__` names, and then each is named once more.
    warnings.filterwarnings("ignore", "The module specification")
    pdoc.render.configure(docformat="restructuredtext")
    pdoc.pdoc(*modules(), output_directory=Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "api")
