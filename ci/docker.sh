#!/usr/bin/env bash
# Proves the Dockerfile without a Docker daemon and without a registry: builds it over a Debian that mmdebstrap unpacks,
# then runs it as uid 10001 with a read-only root, without capabilities and without other privileges:
#     sudo ci/docker.sh [RELEASE]              bookworm (Debian 12) where none is named
# Needs root, buildah, crun and mmdebstrap. pip's settings, and the local folders that they name, are lent to the build
# read-only. Set in the environment:
#     WORK=FOLDER KEEP=1     where images and roots lie (default: a temporary folder), and that they stay (3 GB)
#     MIRROR=URL             of Debian's packages
#     TORCH_INDEX=URL        as the Dockerfile's (default: pip's own index alone where it has a build for CPUs)
set -euo pipefail
cd "$(dirname "$0")/.."
release=${1:-bookworm}
[ "$(id -u)" -eq 0 ] || { echo "docker.sh: needs root, to mount and to change root: use sudo" >&2; exit 2; }
for tool in buildah crun mmdebstrap; do
    command -v $tool > /dev/null || { echo "docker.sh: needs $tool: apt install $tool" >&2; exit 2; }
done
work=${WORK:-$(mktemp -d)}
mkdir -p "$work"
b() { buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs "$@"; }

clean() {
    crun delete --force fastsvc-proof > /dev/null 2>&1 || true
    [ -n "${KEEP:-}" ] && return
    b rm --all > /dev/null 2>&1 || true
    rm -rf --one-file-system "${work:?}"
}
trap clean EXIT

seconds() { echo "docker.sh: $1: $((SECONDS - start)) s"; start=$SECONDS; }
start=$SECONDS

# --- the base -----------------------------------------------------------------------------------------------------
if ! b images --format '{{.Name}}' | grep -q "fastsvc-base$"; then
    mmdebstrap --quiet --variant=minbase "$release" "$work/base" "${MIRROR:-http://deb.debian.org/debian}"
    container=$(b from scratch)
    b add --quiet "$container" "$work/base" / > /dev/null
    b commit --quiet --rm "$container" localhost/fastsvc-base > /dev/null
    rm -rf --one-file-system "$work/base"
fi
seconds "base, $release"

# --- the image ----------------------------------------------------------------------------------------------------
lent=(--volume "$work/pip.conf:/etc/pip.conf:ro")
python3 -m pip config list | sed -nE "s/^(global|install|:env:)\.\.?([a-z-]+)='(.*)'$/\2 = \3/p" | sort -u |
    { echo "[global]"; cat; } > "$work/pip.conf"
while read -r path; do
    [ -e "$path" ] && lent+=(--volume "$path:$path:ro")
done < <(grep -oE '(^| |file://)/[^ ]*' "$work/pip.conf" | sed 's,^ ,,; s,^file://,,; s,/simple/*$,,' | sort -u)
index=(--build-arg "TORCH_INDEX=${TORCH_INDEX:-}")
if [ -z "${TORCH_INDEX+set}" ] && ! python3 -m pip download --quiet --no-deps --dest "$work/torch" \
    "torch==2.13.0+cpu" > /dev/null 2>&1; then
    index=() # the Dockerfile's own
fi
rm -rf "$work/torch"
b bud --quiet --isolation chroot --pull-never --format docker "${lent[@]}" "${index[@]}" \
    --build-arg BASE=localhost/fastsvc-base --tag localhost/fastsvc . > "$work/build.log" 2>&1 ||
    { tail -40 "$work/build.log" >&2; exit 1; }
seconds "image"

# --- what a run gets: a read-only root, uid 10001, no capabilities; /data and /tmp alone can be written ---------------
b rm --all > /dev/null
container=$(b from --pull-never localhost/fastsvc)
root=$(b mount "$container")
echo "docker.sh: image: $(du -sm "$root" | cut -f1) MiB, of them fastsvc with PyTorch $(du -sm "$root/opt" | cut -f1)"
mkdir -p "$work/bundle" "$work/data"
chown 10001:10001 "$work/data"
b inspect --type image localhost/fastsvc > "$work/image.json"
cat > "$work/configure.py" <<'PYTHON'
"""The OCI configuration of one run: arguments → config.json, with the image's environment and user."""
import json, sys

root, data, recordings, image, target, *arguments = sys.argv[1:]
made = json.load(open(image))["Docker"]["config"]
config = json.load(open(target))
uid, _, gid = made["User"].partition(":")
config["process"].update(
    terminal=False,
    user={"uid": int(uid), "gid": int(gid)},
    args=[*made["Entrypoint"], *(arguments or made["Cmd"])],
    env=[*made["Env"], "OMP_NUM_THREADS=1"],
    cwd=made["WorkingDir"],
    capabilities={},
    noNewPrivileges=True,
)
config["process"].pop("rlimits", None)
config["root"] = {"path": root, "readonly": True}
config["mounts"] = [m for m in config["mounts"] if m["destination"] not in ("/sys/fs/cgroup", "/dev/mqueue")]
config["mounts"] += [
    {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=1777"]},
    {"destination": "/data", "type": "bind", "source": data, "options": ["bind", "rw", "nosuid", "nodev"]},
    {"destination": "/in", "type": "bind", "source": recordings, "options": ["bind", "ro"]},
]
config["linux"].pop("resources", None)
config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "network"]  # the host's
json.dump(config, open(target, "w"), indent=1)
PYTHON

configure() { # ARGUMENT…: of fastsvc
    rm -f "$work/bundle/config.json"
    (cd "$work/bundle" && crun spec)
    python3 "$work/configure.py" "$root" "$work/data" "$PWD/examples/recordings" "$work/image.json" \
        "$work/bundle/config.json" "$@"
}

start=$SECONDS
configure convert /in/speech --spk slt -o /data/converted
crun --cgroup-manager=disabled run --bundle "$work/bundle" fastsvc-proof
[ "$(find "$work/data/converted" -name '*.wav' -uid 10001 | wc -l)" -eq 4 ]
seconds "convert, 4 files, as uid 10001 with a read-only root"
