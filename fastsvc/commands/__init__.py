"""The commands of `fastsvc`: each parses its options, calls the room that does the work, and prints.

Whatever is heavy is imported inside the commands, so that `fastsvc --help` answers at once.
"""
