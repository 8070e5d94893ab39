"""Errors as clients see them: what, why, remedy, and no path of this machine."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping

from fastsvc.errors import FastsvcError, ResourceError
from fastsvc.serve.advice import for_clients

_PATH = re.compile(r"(?<![\w/.:])(?:[A-Za-z]:)?[/\\](?:[^\s/\\:,;()'\"]+[/\\])+")  # the folders of an absolute path


def public(error: FastsvcError, names: Mapping[str, str] | None = None) -> dict[str, str]:
    """{"what", "why", "remedy"} of a typed error. ``names``: paths → what a client calls them."""
    message, remedy = (for_clients(plain(text, names)) for text in (error.message, error.remedy))
    what, colon, why = message.partition(": ")
    return {"what": what, "why": why, "remedy": remedy} if colon else {"what": message, "why": "", "remedy": remedy}


def plain(text: str, names: Mapping[str, str] | None = None) -> str:
    """``text`` with names in the place of paths, and without the folders of all other absolute paths."""
    for path, name in sorted((names or {}).items(), key=lambda item: -len(item[0])):
        text = text.replace(path, name)
    return carried(_PATH.sub("", text))


def carried(text: str) -> str:
    """``text`` as an answer can carry it. Names of files, and those inside checkpoints, may have halves of characters,
    which UTF-8 has not: they are spelled."""
    return text.encode("utf-8", "backslashreplace").decode()


def of_database(error: Exception) -> FastsvcError | None:
    """SQLite's error where it is the disk's, not ours."""
    if isinstance(error, sqlite3.OperationalError) and ("full" in str(error) or "disk I/O" in str(error)):
        return ResourceError("the list of jobs: the disk is full", "free space on the server, then try again")
    return None
