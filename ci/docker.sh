#!/usr/bin/env bash
# Proves the Dockerfile without a Docker daemon and without a registry: builds it over a Debian that mmdebstrap unpacks,
# then runs it as uid 10001 with a read-only root, without capabilities and without other privileges:
#     sudo ci/docker.sh [RELEASE]              bookworm (Debian 12) where none is named
# Needs root, buildah, runc and mmdebstrap. pip's settings, and the local folders that they name, are lent to the build
# read-only. Set in the environment:
#     WORK=FOLDER KEEP=1     where images and roots lie (default: a temporary folder), and that they stay (3 GB)
#     MIRROR=URL             of Debian's packages
#     TORCH_INDEX=URL        as the Dockerfile's (default: pip's own index alone where it has a build for CPUs)
set -euo pipefail
cd "$(dirname "$0")/.."
release=${1:-bookworm}
[ "$(id -u)" -eq 0 ] || { echo "docker.sh: needs root, to mount and to change root: use sudo" >&2; exit 2; }
for tool in buildah runc mmdebstrap; do
    command -v $tool > /dev/null || { echo "docker.sh: needs $tool: apt install $tool" >&2; exit 2; }
done
work=${WORK:-$(mktemp -d)}
mkdir -p "$work"
b() { buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs "$@"; }

clean() {
    runc delete --force fastsvc-proof > /dev/null 2>&1 || true
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
python3 -m pip config list | sed -nE "s/^(global|install|:env:)\.\.?([a-z-]+)='(.*)'$/\2 = \3/p" | sort -u |
    { echo "[global]"; cat; } > "$work/pip.conf"
lent=(--volume "$work/pip.conf:/etc/pip.conf:ro")
if certificates=$(sed -n 's/^cert = //p' "$work/pip.conf") && [ -n "$certificates" ]; then
    cp "$certificates" "$work/pip.crt" # under another name: packages write to the usual place
    sed -i 's,^cert = .*,cert = /etc/pip.crt,' "$work/pip.conf"
    lent+=(--volume "$work/pip.crt:/etc/pip.crt:ro")
fi
while read -r path; do
    if [ -e "$path" ] && [ "$path" != /etc/pip.crt ]; then lent+=(--volume "$path:$path:ro"); fi
done < <(grep -oE '(^| |file://)/[^ ]*' "$work/pip.conf" | sed 's,^ ,,; s,^file://,,; s,/simple/*$,,' | sort -u)
index=(--build-arg "TORCH_INDEX=${TORCH_INDEX:-}")
if [ -z "${TORCH_INDEX+set}" ] && ! python3 -m pip download --quiet --no-deps --dest "$work/torch" \
    "torch==$(sed -n 's/^ARG TORCH_VERSION=//p' Dockerfile)+cpu" > /dev/null 2>&1; then
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
token=$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')
mapfile -t health < <(python3 -c 'import json, sys
print("\n".join(json.load(sys.stdin)["Docker"]["config"]["Healthcheck"]["Test"][1:]))' < "$work/image.json")

configure() { # ARGUMENT…: of fastsvc
    rm -f "$work/bundle/config.json"
    (cd "$work/bundle" && runc spec)
    python3 ci/container.py "$work/image.json" "$work/bundle/config.json" "$root" "$work/data" examples/recordings "$@"
}

start=$SECONDS
configure convert /in/speech --spk slt -o /data/converted
runc run --bundle "$work/bundle" fastsvc-proof
[ "$(find "$work/data/converted" -name '*.wav' -uid 10001 | wc -l)" -eq 4 ]
seconds "convert, 4 files, as uid 10001 with a read-only root"

start=$SECONDS
configure serve --host 0.0.0.0 --token "$token"
runc run --bundle "$work/bundle" fastsvc-proof > "$work/serve.log" 2>&1 &
server=$!
until runc exec fastsvc-proof "${health[@]}" > /dev/null 2>&1; do
    if ! kill -0 $server 2> /dev/null || [ $((SECONDS - start)) -gt 120 ]; then
        cat "$work/serve.log" >&2
        exit 1
    fi
    sleep 1
done
seconds "serve, until its health check passes"
runc exec --env "TOKEN=$token" fastsvc-proof python3 - < ci/container_client.py
seconds "a recording by the API, equal to that of convert"
runc kill fastsvc-proof TERM
wait $server || { echo "docker.sh: serve ended with $?" >&2; cat "$work/serve.log" >&2; exit 1; }
seconds "SIGTERM, exit code 0"
echo "docker.sh: passed"
