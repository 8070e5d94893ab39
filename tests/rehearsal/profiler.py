"""PyTorch's profiler as far as bench/timing.py asks it: what ran on the device, how often, and how long."""

from __future__ import annotations

import types

import torch

from rehearsal import work


class Profile:
    def __init__(self, activities=(), **_):
        self.counting = work.counting()

    def __enter__(self):
        self.seen, self.seconds = self.counting.__enter__()
        return self

    def __exit__(self, *error) -> None:
        self.counting.__exit__(*error)

    def key_averages(self) -> list:
        kind = torch.autograd.DeviceType.CUDA
        return [
            types.SimpleNamespace(
                key=name, device_type=kind, count=count, self_device_time_total=1e6 * self.seconds[name]
            )
            for name, count in self.seen.items()
        ]


def install(module) -> None:
    module.profile = Profile
