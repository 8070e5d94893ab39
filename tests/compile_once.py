"""Every kernel of a set of tests compiled once, in several processes, before the tests themselves run.

`FASTSVC_COMPILE=2/8 python -m pytest tests/test_kernels.py …`: no kernel is started, so tests fail and are not counted.
Of the different kernels that they would start, each process compiles its share, here every eighth from the third on,
into Triton's cache. Tests that run afterwards, in as many processes as one likes, find all of them there.
"""

from __future__ import annotations


def share_of(words: str) -> tuple[int, int]:
    """ "2/8" → (2, 8)."""
    index, count = map(int, words.split("/"))
    if not 0 <= index < count:
        raise ValueError(f"{words} is not a share")
    return index, count


def prepare(words: str) -> None:
    """From now on a launch compiles its kernel, if it is of this share and has not been compiled yet."""
    from fastsvc.engine.cuda import launcher
    from fastsvc.kernels.launch import Launch

    (index, count), seen = share_of(words), set()

    def run(launch) -> None:
        name = launcher.key(launch.spec())
        if name in seen or int(name, 16) % count != index:
            return
        seen.add(name)
        options = {**launch.options, "launch_pdl": True} if launch.early else launch.options
        launch.kernel.warmup(**launch.arguments, grid=launch.grid, **launch.constants, **options)

    Launch.run = run
