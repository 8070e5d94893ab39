"""A command killed at random moments, and run again: `python tests/crashes.py COMMAND FOLDER TRIES SEED` → JSON.

One process loads what all need and forks a child for each try, so that a try costs no more than the command itself.
A third of the children are killed by the clock; the others kill themselves at an event of the file system in their
folder, where a crash is worst: an opening, a renaming, a removal, or a write, of which a half reaches the file.
"""

import builtins
import contextlib
import io
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

EVENTS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.chmod", "shutil.rmtree", "ctypes.dlsym"}


class Events:
    """``kinds`` of those seen; the one of number ``kill_at`` is the process's last."""

    def __init__(self, folder: Path, kill_at: int | None):
        self.folder, self.kill_at, self.kinds = str(folder.resolve()), kill_at, []

    def last(self, kind: str) -> bool:
        self.kinds.append(kind)
        return len(self.kinds) == self.kill_at

    def inside(self, path) -> bool:
        return isinstance(path, (str, bytes, os.PathLike)) and os.path.abspath(os.fsdecode(path)).startswith(
            self.folder
        )

    def see(self, event: str, arguments: tuple) -> None:
        """An audit hook of the interpreter."""
        if (event in EVENTS or (event == "open" and self.inside(arguments[0]))) and self.last(event):
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self) -> None:
        """See the interpreter's events, and every write to a file."""
        sys.addaudithook(self.see)
        opened, opened_fd = open, os.fdopen

        def watched(path, mode="r", *rest, **options):
            file = opened(path, mode, *rest, **options)
            return Torn(file, self) if set(mode) & set("wax+") and self.inside(path) else file

        builtins.open = io.open = watched
        os.fdopen = lambda *arguments: Torn(opened_fd(*arguments), self)


class Torn:
    """An open file of whose last write a half arrives."""

    def __init__(self, file, events: Events):
        self.file, self.events = file, events

    def write(self, data):
        if self.events.last("write"):
            self.file.write(data[: len(data) // 2])
            self.file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *details):
        self.file.close()

    def __iter__(self):
        return iter(self.file)


def child(folder: Path, command: list[str], kill_at: int | None) -> int:
    """Fork; the child runs ``command`` in ``folder`` and kills itself at the event of that number. Returns its pid."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        os.chdir(folder)
        log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        from fastsvc.cli import main

        events = Events(folder, kill_at)
        events.watch()
        with contextlib.suppress(SystemExit):
            main(command, standalone_mode=False)
            code = 0
        kinds = json.dumps(events.kinds)
        Path("events").write_text(kinds)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def whole(folder: Path, command: list[str]) -> tuple[list[str], float]:
    """An uninterrupted run: its events, and how many seconds it took. Raises where it fails."""
    start = time.monotonic()
    _, status = os.waitpid(child(folder, command, None), 0)
    if os.waitstatus_to_exitcode(status):
        raise RuntimeError(f"{command}: {(folder / 'log').read_text()}")
    return json.loads((folder / "events").read_text()), time.monotonic() - start


def killed(folder: Path, command: list[str], kill_at: int | None, after_s: float) -> bool:
    """Whether the kill came before the command's end."""
    pid = child(folder, command, kill_at)
    if kill_at is None:
        time.sleep(after_s)
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status)


def one_of(events: list[str], draw: random.Random) -> int:
    """The number of an event, of each kind as often: renamings are few, and matter."""
    kind = draw.choice(sorted(set(events)))
    return draw.choice([number for number, one in enumerate(events, 1) if one == kind])


def main(name: str, root: Path, tries: int, seed: int) -> dict:
    import crash_cases

    case = crash_cases.CASES[name]
    draw = random.Random(f"{name}{seed}")
    shutil.rmtree(root, ignore_errors=True)
    start = root / "start"
    case.prepare(start)
    wanted = root / "wanted"
    shutil.copytree(start, wanted)
    events, seconds = whole(wanted, case.command)
    found = {"events": len(events), "tries": 0, "killed": 0, "lost": []}
    for number in range(tries):
        folder = root / f"try{number}"
        shutil.copytree(start, folder)
        kill_at = one_of(events, draw) if number % 3 < 2 else None
        found["tries"] += 1
        found["killed"] += killed(folder, case.command, kill_at, draw.uniform(0, seconds))
        wrong = case.half(start, wanted, folder)
        try:
            whole(folder, case.again)
            wrong += case.different(wanted, folder)
        except Exception as error:
            wrong.append(f"{type(error).__name__}: {error}")
        wrong += [f"left behind: {path}" for path in folder.rglob(".fastsvc-*.tmp")]
        if wrong:
            found["lost"].append({"try": number, "kill_at": kill_at, "wrong": wrong})
        else:
            shutil.rmtree(folder)
    return found


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))))
