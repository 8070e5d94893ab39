"""Shards: machines that know nothing of each other each take their part of the same recordings."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TypeVar

from fastsvc.convert.index import Index
from fastsvc.convert.plan import ConversionPlan
from fastsvc.convert.results import Results
from fastsvc.convert.settings import ConversionSettings
from fastsvc.errors import ConfigError
from fastsvc.files import IN_WORK, machine_name

Item = TypeVar("Item")


@dataclass(frozen=True)
class Shard:
    """``number`` of ``count``, from 1 on."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def takes(self, name: str) -> bool:
        """Whether the result of this relative path, with slashes, is this shard's.

        It depends on the path without its suffix alone: not on the other recordings, their order, or the format.
        """
        plain = unicodedata.normalize("NFC", PurePosixPath(name).with_suffix("").as_posix())
        digest = hashlib.sha256(plain.encode("utf-8", "surrogateescape")).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.number - 1

    def of(self, items: Iterable[Item], name: Callable[[Item], str]) -> list[Item]:
        return [item for item in items if self.takes(name(item))]


def parsed(text: str) -> Shard:
    """ "3/16" → the third of 16. Raises ConfigError."""
    match = re.fullmatch(r"(\d{1,7})/(\d{1,7})", text.strip())
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise ConfigError(f"{text!r} is not a shard", "write i/n with i from 1 to n, such as 3/16")
    return Shard(int(match[1]), int(match[2]))


def of_plan(plan: ConversionPlan, shard: Shard) -> ConversionPlan:
    """The plan with this shard's recordings. Every shard keeps all sources, which no result may replace, and folders
    that could not be listed, as each machine may see others."""
    jobs = shard.of(plan.jobs, lambda job: job.target.relative_to(plan.folder).as_posix())
    return replace(plan, jobs=jobs)


def in_work_name(shard: Shard | None) -> str:
    """The name of the list of files in work: shards share a folder, and have one each."""
    return IN_WORK if shard is None else IN_WORK.replace(".jsonl", f"-{shard.number}-of-{shard.count}.jsonl")


def results(shard: Shard | None, engine, plan: ConversionPlan, settings: ConversionSettings) -> Results | None:
    """The results of a shard, listed in this machine's own list; None without a shard: the run makes its own."""
    if shard is None:
        return None
    return Results(engine, plan, settings, Index(plan.folder, machine_name()))
