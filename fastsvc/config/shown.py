"""Values of arguments and of strangers' files in messages: short, on one line, with no error of their own."""

from __future__ import annotations

import numbers
import reprlib
from pathlib import PurePath

PLAIN = (type(None), numbers.Number, str, bytes, list, tuple, dict, set, frozenset, PurePath)
MOST_BITS = 128  # of a whole number that is printed; Python itself refuses to print very long ones


class _Short(reprlib.Repr):
    def repr1(self, x, level):
        if not isinstance(x, PLAIN):
            return f"<{type(x).__name__}>"  # its own repr may run for ever, such as that of a huge tensor
        if isinstance(x, int) and x.bit_length() > MOST_BITS:
            return f"<a whole number of {x.bit_length()} bits>"
        return super().repr1(x, level)


_SHORT = _Short()
_SHORT.maxlevel = 2
_SHORT.maxother = _SHORT.maxstring = _SHORT.maxlong = 60


def shown(value) -> str:
    """A value for messages, never in full length: aliases can make the value of a short file endless."""
    return _SHORT.repr(value)
