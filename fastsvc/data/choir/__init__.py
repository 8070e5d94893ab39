"""The synthetic choir: singers without bodies that can all sing the same song.

Timing, pitch and loudness belong to a performance and timbre to a singer, so every conversion has a true target:
``render(target, performance.transposed(semitones))``.
"""

from fastsvc.errors import MissingPackageError

try:
    import scipy  # noqa: F401
except ImportError as error:
    raise MissingPackageError("scipy", "the synthetic choir", command="pip install scipy") from error

from fastsvc.data.choir.corpus import fill
from fastsvc.data.choir.performance import Performance, perform
from fastsvc.data.choir.phones import PHONES
from fastsvc.data.choir.roster import roster
from fastsvc.data.choir.score import Score, score
from fastsvc.data.choir.singer import Singer
from fastsvc.data.choir.synthesis import render

__all__ = ["PHONES", "Performance", "Score", "Singer", "fill", "perform", "render", "roster", "score"]
