"""Which names are URLs of files elsewhere; their parts; the packages that open them."""

from __future__ import annotations

import os
import re

from fastsvc.errors import ConfigError, MissingPackageError

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://.")  # a Windows drive is one letter
PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "hf": "huggingface_hub"}
PACKAGES |= dict.fromkeys(("az", "abfs", "abfss", "adl"), "adlfs")
_PURPOSE = "a file by URL"


def is_url(name: str | os.PathLike) -> bool:
    """Whether ``name`` names a file elsewhere. file:// is a path of this machine, see :func:`file_of`."""
    return isinstance(name, str) and _URL.match(name) is not None


def file_of(name: str) -> str:
    """The path of a file:// URL; other names as they are."""
    if name.lower().startswith("file://"):
        from urllib.request import url2pathname

        return url2pathname(name[len("file://") :])
    return name


def split(url: str) -> tuple[str, str]:
    """(URL of the folder, name in it)"""
    folder, _, name = url.rstrip("/").rpartition("/")
    return folder, name


def joined(url: str, name: str) -> str:
    """The URL of ``name``, a relative path with slashes, below ``url``."""
    return f"{url.rstrip('/')}/{name}" if name else url.rstrip("/")


def opened(url: str):
    """(file system, path in it). Raises MissingPackageError, ConfigError for a protocol that nobody knows or a URL that
    its package refuses."""
    match = _URL.match(url)
    if match is None or "::" in url:
        raise ConfigError(f"{url} is not a URL of files", "write s3://BUCKET/FOLDER, gs://, az:// or hf://")
    protocol = match[1].lower()
    try:
        import fsspec
    except ImportError:
        raise MissingPackageError("fsspec", _PURPOSE, extra="remote") from None
    try:
        return fsspec.core.url_to_fs(url)
    except ImportError:
        raise MissingPackageError(PACKAGES.get(protocol, f"for {protocol}://"), _PURPOSE, extra="remote") from None
    except Exception as error:
        known = f"{protocol}:// cannot be opened: {' '.join(str(error).split())[:300]}"
        raise ConfigError(f"{url}: {known}", "use s3://, gs://, az:// or hf://") from None
