"""Nothing that a file holds is run when it is loaded: no pickles, no YAML objects, no code of model hubs.

Read from the sources without running them, so that a new loader cannot bring any of it in unseen.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Called with these, whatever the module is called where it is used.
NEEDED = {("torch", "load"): ("weights_only", True), ("np", "load"): ("allow_pickle", False)}
FORBIDDEN = {
    "pickle": {"load", "loads", "Unpickler", "_Unpickler", "_load", "_loads"},
    "marshal": {"load", "loads"},
    "shelve": {"open"},
    "torch": {"hub", "jit", "package"},  # jit.load runs what an archive holds
    "yaml": {"Loader", "FullLoader", "UnsafeLoader", "CLoader", "full_load", "full_load_all"}
    | {"unsafe_load", "unsafe_load_all", "load_all"},
    "runpy": {"run_path", "run_module"},
    "np": {"load_library"},
}
MODULES = {"cPickle", "_pickle", "dill", "cloudpickle", "joblib", "imp", "code"}  # not even imported
BUILTINS = {"eval", "exec", "__import__"}
WORDS = ("trust_remote_code", "allow_pickle=True", "weights_only=False")


def sources():
    for folder in ("fastsvc", "kernels", "build", "bench", "examples"):
        yield from sorted((ROOT / folder).rglob("*.py"))
    yield ROOT / "setup.py"


def faults(text: str) -> list[str]:
    """What a source does that it must not, each with its line."""
    tree, found = ast.parse(text), []
    safe = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and _is_safe_loader(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = {(alias.name.split(".")[0], None) for alias in node.names}
            # another name would hide from the rules below
            found += [(node, f"{a.name} as {a.asname}") for a in node.names if a.asname and a.name in FORBIDDEN]
        elif isinstance(node, ast.ImportFrom):
            module = (node.module or "").replace("numpy", "np")
            names = {(module.split(".")[0], alias.name) for alias in node.names}
            if module in ("torch", "np") and any(alias.name == "load" for alias in node.names):
                found.append((node, f"from {node.module} import load"))
        elif isinstance(node, ast.Attribute):
            names = {(_name(node.value), node.attr)}
        else:
            names = set()
        found += [(node, f"{module}.{name}") for module, name in names if name in FORBIDDEN.get(module, ())]
        found += [(node, module) for module, _ in names if module in MODULES and not isinstance(node, ast.Attribute)]
        if isinstance(node, ast.Call):
            found += _wrong_call(node, safe)
    found += [(ast.Module, word) for word in WORDS if word in text]
    return [f"line {getattr(node, 'lineno', '?')}: {what}" for node, what in found]


def _wrong_call(node: ast.Call, safe: set[str]):
    given = {keyword.arg: getattr(keyword.value, "value", None) for keyword in node.keywords}
    called = node.func
    if isinstance(called, ast.Name) and called.id in BUILTINS:
        yield node, called.id
    if not isinstance(called, ast.Attribute):
        return
    name = _name(called.value), called.attr
    if name in NEEDED:
        key, value = NEEDED[name]
        if given.get(key, "missing") is not value:
            yield node, f"{'.'.join(name)} without {key}={value}"
    if name == ("yaml", "load") and not (len(node.args) == 2 and _is_safe(node.args[1], safe)):
        yield node, "yaml.load without a safe loader"


def _is_safe(loader, safe: set[str]) -> bool:
    """A safe loader's class, or our own one's, whose base is checked where it is made."""
    return _name(loader) in {"SafeLoader", *safe} or ast.unparse(loader).startswith("yaml_loader.loader(")


def _name(node) -> str:
    """The last part of a dotted name; numpy under its usual one."""
    name = getattr(node, "id", None) or getattr(node, "attr", "")
    return "np" if name == "numpy" else name


def _is_safe_loader(node: ast.ClassDef) -> bool:
    return [_name(base) for base in node.bases] == ["SafeLoader"]


@pytest.mark.slow
def test_no_source_runs_what_a_file_holds():
    found = {str(path.relative_to(ROOT)): faults(path.read_text(encoding="utf-8")) for path in sources()}
    assert len(found) > 200
    pypa = {"build/__main__.py": ["line 19: runpy.run_module"]}  # an installed program by its name, no file
    assert {name: wrong for name, wrong in found.items() if wrong} == pypa


@pytest.mark.parametrize(
    "text",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=wanted)",
        "import torch\ntorch.load(path, map_location='cpu', weights_only=1)",
        "from torch import load",
        "torch.hub.load(a, b)",
        "torch.jit.load(a)",
        "np.load(path)",
        "import numpy\nnumpy.load(path, allow_pickle=True)",
        "import pickle\npickle.loads(data)",
        "import pickle as p",
        "from pickle import load",
        "class A(pickle.Unpickler): pass",
        "import dill",
        "from joblib import load",
        "import yaml\nyaml.load(text, yaml.Loader)",
        "yaml.load(text, Own)",
        "yaml.load(text)",
        "yaml.unsafe_load(text)",
        "from yaml import full_load",
        "class Own(yaml.UnsafeLoader): pass\nyaml.load(text, Own)",
        "eval(text)",
        "exec(text)",
        "AutoModel.from_pretrained(a, trust_remote_code=True)",
    ],
)
def test_the_rules_see_it(text):
    assert faults(text)


@pytest.mark.parametrize(
    "text",
    [
        "torch.load(path, weights_only=True)",
        "np.load(path, allow_pickle=False)",
        "import pickle\ntry: pass\nexcept pickle.UnpicklingError: pass",
        "class Own(yaml.SafeLoader): pass\nyaml.load(text, Own)",
        "yaml.load(text, yaml_loader.loader(True))",
        "yaml.safe_load(text)",
        "model.eval()",
        "build.compile(path)",
        "re.compile(text)",
    ],
)
def test_the_rules_let_it_be(text):
    assert faults(text) == []
