"""Kernels of the tests compiled before them: each by one process of several, and nothing started."""

import types

import compile_once
import pytest
import torch

from fastsvc.kernels.launch import Launch


class Kernel:
    """A kernel that is compiled, and must not be started."""

    def __init__(self, name, compiled):
        self.fn = types.FunctionType((lambda x: None).__code__, {"__name__": __name__}, name)
        self.name, self.compiled = name, compiled

    def warmup(self, x, grid, C, **options):
        self.compiled.append((self.name, C, options.pop("launch_pdl", False)))


@pytest.fixture
def launches(monkeypatch):
    monkeypatch.setattr(Launch, "run", Launch.run)  # to be as before afterwards
    compiled = []
    kernels = [Kernel(f"kernel_{i}", compiled) for i in range(12)]
    return compiled, [
        Launch(kernel, (3,), {"x": torch.zeros(size)}, {"C": 64}, 4, 2, early=True)
        for size in (4, 8)
        for kernel in kernels
    ]


def test_every_kernel_is_compiled_by_one_of_the_processes(launches):
    compiled, wanted = launches
    by_process = []
    for share in range(3):
        compiled.clear()
        compile_once.prepare(f"{share}/3")
        for launch in wanted:
            launch.run()  # a GPU would be needed
        by_process.append(list(compiled))
    together = [one for part in by_process for one in part]
    assert sorted(together) == sorted((f"kernel_{i}", 64, True) for i in range(12))  # once, whatever its arguments
    assert all(by_process), "a process has nothing to do"


@pytest.mark.parametrize("words", ["3/3", "-1/3", "x/2", "1"])
def test_what_is_not_a_share(words):
    with pytest.raises(ValueError):
        compile_once.share_of(words)
