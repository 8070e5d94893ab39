#!/usr/bin/env bash
# Everything that a GPU is needed for, in one command of less than 9 minutes:
#     bench/gpu.sh OUT_DIR
# The GPU tests, an engine of full size built for this GPU, and the latency table. Needs torch, triton, numpy, click,
# pytest and safetensors; no network. Every step goes on where another failed; logs, JSON and a summary are in OUT_DIR.
set -uo pipefail
out=$(mkdir -p "${1:?usage: bench/gpu.sh OUT_DIR}" && cd "$1" && pwd)
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
failed=0
: > "$out/summary.txt"

step() { # NAME SECONDS COMMAND…
    local name=$1 limit=$2 start=$SECONDS code=0
    shift 2
    echo "== $name: $*"
    timeout "$limit" "$@" > "$out/$name.log" 2>&1 || code=$?
    [ "$code" -eq 124 ] && echo "stopped after $limit s" >> "$out/$name.log"
    [ "$code" -eq 0 ] || failed=1
    echo "$name: exit $code, $((SECONDS - start)) s" | tee -a "$out/summary.txt"
    [ "$code" -eq 0 ] || tail -n 15 "$out/$name.log"
}

step machine 30 "$PYTHON" -m fastsvc doctor
step tests 200 "$PYTHON" -m pytest -q -m gpu -rs -p no:cacheprovider tests
step kernels 50 "$PYTHON" -m pytest -q -p no:cacheprovider tests/test_kernels.py tests/test_kernels_noise.py \
    tests/test_kernels_source.py tests/test_kernels_denoiser.py
step engine 90 "$PYTHON" -m bench.models "$out/models" --steps 1,2,4 --precision auto --target auto
rm -f "$out"/models/*.pt # half a gigabyte that nobody needs again
# the figures that matter most come first, in case time runs out
step latency 90 "$PYTHON" -m bench.latency "$out/models/bench.fsvc" --device cuda --json "$out/latency.json" --peers "" --budget 1 \
    --seconds 10,0.5,60,1,2,5,30
step peers 70 "$PYTHON" -m bench.latency "$out/models/bench.fsvc" --device cuda --json "$out/peers.json" \
    --seconds 0.5,10 --steps 1 --no-extras --budget 1
rm -rf "$out/models"
cat "$out/summary.txt"
exit "$failed"
