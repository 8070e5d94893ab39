#!/usr/bin/env bash
# Proves that the package can be built and installed wherever setup.py says so:
#     ci/matrix.sh [BUILD…]        build, resolve, install (default: all three)
# build    `python -m build` in the repository: an sdist, and from it the wheel, of at most 17 MB
# resolve  for each Python and each system uv finds wheels for all that users install, of the lowest and the highest
#          versions; nothing is installed, so interpreters and systems need not be here
# install  each Python that is here gets the wheel: it converts a recording where a PyTorch for CPUs can be had, else,
#          with the other packages alone, it compiles every module and prints the help
# Needs pip and its index. Set in the environment:
#     PYTHONS="3.10 3.14"      versions (default: 3.10 to 3.14)
#     SYSTEMS="windows"        as uv names them (default: Linux on x86 and ARM, macOS on ARM, Windows)
#     TORCH_INDEX=URL          of PyTorch's wheels for CPUs (default: PyTorch's own, besides pip's)
#     FULL=1                   install pip's own PyTorch where there is none for CPUs (5 GB on Linux)
#     WORK=FOLDER              keep wheel, environments and logs (default: a temporary folder)
set -euo pipefail
cd "$(dirname "$0")/.."
pythons=${PYTHONS:-3.10 3.11 3.12 3.13 3.14}
systems=${SYSTEMS:-x86_64-manylinux_2_28 aarch64-manylinux_2_28 aarch64-apple-darwin windows}
torch="torch==$(sed -n 's/^TORCH_VERSION ?= //p' Makefile)"
# All extras of users. Not bench (pesq needs a compiler), TensorRT (docs/gpu.md), and praat for Linux on ARM.
extras=media,demo,train,f0,swift,onnx,live,web,docs
[ -n "${WORK:-}" ] || { WORK=$(mktemp -d); trap 'rm -rf "$WORK"' EXIT; }
mkdir -p "$WORK"
export UV_PYTHON_DOWNLOADS=never UV_NATIVE_TLS=1
export MACOSX_DEPLOYMENT_TARGET=14.0 # what onnxruntime 1.27 is built for
failed=()
if [ ! -x "$WORK/tools/bin/uv" ]; then
    python3 -m venv "$WORK/tools"
    "$WORK/tools/bin/pip" install --quiet build uv 2> "$WORK/tools.log" || { cat "$WORK/tools.log" >&2; exit 1; }
fi
uv() { "$WORK/tools/bin/uv" "$@"; }

build() {
    rm -rf "$WORK/dist"
    "$WORK/tools/bin/python" -m build --outdir "$WORK/dist" > "$WORK/build.log" 2>&1 ||
        { tail -20 "$WORK/build.log" >&2; exit 1; }
    stat --printf 'build: %n %s bytes\n' "$WORK"/dist/*
    [ "$(stat -c %s "$WORK"/dist/*.whl)" -le 17000000 ] || failed+=("the wheel is larger than 17 MB")
}

resolve() {
    local python system way named log=$WORK/resolve.log
    for python in $pythons; do
        for system in $systems; do
            named=$extras
            case $system in aarch64-manylinux*) ;; *) named=$named,praat ;; esac
            echo "fastsvc[$named]" > "$WORK/highest.in"
            python3 ci/lowest.py --declared "$named" > "$WORK/lowest-direct.in" # what a package requires is not direct
            for way in lowest-direct highest; do
                rm -f "$WORK/$python-$system-$way.txt" # uv would prefer its versions
                if uv pip compile --quiet --python-version "$python" --python-platform "$system" --resolution $way \
                    --only-binary :all: --find-links "$WORK/dist" "$WORK/$way.in" \
                    --output-file "$WORK/$python-$system-$way.txt" 2> "$log"; then
                    echo "resolve: Python $python, $system, $way: $(grep -c == "$WORK/$python-$system-$way.txt") packages"
                else
                    cat "$log" >&2
                    failed+=("resolve Python $python, $system, $way")
                fi
            done
        done
    done
}

install() {
    local python here bin wheel
    wheel=$(ls "$WORK"/dist/*.whl)
    for python in $pythons; do
        here=$WORK/python-$python bin=$WORK/python-$python/bin
        if ! uv venv --quiet --clear --python "$python" "$here" 2> /dev/null; then
            echo "install: Python $python: not here, so its metadata alone was resolved"
            continue
        fi
        if uv pip install --quiet --python "$here" --no-deps --only-binary :all: $(finds) "$torch+cpu" 2> /dev/null ||
            [ -n "${FULL:-}" ]; then
            uv pip install --quiet --python "$here" --only-binary :all: $(finds) "$wheel" &&
                convert "$python" "$bin" || failed+=("install Python $python")
        else
            uv pip install --quiet --python "$here" --only-binary :all: "$wheel" --excludes <(echo torch) &&
                look "$python" "$bin" || failed+=("install Python $python")
        fi
    done
}

finds() { # where PyTorch for CPUs may be, besides pip's index
    echo "--extra-index-url ${TORCH_INDEX:-https://download.pytorch.org/whl/cpu} --index-strategy unsafe-best-match"
    [ -z "${PIP_FIND_LINKS:-}" ] || echo "--find-links $PIP_FIND_LINKS"
}

convert() { # PYTHON BIN: a recording, far from the sources
    local out=$WORK/out-$1
    (cd "$WORK" && FASTSVC_CACHE=$WORK/cache OMP_NUM_THREADS=1 "$2/fastsvc" convert --overwrite --spk 0 -q \
        -o "$out" "$OLDPWD/examples/recordings/speech/front_center.wav") || return 1
    echo "install: Python $1: $("$2/python" -c 'import torch; print("torch", torch.__version__)'), converts:" \
        "$(md5sum < "$out/front_center.wav" | cut -c -8)"
}

look() { # PYTHON BIN: all that can be said without PyTorch
    local site
    site=$("$2/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    "$2/python" -W error -m compileall -q "$site/fastsvc" || return 1
    (cd "$WORK" && "$2/fastsvc" convert --help > /dev/null && "$2/fastsvc" --version > /dev/null) || return 1
    echo "install: Python $1: no PyTorch for CPUs here (FULL=1 takes pip's own): every module compiles, the command starts"
}

[ $# -gt 0 ] || set -- build resolve install
for part in "$@"; do "$part"; done
[ ${#failed[@]} -eq 0 ] || { printf 'matrix.sh: failed: %s\n' "${failed[@]}" >&2; exit 1; }
echo "matrix.sh: passed: $*"
