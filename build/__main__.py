"""`python -m build` in the repository means PyPA's build, whose name this folder hides there: hand over to it.

The compiler has no program of its own: `fastsvc build` starts it.
"""

import os
import runpy
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def hand_over() -> None:
    """Run the installed package build as `python -m build` would elsewhere. Ends with 1 where there is none."""
    sys.path[:] = [folder for folder in sys.path if os.path.realpath(folder) != os.path.realpath(ROOT)]
    for name in [name for name in sys.modules if name.partition(".")[0] == "build"]:
        del sys.modules[name]
    try:
        runpy.run_module("build", run_name="__main__", alter_sys=True)
    except ImportError as error:
        if "build" not in str(error):
            raise
        sys.exit("error: PyPA's build, which makes wheels, is not installed: install it with pip install build")


if __name__ == "__main__":
    if __spec__ is not None and __spec__.parent == "build":
        hand_over()
    else:
        sys.exit("error: the compiler has no program of its own: run fastsvc build CHECKPOINT")
