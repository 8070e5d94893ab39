"""The command `fastsvc`, also as `python -m fastsvc`."""

import os


def main() -> None:
    """The command line, with programs and modules of the current folder out of the reach of all that it starts."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join(folder for folder in folders if os.path.isabs(folder))
    os.environ["PYTHONSAFEPATH"] = "1"
    from fastsvc.cli import main

    main(prog_name="fastsvc")


if __name__ == "__main__":
    main()
