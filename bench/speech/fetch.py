"""Packages without root: Debian's (`apt-get download` checks them, `dpkg-deb -x` unpacks them into a folder), npm's."""

from __future__ import annotations

import subprocess
from pathlib import Path

from fastsvc import children
from fastsvc.errors import FastsvcError

WHERE = "run this on Debian or Ubuntu, or in a container of one"


class FetchError(FastsvcError):
    """A package cannot be had here."""


def unpacked(name: str, folder: Path) -> Path:
    """Where :func:`fetch` puts the content of a package."""
    return folder / "packages" / name


def fetch(name: str, folder: Path) -> Path:
    """The unpacked package below ``folder``: ``folder/debs`` keeps the file, ``folder/packages/NAME`` its content.

    What is unpacked already is not fetched again. apt checks the size and SHA-256 of the file against the signed index
    of the archive. Raises FetchError where apt is missing, or the package cannot be reached.
    """
    folder = folder.resolve()  # the programs run in another one
    out = unpacked(name, folder)
    if (out / "usr").is_dir():
        return out
    debs = folder / "debs"
    debs.mkdir(parents=True, exist_ok=True)
    if not _deb(debs, name):
        _run([_program("apt-get"), "download", name], debs, f"{name}: apt-get cannot download it")
    out.parent.mkdir(parents=True, exist_ok=True)  # dpkg-deb makes the last folder alone
    part = out.with_name(f".{name}.part")
    _run([_program("dpkg-deb"), "-x", str(_deb(debs, name)), str(part)], debs, f"{name}: dpkg-deb cannot unpack it")
    part.rename(out)
    return out


def npm(name: str, version: str, folder: Path) -> Path:
    """The archive of an npm package below ``folder/npm``; what is there is not fetched again. Raises FetchError."""
    archives = folder.resolve() / "npm"
    path = archives / f"{name}-{version}.tgz"
    if not path.is_file():
        npm = children.program("npm")
        if not npm:
            raise FetchError(f"npm is not installed: {name} is one of its packages", "apt-get install npm")
        _run([npm, "pack", "--silent", f"{name}@{version}"], archives, f"{name}: npm cannot fetch it")
    return path


def version(name: str, folder: Path) -> str:
    """The version of a package that :func:`fetch` has brought; "" where its file is gone."""
    deb = _deb(folder / "debs", name)
    return deb.name.split("_")[1].replace("%3a", ":") if deb else ""


def _deb(debs: Path, name: str) -> Path | None:
    return max(debs.glob(f"{name}_*.deb"), default=None)


def _program(name: str) -> str:
    found = children.program(name)
    if not found:
        raise FetchError(f"{name} is not installed: speech comes from Debian's packages", WHERE)
    return found


def _run(command: list[str], folder: Path, what: str) -> None:
    """Raises FetchError with the program's own last line."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        reason = said[-1].strip() if said else f"exit code {done.returncode}"
        raise FetchError(f"{what}: {reason}", "run `apt-get update`, check the network, and run this again")
