"""Files by URL: s3://, gs://, az://, hf:// and all else that fsspec knows.

fsspec is imported when a URL is named, not before.

An object store has no folders, no renames and no appending, but every put is whole or not at all.
"""

from fastsvc.remote.folder import Folder, Item
from fastsvc.remote.urls import file_of, is_url, joined, split

__all__ = ["Folder", "Item", "file_of", "is_url", "joined", "split"]
