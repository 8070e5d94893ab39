#!/usr/bin/env bash
# Proves that README's commands work on a fresh Debian: python3-venv and make, no compiler.
#     sudo ci/fresh.sh [RELEASE…]                       bookworm trixie (Debian 12 and 13)
#     sudo GOALS="demo test" TESTS=tests/test_cli.py ci/fresh.sh trixie
# Needs mmdebstrap and root. Each release is unpacked into a folder of its own, deleted at the end (KEEP=1 keeps it; ROOTS says where), and
# gets a copy of the files that git knows. pip's settings and the local folders they name are lent to it, read-only.
# PYTHON=/opt/python3.11/bin/python3: that interpreter, lent likewise, in place of Debian's.
set -euo pipefail
cd "$(dirname "$0")/.."
source=$PWD
goals=${GOALS:-demo test}
roots=${ROOTS:-$(mktemp -d)}
mirror=${MIRROR:-http://deb.debian.org/debian}
[ "$(id -u)" -eq 0 ] || { echo "fresh.sh: needs root, to mount and to change root: use sudo" >&2; exit 2; }
command -v mmdebstrap > /dev/null || { echo "fresh.sh: needs mmdebstrap: apt install mmdebstrap" >&2; exit 2; }

lend() { # ROOT PATH…: what lies outside is seen inside, under the same name and read-only
    local root=$1 path
    shift
    for path in "$@"; do
        [ -e "$path" ] || continue
        if [ -d "$path" ]; then mkdir -p "$root$path"; else mkdir -p "$(dirname "$root$path")" && touch "$root$path"; fi
        mount --bind "$path" "$root$path"
        mount -o remount,bind,ro "$root$path"
    done
}

pip_settings() { # lines NAME=VALUE, for the environment
    python3 -m pip config list | sed -nE "s/^(global|install|:env:)\.([a-z-]+)='(.*)'$/\2 \3/p" | while read -r key value; do
        echo "PIP_$(tr a-z- A-Z_ <<< "$key")=$value"
    done
}

inside() { # RELEASE: in a mount namespace of its own, so that nothing stays mounted
    local root=$roots/$1 setting settings=() goal start
    mapfile -t settings < <(pip_settings)
    mount --make-rprivate /
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount --rbind /sys "$root/sys"
    mount -t tmpfs tmpfs "$root/run"
    cp -L /etc/resolv.conf "$root/etc/resolv.conf"
    # shellcheck disable=SC2046
    lend "$root" $(printf '%s\n' ${settings[@]+"${settings[@]#*=}"} | grep -oE '(file://)?/[^ ]*' |
        sed 's,^file://,,; s,/simple/*$,,' | sort -u) # the folders and files that they name
    [ -z "${PYTHON:-}" ] || lend "$root" "$(dirname "$(dirname "$(realpath "$PYTHON")")")"
    mkdir "$root/fastsvc"
    git -C "$source" ls-files -z --cached --others --exclude-standard | tar -C "$source" --null -T - -c | tar -C "$root/fastsvc" -x --no-same-owner
    run() { chroot "$root" env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
        ${settings[@]+"${settings[@]}"} ${PYTHON:+PYTHON="$PYTHON"} ${TESTS:+TESTS="$TESTS"} sh -c "cd /fastsvc && $1"; }
    run ". /etc/os-release && echo \"\$PRETTY_NAME, \$(\${PYTHON:-python3} --version), \$(nproc) processors\""
    run '! command -v cc gcc g++ c++ clang' || { echo "fresh.sh: there is a compiler" >&2; return 1; }
    for goal in $goals; do
        start=$SECONDS
        run "make $goal" || { echo "fresh.sh: $1: make $goal failed after $((SECONDS - start)) s" >&2; return 1; }
        echo "$1: make $goal: $((SECONDS - start)) s, .venv $(du -sm "$root/fastsvc/.venv" | cut -f1) MB"
    done
}

if [ "${1:-}" = --inside ]; then
    inside "$2"
    exit
fi
failed=()
for release in ${@:-bookworm trixie}; do
    mkdir -p "$roots"
    mmdebstrap --quiet --variant=minbase --include=python3-venv,make "$release" "$roots/$release" "$mirror"
    ROOTS=$roots unshare --mount "$0" --inside "$release" || failed+=("$release")
    [ -n "${KEEP:-}" ] || rm -rf --one-file-system "${roots:?}/$release"
done
[ ${#failed[@]} -eq 0 ] || { echo "fresh.sh: failed: ${failed[*]}" >&2; exit 1; }
echo "fresh.sh: all passed: ${*:-bookworm trixie}: make $goals"
