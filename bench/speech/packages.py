"""The packages that speech comes from: what they hold, under which licence, and what it may be used for."""

from __future__ import annotations

from typing import NamedTuple


class Package(NamedTuple):
    """``licence``: of the recordings, as in the package's copyright file. ``bundled``: weights trained on it may ship
    with fastsvc under fastsvc's own licence. ``use``: train, test (then nothing may ever be trained on it), or tool (it
    speaks, and what it says is trained on)."""

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
        Package("festival", "BSD-like", "tool", bundled=True),
        Package("libestools2.5", "BSD-like", "tool", bundled=True),
        Package("festlex-cmu", "BSD-like", "tool", bundled=True),
        Package("festlex-poslex", "BSD-like", "tool", bundled=True),
        Package("festvox-kdlpc16k", "BSD-like", "tool", bundled=True),
        Package("asterisk-core-sounds-en-wav", "CC-BY-SA-3.0", "test"),
        Package("alsa-utils", "GPL-2", "test"),
    )
}
TRAIN = tuple(name for name, package in PACKAGES.items() if package.use == "train")
TOOLS = tuple(name for name, package in PACKAGES.items() if package.use == "tool")
