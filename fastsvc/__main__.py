"""The command `fastsvc`, also as `python -m fastsvc`."""

import os
import signal
import sys

INTERRUPTED, TERMINATED = 130, 143  # exit codes, as shells have them for SIGINT and SIGTERM


def main() -> None:
    """Run the command line; neither it nor its children run programs or modules of the current folder.

    SIGTERM, and Ctrl-Break of Windows, end a command as Ctrl-C does, without half-written files; training and servers
    have handlers of their own.
    """
    terminated = []

    def terminate(number, frame):
        terminated.append(number)
        raise KeyboardInterrupt

    for name in ("SIGTERM", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, terminate)
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join(folder for folder in folders if os.path.isabs(folder))
    os.environ["PYTHONSAFEPATH"] = "1"
    # Read by the libraries of threads when PyTorch is loaded. Threads that spin while they wait for each other take the
    # processor from other programs, and up to twice the processor time here.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        from fastsvc.cli import main

        main(prog_name="fastsvc")
    except KeyboardInterrupt:  # before or after the command itself, which prints more
        sys.exit(TERMINATED if terminated else INTERRUPTED)
    except SystemExit as end:
        if terminated and end.code == INTERRUPTED:
            sys.exit(TERMINATED)
        raise
    finally:
        # All is printed and written. Another Ctrl-C would interrupt libraries at Python's exit, with a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    main()
