"""The configuration of one run of an image by an OCI runtime: read-only root, no capabilities, /data and /tmp writable.

python ci/container.py IMAGE.json CONFIG.json ROOT DATA RECORDINGS [ARGUMENT…]     ci/docker.sh calls this

IMAGE.json is what `buildah inspect --type image` prints, CONFIG.json what `runc spec` wrote; it is changed in place.
RECORDINGS are seen as /in. Arguments replace the image's own, as in `docker run IMAGE ARGUMENT…`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

UNNEEDED = ("/sys/fs/cgroup", "/dev/mqueue")


def configured(config: dict, image: dict, root: str, data: str, recordings: str, arguments: list[str]) -> dict:
    """``config``, a runtime's default, for a run of the image's program with no network but its own loopback."""
    made = image["Docker"]["config"]
    user, _, group = made["User"].partition(":")
    process = {
        "terminal": False,
        "user": {"uid": int(user), "gid": int(group)},
        "args": [*made["Entrypoint"], *(arguments or made["Cmd"])],
        "env": made["Env"],
        "cwd": made["WorkingDir"],
        "capabilities": {},
        "noNewPrivileges": True,
    }
    options = ["nosuid", "nodev", "mode=1777"]
    tmp = {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": options}  # noqa: S108
    folders = [
        {"destination": target, "type": "bind", "source": source, "options": ["bind", mode, "nosuid", "nodev"]}
        for target, source, mode in (("/data", data, "rw"), ("/in", recordings, "ro"))
    ]
    linux = {name: value for name, value in config["linux"].items() if name != "resources"}
    mounts = [mount for mount in config["mounts"] if mount["destination"] not in UNNEEDED]
    whole = {"process": process, "root": {"path": root, "readonly": True}, "mounts": [*mounts, tmp, *folders]}
    return config | whole | {"linux": linux}


if __name__ == "__main__":
    image_path, config_path, root_path, data_path, recordings_path = map(Path, sys.argv[1:6])
    contents = [json.loads(path.read_text(encoding="utf-8")) for path in (config_path, image_path)]
    places = [str(path.absolute()) for path in (root_path, data_path, recordings_path)]
    config_path.write_text(json.dumps(configured(*contents, *places, sys.argv[6:]), indent=1), encoding="utf-8")
