"""Batches drawn ahead in a background thread, each from (seed, step, rank) alone: resuming needs no loader state."""

from __future__ import annotations

import queue
import threading

import numpy as np
import torch

AHEAD = 4  # batches kept ready


def rng_of(seed: int, step: int, rank: int) -> np.random.Generator:
    return np.random.default_rng([seed, step, rank])


def seed_of(seed: int, step: int, rank: int) -> int:
    """A 63-bit seed for PyTorch's generators."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0] >> np.uint64(1))


class Feeder:
    """``with Feeder(task.batch, seed, first_step, rank, device) as feeder: batch = feeder.next()``."""

    def __init__(self, draw, seed: int, first_step: int, rank: int, device: torch.device):
        self.draw, self.seed, self.step, self.rank, self.device = draw, seed, first_step, rank, device
        self.ready: queue.Queue = queue.Queue(AHEAD)
        self.closed = threading.Event()
        self.thread = threading.Thread(target=self._fill, name="batches", daemon=True)

    def __enter__(self) -> Feeder:
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.closed.set()
        self.thread.join(timeout=30)

    def _fill(self) -> None:
        while not self.closed.is_set():
            try:
                item = self._host(self.draw(rng_of(self.seed, self.step, self.rank)))
            except BaseException as error:  # raised again in the training thread
                item = error
            self._put(item)
            if isinstance(item, BaseException):
                return
            self.step += 1

    def _put(self, item) -> None:
        while not self.closed.is_set():
            try:
                return self.ready.put(item, timeout=0.2)
            except queue.Full:
                continue

    def _host(self, batch: dict) -> dict:
        tensors = {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in batch.items()}
        if self.device.type != "cuda":
            return tensors
        return {k: v.pin_memory() if isinstance(v, torch.Tensor) else v for k, v in tensors.items()}

    def next(self) -> dict:
        """The batch of the next step, on the device. Raises the error of drawing it, if there was one."""
        item = self.ready.get()
        if isinstance(item, BaseException):
            raise item
        move = {"device": self.device, "non_blocking": True}
        return {k: v.to(**move) if isinstance(v, torch.Tensor) else v for k, v in item.items()}
