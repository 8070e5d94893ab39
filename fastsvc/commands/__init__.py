"""The commands of `fastsvc`: each parses its options, calls the room that does the work, and prints.

Heavy modules are imported inside the commands, so that `fastsvc --help` answers at once.
"""
