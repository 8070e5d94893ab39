"""Files and folders that appear complete or not at all, and locks; nothing here depends on their content.

A file is written to a temporary sibling, forced to the disk and renamed. A folder is filled under a temporary name and
exchanged with the old one in one call. Leftovers of dead processes are recognised by their names and removed at the
next start.
"""

from fastsvc.files.atomic import reason, write_bytes, write_json, write_text, writing
from fastsvc.files.cache import CACHE, cache_folder, sha256
from fastsvc.files.folders import new_folder
from fastsvc.files.in_work import SUSPECTED, InWork
from fastsvc.files.leftovers import (
    IN_WORK,
    LOCK,
    clear_leftovers,
    clear_process,
    free_or_ours,
    is_leftover,
    machine_name,
    process_name,
    temporary_name,
)
from fastsvc.files.lock import folder_lock
from fastsvc.files.private import private_folder, remove_private

__all__ = [
    "CACHE",
    "IN_WORK",
    "LOCK",
    "SUSPECTED",
    "InWork",
    "cache_folder",
    "clear_leftovers",
    "clear_process",
    "folder_lock",
    "free_or_ours",
    "is_leftover",
    "machine_name",
    "new_folder",
    "private_folder",
    "process_name",
    "reason",
    "remove_private",
    "sha256",
    "temporary_name",
    "write_bytes",
    "write_json",
    "write_text",
    "writing",
]
