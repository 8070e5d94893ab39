"""A command killed at random moments, and run again: `python tests/crashes.py COMMAND FOLDER TRIES SEED` → JSON.

One process loads what all need and forks a child for each try, so that a try costs no more than the command itself.
Half the children kill themselves at an event of the file system (an opening, a renaming, a removal …), where a crash
is worst; the others are killed by the clock.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.chmod", "ctypes.dlsym"}


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
        count = [0]

        def see(event, arguments):
            if event not in EVENTS or (event == "open" and isinstance(arguments[0], int)):
                return
            count[0] += 1
            if count[0] == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(see)
        from fastsvc.cli import main

        with contextlib.suppress(SystemExit):
            main(command, standalone_mode=False)
            code = 0
        Path("events").write_text(str(count[0]))
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def whole(folder: Path, command: list[str]) -> tuple[int, float]:
    """An uninterrupted run: how many events, how many seconds. Raises where it fails."""
    start = time.monotonic()
    _, status = os.waitpid(child(folder, command, None), 0)
    if os.waitstatus_to_exitcode(status):
        raise RuntimeError(f"{command}: {(folder / 'log').read_text()}")
    return int((folder / "events").read_text()), time.monotonic() - start


def killed(folder: Path, command: list[str], kill_at: int | None, after_s: float) -> bool:
    """Whether the kill came before the command's end."""
    pid = child(folder, command, kill_at)
    if kill_at is None:
        time.sleep(after_s)
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status)


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
    found = {"events": events, "tries": 0, "killed": 0, "lost": []}
    for number in range(tries):
        folder = root / f"try{number}"
        shutil.copytree(start, folder)
        by_event = number % 2 == 0
        kill_at = draw.randint(1, events) if by_event else None
        found["tries"] += 1
        found["killed"] += killed(folder, case.command, kill_at, draw.uniform(0, seconds))
        wrong = case.half(start, wanted, folder)
        whole(folder, case.again)
        wrong += case.different(wanted, folder)
        wrong += [f"left behind: {path}" for path in folder.rglob(".fastsvc-*.tmp")]
        if wrong:
            found["lost"].append({"try": number, "kill_at": kill_at, "wrong": wrong})
        else:
            shutil.rmtree(folder)
    return found


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))))
