# Sourced by bench/gpu.sh --rehearse: the same steps over a stand-in device (tests/rehearsal), in small sizes. Nothing is
# measured, every JSON says so, and a last step reads all of them as those who use them do.
# Compiled kernels and their results stay in work/rehearsal, so a second rehearsal takes less time.
case $out/ in "$PWD"/bench/results/*)
    rm "$out/summary.txt" && rmdir "$out" 2>/dev/null
    echo "$out: a rehearsal's figures are not results" >&2
    exit 2
    ;;
esac
export FASTSVC_REHEARSAL=${FASTSVC_REHEARSAL:-$PWD/work/rehearsal} OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive
mkdir -p "$FASTSVC_REHEARSAL"
export TRITON_CACHE_DIR=$FASTSVC_REHEARSAL/triton XDG_CACHE_HOME=$out/cache # a lent machine knows nothing of before
export PYTHONPATH="$PWD/tests/rehearsal/start:$PYTHONPATH" PYTEST_ADDOPTS="-p rehearsal.plugin"
slower=${FASTSVC_SLOWER:-6000}
parts=([kernels_compiled]=8 [kernels]=30)
sizes=(--sizes 32,2,32) voice=(--vectors 300)
lengths=0.1,0.3 peer_lengths=0.1 longest=0.1 warm_lengths="0.1 0.3"
budget=0.01

processors() { echo 2; }
begun() { # kernels compiled elsewhere; AHEAD=none: the engine's build compiles them
    [ "${AHEAD:-}" = none ] || [ "$rvc" ] && return
    AHEAD=$out/ahead
    step ahead 60 "$PYTHON" -m bench.ahead "$AHEAD" --seconds "$lengths" "${sizes[@]}"
}

finished() {
    step read 60 "$PYTHON" tests/rehearsal/read.py "$out" $rvc
    rm -rf "$XDG_CACHE_HOME" "$out/ahead"
    sed -i '1i a rehearsal over a stand-in device: no GPU, every time is an interpreter'"'"'s' "$out/summary.txt"
}
