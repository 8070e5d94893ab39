"""Who may import whom (tests/rooms.py), and how long a file may be: read from the sources without running them."""

import ast
from pathlib import Path

import pytest
import rooms
from rooms import BASE, ROOMS, ROOT

HEAVY = {"torch", "numpy", "librosa", "scipy", "soundfile", "yaml", "tqdm", "matplotlib", "tensorboard", "soxr", "av"}


def sources():
    for folder in ("fastsvc", "kernels", "build"):
        yield from sorted(path for path in (ROOT / folder).rglob("*.py") if path.resolve() == path)


def module(path: Path) -> str:
    """Its dotted name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    return ".".join(parts if parts[0] == "fastsvc" else ("fastsvc", *parts))


MODULES = {module(path): path for path in sources()}


def room(name: str) -> str:
    """The room of a module of ours; of fastsvc itself "fastsvc"."""
    return [*name.split("."), "fastsvc"][1] if name != "fastsvc" else name


def imported(path: Path, top_level_only: bool = False) -> set[str]:
    """Dotted names of what a file imports, wherever in it; `from a import b` gives a.b."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def modules_of(path: Path) -> set[str]:
    """Modules of ours that a file imports. Raises AssertionError for one that is spelt by its place on the disk."""
    found = set()
    for name in imported(path):
        assert name.split(".")[0] not in ("kernels", "build", "bench", "tests"), f"{path}: write fastsvc.{name}"
        while name.startswith("fastsvc") and name not in MODULES:
            name = name.rpartition(".")[0]
        if name.startswith("fastsvc"):
            found.add(name)
    return found


def test_the_rooms_are_those_that_exist():
    assert {room(name) for name in MODULES} == {*BASE, *ROOMS}


@pytest.mark.parametrize("name", [*BASE, *ROOMS])
def test_direction(name):
    allowed = rooms.may_import(name) | {name}
    for source in (source for source in MODULES if room(source) == name):
        for target in modules_of(MODULES[source]):
            assert room(target) in allowed, f"{source} imports {target}: {name} may use {sorted(allowed)}"


def test_nothing_goes_in_circles():
    """Over all imports, those inside functions and for type checkers too: a module can be read after what it uses."""
    left = {name: modules_of(path) - {name} for name, path in MODULES.items()}
    while left:
        done = [name for name, needs in left.items() if not needs & left.keys()]
        for name in done:
            del left[name]
        if not done:
            break
    # what only uses a circle is no part of it
    while left:
        used = set().union(*(needs & left.keys() for needs in left.values()))
        if used == left.keys():
            break
        left = {name: needs for name, needs in left.items() if name in used}
    circle = {name: sorted(needs & left.keys()) for name, needs in left.items()}
    assert not circle, f"a circle of imports among {circle}"


def test_the_compiler_knows_the_engine_by_its_contracts_only():
    for name in (name for name in MODULES if room(name) == "build"):
        for target in modules_of(MODULES[name]):
            if target.startswith("fastsvc.engine"):
                inner = target.removeprefix("fastsvc.engine").removeprefix(".")
                assert inner.startswith(rooms.COMPILER_USES), f"{name} imports {target}"


def test_the_page_shows_these_rooms():
    page = rooms.PAGE.read_text(encoding="utf-8")
    assert rooms.written(page) == page, "run python tests/rooms.py"


def test_the_command_line_starts_without_heavy_packages():
    for name in ("cli", "__init__", "errors", "screen", "hush"):
        path = ROOT / "fastsvc" / f"{name}.py"
        heavy = {module for module in imported(path, top_level_only=True) if module.split(".")[0] in HEAVY}
        assert not heavy, f"{path} imports {heavy} before any command is known"


UNIX = {"fcntl", "resource", "pwd", "grp", "termios", "pty"}  # modules that Windows lacks
UNIX_NAMES = {"O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_DIRECTORY", "SIGKILL", "SIGHUP", "SIGUSR1"}


@pytest.mark.slow
@pytest.mark.long
def test_every_module_can_be_imported_on_windows():
    """What the system may lack is imported inside functions, or asked for with getattr."""
    for path in [*sources(), *sorted((ROOT / "bench").rglob("*.py"))]:
        lacking = imported(path, top_level_only=True) & UNIX
        assert not lacking, f"{path} imports {lacking} at the top"
        tree = ast.parse(path.read_text(encoding="utf-8"))
        inside = {
            id(node)
            for body in ast.walk(tree)
            if isinstance(body, (ast.FunctionDef, ast.Lambda))
            for node in ast.walk(body)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in UNIX_NAMES and id(node) not in inside:
                raise AssertionError(f"{path}:{node.lineno}: {node.attr} is not everywhere")


def test_no_file_is_longer_than_250_lines():
    paths = {*sources(), *(path for folder in ("bench", "tests") for path in (ROOT / folder).rglob("*.py"))}
    lines = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("\n") for path in paths}
    assert not {name: count for name, count in lines.items() if count > 250}
