import collections
import os
import sys
import tempfile
from pathlib import Path

import pytest
import torch

from fastsvc import environment

sys.path.insert(0, str(Path(__file__).parent))

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # read when kernels are decorated, so before they are imported

# In every process of the tests, engines compute as they were built, not as this machine finds faster: machines differ.
os.environ["FASTSVC_PRECISION"] = "built"

# What a bare GPU machine may lack (bench/gpu.sh). A module that cannot be imported for one of these is skipped.
OPTIONAL = {"soundfile", "librosa", "soxr", "yaml", "tqdm", "scipy", "matplotlib", "transformers", "triton"}
OPTIONAL |= {"fastapi", "httpx", "multipart", "prometheus_client", "starlette", "uvicorn", "websockets"}


def pytest_sessionstart(session):
    if os.environ.get("FASTSVC_COMPILE"):
        import compile_once

        compile_once.prepare(os.environ["FASTSVC_COMPILE"])


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    if os.environ.get("FASTSVC_COMPILE"):  # tests without kernels fail, which says nothing
        session.exitstatus = 0


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    """The test works in its own folder, and what a fault of ours keeps for its report goes there, too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "kept"))
    (tmp_path / "kept").mkdir()


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    error = report.call.excinfo.value.__cause__ if report.outcome == "failed" and report.call.excinfo else None
    package = (error.name or "").partition(".")[0] if isinstance(error, ImportError) else ""
    if package in OPTIONAL:
        report.outcome, report.longrepr = "skipped", (str(collector.path), 0, f"{package} is not installed")
    return report


def pytest_collection_modifyitems(items):
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)  # files that take long first, so that no process waits for them
    share = os.environ.get("FASTSVC_SHARE")  # "2/8": every eighth test from the third on, for bench/gpu.sh
    if share:
        index, count = map(int, share.split("/"))
        items[:] = items[index::count]
    if not environment.switch("FASTSVC_LONG"):
        _leave_long_ones(items)
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs an NVIDIA GPU"))


def _leave_long_ones(items):
    """Tests marked long, and of a test marked sampled(n) all cases but every n-th."""
    cases = collections.Counter()
    for item in items:
        sampled = item.get_closest_marker("sampled")
        place = (item.path, item.originalname) if sampled else None
        if item.get_closest_marker("long") or (sampled and cases[place] % sampled.args[0]):
            item.add_marker(pytest.mark.skip(reason="takes long: `make long` runs it"))
        cases[place] += 1


def pytest_terminal_summary(terminalreporter):
    """What tests measured and say through record_property("say", line)."""
    calls = [report for report in terminalreporter.getreports("passed") if report.when == "call"]
    lines = [line for report in calls for name, line in report.user_properties if name == "say"]
    if lines:
        terminalreporter.section("measured")
        for line in sorted(lines):
            terminalreporter.write_line(line)
