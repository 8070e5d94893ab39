#!/usr/bin/env bash
# Proves that README's commands work on a bare Debian with python3-venv and make, without a compiler:
#     sudo ci/fresh.sh [RELEASE…]              bookworm and trixie (Debian 12 and 13) where none is named
# Needs mmdebstrap and root. Each release is unpacked into a folder of its own and gets a copy of the files that git
# knows. pip's settings, and the local folders that they name, are lent to it read-only. Set in the environment:
#     GOALS="demo test"     what to make
#     TESTS=tests/test_f0.py   some of the tests
#     ROOTS=FOLDER KEEP=1   where to unpack (default: a temporary folder), and that it stays
#     MIRROR=URL            of Debian's packages
#     PYTHON=/…/bin/python3 that interpreter, lent too, in place of Debian's
set -euo pipefail
cd "$(dirname "$0")/.."
goals=${GOALS:-demo test}
mirror=${MIRROR:-http://deb.debian.org/debian}
[ "$(id -u)" -eq 0 ] || { echo "fresh.sh: needs root, to mount and to change root: use sudo" >&2; exit 2; }
command -v mmdebstrap > /dev/null || { echo "fresh.sh: needs mmdebstrap: apt install mmdebstrap" >&2; exit 2; }

pip_settings() { # lines PIP_NAME=VALUE: what pip was told by files and environment
    local key value
    python3 -m pip config list | sed -nE "s/^(global|install|:env:)\.([a-z-]+)='(.*)'$/\2 \3/p" |
        while read -r key value; do echo "PIP_$(tr a-z- A-Z_ <<< "$key")=$value"; done
}

lend() { # ROOT PATH…: each is seen inside under the same name, read-only
    local root=$1 path
    shift
    for path in "$@"; do
        [ -e "$path" ] || continue
        if [ -d "$path" ]; then
            mkdir -p "$root$path"
        else
            mkdir -p "$root$(dirname "$path")"
            touch "$root$path"
        fi
        mount --bind "$path" "$root$path"
        mount -o remount,bind,ro "$root$path"
    done
}

furnish() { # ROOT SETTING…: kernel's folders, name service, what pip's settings name, a copy of the files
    local root=$1 named
    shift
    mount --make-rprivate /
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount --rbind /sys "$root/sys"
    cp -L /etc/resolv.conf "$root/etc/resolv.conf"
    mapfile -t named < <(printf '%s\n' "${@#*=}" | grep -oE '(^| |file://)/[^ ]*' |
        sed 's,^ ,,; s,^file://,,; s,/simple/*$,,' | sort -u)
    lend "$root" ${named[@]+"${named[@]}"}
    [ -z "${PYTHON:-}" ] || lend "$root" "$(dirname "$(dirname "$(realpath "$PYTHON")")")"
    rm -rf "$root/fastsvc"
    mkdir "$root/fastsvc"
    git ls-files -z --cached --others --exclude-standard | tar --null -T - -c |
        tar -C "$root/fastsvc" --no-same-owner -x
}

inside() { # RELEASE: in a mount namespace of its own, so that nothing stays mounted
    local root=$ROOTS/$1 settings goal start
    mapfile -t settings < <(pip_settings)
    furnish "$root" ${settings[@]+"${settings[@]}"}
    settings+=(HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
    [ -z "${PYTHON:-}" ] || settings+=("PYTHON=$PYTHON")
    [ -z "${TESTS:-}" ] || settings+=("TESTS=$TESTS")
    run() { chroot "$root" env -i "${settings[@]}" sh -c "cd /fastsvc && $1"; }
    run '. /etc/os-release; echo "$PRETTY_NAME, $(${PYTHON:-python3} --version), $(nproc) processors"'
    run '! command -v cc gcc g++ c++ clang' || { echo "fresh.sh: $1 has a compiler" >&2; return 1; }
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
export ROOTS=${ROOTS:-$(mktemp -d)}
mkdir -p "$ROOTS"
[ $# -gt 0 ] || set -- bookworm trixie
failed=()
for release in "$@"; do
    [ -n "${KEEP:-}" ] || trap 'rm -rf --one-file-system "${ROOTS:?}/$release"' EXIT
    mmdebstrap --quiet --variant=minbase --include=python3-venv,make "$release" "$ROOTS/$release" "$mirror"
    unshare --mount "$0" --inside "$release" || failed+=("$release")
    [ -n "${KEEP:-}" ] || rm -rf --one-file-system "${ROOTS:?}/$release"
done
[ ${#failed[@]} -eq 0 ] || { echo "fresh.sh: failed: ${failed[*]}" >&2; exit 1; }
echo "fresh.sh: passed: $*: make $goals"
