"""`python -m fastsvc` is the command `fastsvc`."""

from fastsvc.cli import main

main(prog_name="fastsvc")
