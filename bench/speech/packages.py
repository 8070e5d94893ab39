"""The packages that speech comes from: what they hold, under which licence, and what it may be used for."""

from __future__ import annotations

from typing import NamedTuple


class Package(NamedTuple):
    """``licence``: of the recordings, as in the package's copyright file. ``bundled``: weights trained on it may ship
    with fastsvc under fastsvc's own licence. ``use``: train, or test (then nothing may ever be trained on it)."""

    name: str
    licence: str
    use: str
    bundled: bool = False


PACKAGES = {
    package.name: package
    for package in (
        Package("festvox-ru", "BSD-like", "train", bundled=True),
        Package("fillets-ng-data-cs", "GPL-2", "train"),
        Package("fillets-ng-data-nl", "GPL-2", "train"),
        Package("klettres-data", "GPL-2+", "train"),
        Package("asterisk-core-sounds-en-wav", "CC-BY-SA-3.0", "test"),
        Package("alsa-utils", "GPL-2", "test"),
    )
}
TRAIN = tuple(name for name, package in PACKAGES.items() if package.use == "train")
