"""One display over all stages: every stage's own bars move a part of it (fastsvc.screen.sharing)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from fastsvc import screen

FORMAT = "{desc} {percentage:3.0f}%|{bar:20}| {elapsed}<{remaining}{postfix}"


class Progress:
    """``minutes``: expected minutes of each stage, in their order; ``done``: names of the finished ones."""

    def __init__(self, minutes: dict[str, float], done: list[str], quiet: bool = False):
        whole = sum(minutes.values())
        self.spans, start = {}, 0.0
        for name, expected in minutes.items():
            self.spans[name] = (start, start := start + 100 * expected / whole)
        self.number = {name: f"{i}/{len(minutes)}" for i, name in enumerate(minutes, 1)}
        first = sum(end - start for name, (start, end) in self.spans.items() if name in done)
        self.bar = screen.bar(total=100.0, initial=first, desc="voice", bar_format=FORMAT, disable=quiet)
        self.begin(next((name for name in minutes if name not in done), next(iter(minutes))), 1)

    def begin(self, name: str, parts: int) -> None:
        """A stage that will show ``parts`` bars one after another."""
        self.stage, self.parts, self.part_number = name, parts, 0
        self.describe(name)

    def end(self) -> None:
        self.move(self.spans[self.stage][1])

    def describe(self, text: str) -> None:
        self.bar.set_description_str(f"{self.number[self.stage]} {text}", refresh=False)

    def move(self, place: float) -> None:
        self.bar.update(max(0.0, min(100.0, place) - self.bar.n))

    def part(self, iterable=None, **options) -> Part:
        """In place of tqdm: the next bar of the stage."""
        start, end = self.spans[self.stage]
        width = (end - start) / self.parts
        low = start + width * min(self.part_number, self.parts - 1)
        self.part_number += 1
        return Part(self, iterable, low, low + width, options)

    def close(self) -> None:
        self.bar.close()


class Part:
    """What the code uses of a tqdm, as a part from ``low`` to ``high`` of the whole display."""

    def __init__(self, whole: Progress, iterable, low: float, high: float, options: dict[str, Any]):
        self.whole, self.iterable, self.low, self.high = whole, iterable, low, high
        total = options.get("total")
        self.total = len(iterable) if total is None and iterable is not None else total
        self.initial = self.n = options.get("initial", 0)
        whole.describe(options.get("desc") or whole.stage)

    def __iter__(self) -> Iterator:
        for one in self.iterable:
            yield one
            self.update()

    def __enter__(self) -> Part:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def update(self, count: float = 1) -> None:
        self.n += count
        if self.total:
            self.whole.move(self.low + (self.high - self.low) * self.n / self.total)

    def refresh(self, *_, **__) -> None:
        self.update(0)

    def set_description_str(self, text: str, refresh: bool = True) -> None:
        self.whole.describe(text)

    def set_postfix_str(self, text: str, refresh: bool = True) -> None:
        self.whole.bar.set_postfix_str(text, refresh=False)

    def write(self, text: str, file=None) -> None:
        self.whole.bar.write(text, file=file or sys.stderr)

    def clear(self, *_, **__) -> None:
        pass

    def close(self) -> None:
        self.set_postfix_str("")
