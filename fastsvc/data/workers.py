"""Recordings of a dataset, processed in parallel. A recording that kills its process costs no other recording."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool

from fastsvc import memory
from fastsvc.audio.io import TooLong
from fastsvc.children import Pool
from fastsvc.data.pieces import RecordingItems, process
from fastsvc.data.scan import Recording
from fastsvc.errors import AudioError, FastsvcError, MissingPackageError, OutputError
from fastsvc.files import InWork

Result = RecordingItems | FastsvcError  # the items of a recording, or why there are none
_KILLED = "its process was killed, probably for lack of memory"


def process_all(
    first: Sequence[Recording], last: Sequence[Recording], process_options: tuple, jobs: int, in_work: InWork
) -> Iterator[tuple[Recording, Result]]:
    """Yield (recording, items or error) as each is finished; ``process_options``: out, settings, phones of
    pieces.process.

    Recordings of ``last`` are processed after the others and one at a time; so are recordings whose process was killed
    and those that need more memory than their share. Raises OutputError where not even one process survives.
    """
    try:
        if jobs > 1 and len(first) + len(last) > 1:
            yield from _side_by_side(first, last, process_options, jobs, in_work)
            return
        for source in (*first, *last):
            in_work.begin(source.path)
            yield source, _work(source, process_options, 1)
            in_work.end(source.path)
    finally:
        in_work.close()


def _side_by_side(first, last, process_options, jobs: int, in_work: InWork) -> Iterator[tuple[Recording, Result]]:
    waiting, alone, any_finished = deque(first), deque(last), False
    while waiting or alone:
        together = bool(waiting)
        pool = Pool(min(jobs, len(waiting)) if together else 1, _one_thread)
        running: dict[Future, Recording] = {}
        try:
            while waiting or alone or running:
                if together and not (waiting or running):
                    break  # the remaining ones follow one at a time, in a new pool
                queue, limit = (waiting, jobs + 1) if together else (alone, 1)
                while queue and len(running) < limit:
                    in_work.begin(queue[0].path)
                    running[pool.submit(_work, queue[0], process_options, jobs if together else 1)] = queue[0]
                    queue.popleft()  # only after submit: a broken pool raises and must lose no recording
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    result = future.result()
                    source = running.pop(future)
                    in_work.end(source.path)
                    if together and isinstance(result, TooLong):
                        alone.append(source)
                        continue
                    yield source, result
                    any_finished = True
        except BrokenProcessPool:
            if together:
                alone.extend(running.values())
            elif any_finished:
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


def _work(source: Recording, process_options: tuple, processes: int) -> Result:
    out, settings, phones = process_options
    try:
        return process(source.path, source.name, out, settings, phones, processes)
    except MissingPackageError as error:  # cannot be pickled on its way out of a worker
        return FastsvcError(error.message, error.remedy)
    except FastsvcError as error:
        return memory.release_frames(error)
