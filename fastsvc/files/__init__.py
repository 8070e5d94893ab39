"""Files and folders that appear whole or not at all, and one process at a time; nothing here knows what they hold.

A file is written to a temporary sibling, forced to the disk and renamed; a folder is filled beside its place and
exchanged with what stood there in one call. Leftovers of processes that died are told by their names and removed at
the next start.
"""

from fastsvc.files.folders import new_folder
from fastsvc.files.in_work import SUSPECTED, InWork
from fastsvc.files.leftovers import IN_WORK, LOCK, clear_leftovers, free_or_ours, is_leftover
from fastsvc.files.lock import folder_lock
from fastsvc.files.places import CACHE, cache_folder, sha256
from fastsvc.files.whole import reason, write_bytes, write_json, write_text, writing

__all__ = [
    "CACHE",
    "IN_WORK",
    "LOCK",
    "SUSPECTED",
    "InWork",
    "cache_folder",
    "clear_leftovers",
    "folder_lock",
    "free_or_ours",
    "is_leftover",
    "new_folder",
    "reason",
    "sha256",
    "write_bytes",
    "write_json",
    "write_text",
    "writing",
]
