"""Who may import whom (docs/architecture.md, "Rooms"), read from the sources without running them."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BASE = {"arguments", "arrays", "children", "config", "errors", "faults", "files", "lookalikes", "memory"}
BASE |= {"file_names", "reading", "screen", "spelling"}
ROOMS = {
    "reading": {"reading_text", "reading_yaml", "lookalikes"},
    "reading_text": set(),
    "spelling": set(),
    "file_names": {"spelling"},
    "lookalikes": set(),
    "reading_yaml": set(),
    "arrays": set(),
    "config": set(),
    "errors": set(),
    "files": set(),
    "children": set(),
    "arguments": set(),
    "faults": set(),
    "memory": set(),
    "screen": {"hush", "screen_log"},
    "screen_log": set(),
    "hush": set(),
    "audio": {"hush"},
    "model": set(),
    "features": {"audio", "model", "checkpoints"},
    "checkpoints": {"model"},
    "data": {"audio", "features", "model"},
    "training": {"model", "data", "checkpoints", "features", "audio"},
    "evaluation": {"audio", "features", "model", "engine", "checkpoints", "data"},
    "engine": {"audio", "features", "model", "checkpoints", "kernels"},
    "kernels": set(),
    "build": {"checkpoints", "model", "kernels", "engine", "features"},
}
# Programs of their own: they stand above the rooms wherever they lie.
PROGRAMS = {f"fastsvc/evaluation/{name}.py" for name in ("ablation", "ablation_plan", "ablation_diversity", "demo")}
BATCH = {"batch", "batch_check", "batch_decode", "batch_group", "batch_index", "batch_names", "batch_plan"}
BATCH |= {"batch_recording", "batch_report", "batch_request", "batch_results", "batch_search", "batch_sources"}
FREE = BATCH | {"cli", "commands", "__main__", "__init__"}  # the top: may use any room
HEAVY = {"torch", "numpy", "librosa", "scipy", "soundfile", "yaml", "tqdm", "matplotlib", "tensorboard", "soxr"}


def sources():
    for folder in ("fastsvc", "kernels", "build"):
        yield from sorted((ROOT / folder).rglob("*.py"))


def room(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[1] if parts[0] == "fastsvc" else parts[0]


def imported(path: Path, top_level_only: bool = False) -> set[str]:
    """Dotted names of modules that a file imports; `from a import b` gives a.b."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_the_rooms_are_those_that_exist():
    found = {room(path) for path in sources()}
    assert found <= set(ROOMS) | FREE, f"not in the table: {found - set(ROOMS) - FREE}"


@pytest.mark.parametrize("name", sorted(ROOMS))
def test_direction(name):
    allowed = ROOMS[name] | BASE | {name, "__version__"}
    files = [path for path in sources() if room(path) == name]
    assert files
    for path in files:
        if str(path.relative_to(ROOT)) in PROGRAMS:
            continue
        for module in imported(path):
            parts = module.split(".")
            assert parts[0] not in ("kernels", "build", "bench", "tests"), f"{path}: write fastsvc.{module}"
            if parts[0] == "fastsvc" and len(parts) > 1:
                assert parts[1] in allowed, f"{path} imports {module}: {name} may use {sorted(allowed)}"


def test_the_compiler_knows_the_engine_by_its_contracts_only():
    """Never the runtime as a whole: artifact, lowered form, speakers, and the backend that it verifies and measures."""
    backend = {
        "onnx_writer",
        "vocoder_graph",
        "cpu_amphion",
        "cpu_bf16",
        "cpu_condition",
        "cpu_denoiser",
        "cpu_vocoder",
        "vocoder_onnx",
    }
    gpu = {
        "cuda_plan",
        "ladder",
        "launcher",
        "selfcheck",
    }  # what a GPU will start, under which names, what it must give
    gpu |= {"device_part"}  # and where what is made for it is kept
    gpu |= {"seal", "trt", "trt_plan"}  # plans are built here for other GPUs as the engine builds them for its own
    allowed = {"artifact", "lowered", "machine", "speakers"} | backend | gpu
    for path in (ROOT / "build").rglob("*.py"):
        for module in imported(path):
            if module.startswith("fastsvc.engine."):
                assert module.split(".")[2] in allowed, f"{path} imports {module}"


def test_the_command_line_starts_without_heavy_packages():
    for name in ("cli", "__init__", "errors", "screen", "screen_log", "hush"):
        path = ROOT / "fastsvc" / f"{name}.py"
        heavy = {module for module in imported(path, top_level_only=True) if module.split(".")[0] in HEAVY}
        assert not heavy, f"{path} imports {heavy} before any command is known"


UNIX = {"fcntl", "resource", "pwd", "grp", "termios", "pty"}  # modules that Windows lacks
UNIX_NAMES = {"O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_DIRECTORY", "SIGKILL", "SIGHUP", "SIGUSR1"}


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


def test_nothing_is_defined_twice():
    """As a merge of two branches may leave it: the first one would never be called, or never be run as a test."""
    for path in [*sources(), *sorted((ROOT / "bench").rglob("*.py")), *sorted((ROOT / "tests").rglob("*.py"))]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for scope in [tree, *(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))]:
            names = [
                node.name
                for node in scope.body
                if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.decorator_list
            ]
            assert len(names) == len(set(names)), f"{path}: {sorted({name for name in names if names.count(name) > 1})}"
