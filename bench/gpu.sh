#!/usr/bin/env bash
# Everything that a GPU is needed for, in one command of less than 9 minutes:
#     bench/gpu.sh OUT_DIR [rvc] [--rehearse]
# The GPU tests, an engine of full size built for this GPU, and the latency table; with the word rvc the same of a voice
# of RVC alone. Needs torch, triton, numpy, click, pytest and safetensors, better with cuda-bindings; no network. Every
# step goes on where another failed; logs, JSON and a summary are in OUT_DIR. What the step machine finds says nothing of
# this project, so it does not count for the exit code.
# Kernels compiled elsewhere, by Triton 3.9 or newer (python -m bench.ahead work/ahead), are used where work/ahead, or
# $AHEAD, has come along; cuda-bindings starts them.
# --rehearse: the same steps without a GPU, over a stand-in device, in small sizes (bench/rehearsal.sh).
set -uo pipefail
out=$(mkdir -p "${1:?usage: bench/gpu.sh OUT_DIR}" && cd "$1" && pwd)
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
failed=0
: > "$out/summary.txt"
slower=100           # percent of the limits of all steps
declare -A parts=()  # of a step of tests: only each n-th one
lengths=10,0.5,60,2,1,30,5 peer_lengths=10,0.5 longest=10 warm_lengths="0.5 1 2 5 10 30 60"
budget=0.5 sizes=() voice=()
processors() { env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc; } # which would else obey these
begun() { :; }
finished() { :; }
rvc=
for word in "${@:2}"; do
    case $word in
        rvc) rvc=rvc ;;
        --rehearse) . bench/rehearsal.sh ;;
        *) echo "unknown: $word; usage: bench/gpu.sh OUT_DIR [rvc] [--rehearse]" >&2 && exit 2 ;;
    esac
done

step() { # NAME SECONDS COMMAND…
    local name=$1 limit=$(($2 * slower / 100)) start=$SECONDS code=0
    shift 2
    echo "== $name: $*"
    timeout -k 5 "$limit" "$@" > "$out/$name.log" 2>&1 || code=$?
    report "$name" "$limit" "$start" "$code"
}

shares() { # NAME SECONDS VARIABLE TESTS…: one process a processor, each with its share of the tests, or of their kernels
    local name=$1 limit=$(($2 * slower / 100)) variable=$3 start=$SECONDS code=0 count jobs=() i job one
    shift 3
    count=$(processors)
    [ "$count" -le 12 ] || count=12
    echo "== $name: pytest $*, $count processes"
    for ((i = 0; i < count; i++)); do
        env "$variable=$i/$((count * ${parts[$name]:-1}))" timeout -k 5 "$limit" \
            "$PYTHON" -m pytest -v -rs -p no:cacheprovider "$@" > "$out/$name.$i.part" 2>&1 &
        jobs+=($!)
    done
    for job in "${jobs[@]}"; do
        one=0
        wait "$job" || one=$?
        [ "$one" -eq 0 ] || [ "$one" -eq 5 ] || code=$one # 5: no test was left for it
    done
    cat "$out/$name".*.part > "$out/$name.log"
    rm -f "$out/$name".*.part
    report "$name" "$limit" "$start" "$code"
    [ "$code" -eq 0 ] || grep -hE "^(FAILED|ERROR) " "$out/$name.log"
}

report() { # NAME SECONDS START CODE
    [ "$4" -eq 124 ] && echo "stopped after $2 s" >> "$out/$1.log"
    [ "$4" -eq 0 ] || [ "$1" = machine ] || failed=1
    echo "$1: exit $4, $((SECONDS - $3)) s" | tee -a "$out/summary.txt"
    [ "$4" -eq 0 ] || tail -n 15 "$out/$1.log"
}

finish() {
    finished
    cat "$out/summary.txt"
    exit "$failed"
}

latency=("$PYTHON" -m bench.latency "$out/models/bench.fsvc" --device cuda)
# Without cuda-bindings kernels are compiled by Triton as they are met: first all lengths at once, into its cache, from a
# copy of the engine, which keeps what is measured meanwhile.
warm='cp -r "$1/bench.fsvc" "$1/warm.fsvc"
for s in $2; do
    "$0" -m bench.latency "$1/warm.fsvc" --device cuda --seconds $s --repeats 1 --budget 0 --peers "" --no-extras &
    jobs+=($!)
done
for job in ${jobs[@]}; do wait $job || exit 1; done'
bound='import cuda.bindings.driver'

begun
if [ "$rvc" ]; then
    shares tests 110 FASTSVC_SHARE -m gpu tests/test_gpu_rvc.py tests/test_retrieval.py
    step engine 150 "$PYTHON" -m bench.rvc_engine "$out/models" --precision auto --target auto "${voice[@]}"
    step latency 200 "$PYTHON" -m bench.latency "$out/models/rvc.fsvc" --device cuda --json "$out/rvc_latency.json" \
        --steps 1 --seconds "$lengths" --peers eager32,eager16,graphs --peer-seconds "$peer_lengths" --budget "$budget"
    rm -rf "$out/models"
    finish
fi

kernel_tests=(tests/test_kernels.py tests/test_kernels_vocoder.py tests/test_kernels_noise.py
    tests/test_kernels_source.py tests/test_kernels_denoiser.py)
ahead=${AHEAD:-work/ahead}
built=(--target auto)
[ ! -d "$ahead" ] || built=(--target cpu --ahead "$ahead")

step machine 40 bash -c '"$0" -m fastsvc doctor; code=$?; nvidia-smi; command -v gcc compute-sanitizer
"$0" -m pip list 2>/dev/null; exit $code' "$PYTHON"
step engine 80 "$PYTHON" -m bench.models "$out/models" --steps 1,2,4 --precision auto "${built[@]}" "${sizes[@]}"
rm -f "$out"/models/*.pt # half a gigabyte that nobody needs again
step warm 30 bash -c "\"\$0\" -c '$bound' 2>/dev/null || { $warm; }" "$PYTHON" "$out/models" "$warm_lengths"
# the figures that matter most come first, in case time runs out; what is measured is written at once
step latency 100 "${latency[@]}" --json "$out/latency.json" --peers "" --budget "$budget" --seconds "$lengths"
step peers 45 "${latency[@]}" --json "$out/peers.json" --peers eager32,eager16,graphs --pdl \
    --seconds "$peer_lengths" --peer-seconds "$peer_lengths" --steps 1 --no-extras --budget "$budget"
step compile 50 "${latency[@]}" --json "$out/compile.json" --peers compile \
    --seconds "$longest" --peer-seconds "$longest" --steps 1 --no-extras --budget "$budget"
rm -rf "$out/models"
# carried wheels may bring TensorRT for RTX: what it says of a GPU that it does not list
step rtx 17 "$PYTHON" -m bench.trt_here --json "$out/trt_here.json"
# each kernel of the tests once, into Triton's cache, where otherwise several processes would compile the same one
shares kernels_compiled 40 FASTSVC_COMPILE "${kernel_tests[@]}" tests/test_kernels_gpu.py tests/test_kernels_vocoder_gpu.py
shares tests 80 FASTSVC_SHARE -m gpu tests --ignore tests/test_sanitizer.py
shares kernels 30 FASTSVC_SHARE "${kernel_tests[@]}"
# alone: it slows the GPU for everything else, and everything else slows it
step sanitizer 25 "$PYTHON" -m pytest -v -rs -p no:cacheprovider -m gpu tests/test_sanitizer.py
finish
