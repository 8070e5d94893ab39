"""The command `fastsvc`, also as `python -m fastsvc`."""

import os
import signal
import sys


def main() -> None:
    """The command line, with programs and modules of the current folder out of the reach of all that it starts."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join(folder for folder in folders if os.path.isabs(folder))
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        from fastsvc.cli import main

        main(prog_name="fastsvc")
    except KeyboardInterrupt:  # before or after the command itself, which says more
        sys.exit(130)
    finally:
        # All is told and written. One more Ctrl-C would break into what libraries do at Python's end, with a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    main()
