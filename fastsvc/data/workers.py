"""Recordings of a dataset processed side by side; one that takes its process with it takes no others."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool

from fastsvc import memory
from fastsvc.audio.io import TooLong
from fastsvc.children import Pool
from fastsvc.data.pieces import Made, process
from fastsvc.data.scan import Source
from fastsvc.errors import AudioError, FastsvcError, MissingPackageError, OutputError
from fastsvc.files import InWork

Result = Made | FastsvcError  # the items of a recording, or why there are none
_KILLED = "its process was killed, probably for lack of memory"


def processed(
    first: Sequence[Source], last: Sequence[Source], how: tuple, jobs: int, in_work: InWork
) -> Iterator[tuple[Source, Result]]:
    """Each recording and what became of it, as they are done; ``how``: pieces.process's out, settings and phones.

    ``last`` are taken when all others are done, and each alone; so are those that were in work when a process was
    killed, and those that need more memory than their share. Raises OutputError where no process can be started.
    """
    try:
        if jobs > 1 and len(first) + len(last) > 1:
            yield from _side_by_side(first, last, how, jobs, in_work)
            return
        for source in (*first, *last):
            in_work.begin(source.path)
            yield source, _work(source, how, 1)
            in_work.end(source.path)
    finally:
        in_work.close()


def _side_by_side(first, last, how, jobs: int, in_work: InWork) -> Iterator[tuple[Source, Result]]:
    waiting, alone, came = deque(first), deque(last), False
    while waiting or alone:
        together = bool(waiting)
        pool = Pool(min(jobs, len(waiting)) if together else 1, _one_thread)
        running: dict[Future, Source] = {}
        try:
            while waiting or alone or running:
                if together and not (waiting or running):
                    break  # the rest one by one, in a pool of its own
                some, most = (waiting, jobs + 1) if together else (alone, 1)
                while some and len(running) < most:
                    in_work.begin(some[0].path)
                    running[pool.submit(_work, some[0], how, jobs if together else 1)] = some[0]
                    some.popleft()  # only now: a broken pool takes nothing
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    result = future.result()
                    source = running.pop(future)
                    in_work.end(source.path)
                    if together and isinstance(result, TooLong):
                        alone.append(source)
                        continue
                    yield source, result
                    came = True
        except BrokenProcessPool:
            if together:
                alone.extend(running.values())
            elif came:
                for source in running.values():
                    in_work.end(source.path)
                    yield source, AudioError(f"{source.path}: {_KILLED}", "split the recording into shorter files")
            else:
                raise OutputError(f"prepare: a process was killed: {_KILLED}", "use --jobs 1") from None
        finally:
            pool.shutdown(cancel_futures=True)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _work(source: Source, how: tuple, among: int) -> Result:
    out, settings, phones = how
    try:
        return process(source.path, source.name, out, settings, phones, among)
    except MissingPackageError as error:  # would not survive pickling on its way out of a worker
        return FastsvcError(error.message, error.remedy)
    except FastsvcError as error:
        return memory.release_frames(error)
