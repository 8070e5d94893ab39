"""pytest in a rehearsal: every test that needs a GPU is started; one that takes long, or needs hardware, says so."""

from __future__ import annotations

import os
import signal

import pytest

# Of this process's work: for the first case of a test, and for each of its others.
USUAL = "15,3" if os.environ.get("FASTSVC_COMPILE") else "8,1"  # a kernel takes Triton some seconds
FIRST_SECONDS, SECONDS = map(float, os.environ.get("FASTSVC_REHEARSAL_SECONDS", USUAL).split(","))
# What a stand-in cannot show, by the test's name.
HARDWARE = {
    "test_real_shortage_of_memory": "memory of a GPU is not short here",
    "test_audio_on_its_way_is_not_overtaken": "copies that overtake one another need streams that run by themselves",
    "test_inputs_through_pinned_memory_arrive_as_they_were": "likewise: streams that run by themselves",
}


_begun: set = set()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    if os.environ.get("FASTSVC_COMPILE"):  # the first case of each test has kernels enough
        items[:] = {_place(item): item for item in reversed(items)}.values()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    why = HARDWARE.get(getattr(item, "originalname", item.name))
    if why:
        pytest.skip(f"not over a stand-in device: {why}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    seconds = SECONDS if _place(item) in _begun else FIRST_SECONDS
    _begun.add(_place(item))

    def stop(*_) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        pytest.skip(f"started; stopped after {seconds:g} s of work, as kernels are interpreted")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds, 1.0)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _place(item) -> tuple:
    """Of a test, whatever its case."""
    return item.path, getattr(item, "originalname", item.name)
