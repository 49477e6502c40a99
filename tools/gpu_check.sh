#!/usr/bin/env bash
# What only a GPU can tell, in at most 8 minutes, on a machine that reaches no registry:
#   tools/gpu_check.sh pack WHEELS                    where there is one: what that machine lacks
#   tools/gpu_check.sh [--rehearse] OUT [WHEELS]      there
# The machine has python3 with torch, torchvision, transformers, cv2, rich and pytest. Tests come
# first, then benchmarks: OUT gets each result as soon as it is there, at most 8 files. --rehearse
# does all of it in small on a CPU, at leisure; its benchmarks compile nothing. Exit status 1: a
# step failed, or there was no time for it.
set -uo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PACKAGES='mmengine mmcv-lite mmaction2 addict yapf platformdirs termcolor importlib_metadata
    open_clip_torch setuptools'
SECONDS_IN_ALL=470

if [ "${1:-}" = pack ]; then
    # shellcheck disable=SC2086  # several words
    python3 -m pip download --quiet --no-deps --only-binary=:all: \
        --python-version "${GPU_PYTHON:-3.12}" -d "${2:?the folder for the wheels is missing}" \
        -c "$ROOT/requirements/constraints.txt" $PACKAGES || exit 1
    du -sh "$2"
    exit
fi

slower=1
tests=(-m gpu)
last=(--device cuda) # of a benchmark's options; what comes last holds
if [ "${1:-}" = --rehearse ]; then
    shift
    slower=10 tests=(-m 'not gpu')
    last=(--sizes tiny --masks 0.5 --batch 2 --rounds 1 --layers 1)
fi
[ -n "${1:-}" ] || { sed -n '2,/^set/s/^# \?//p' "${BASH_SOURCE[0]}"; exit 2; }
mkdir -p "$1" && OUT=$(cd "$1" && pwd) || exit 2
WHEELS=${2:+$(cd "$2" && pwd)} || exit 2
cd "$ROOT" || exit 2

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export TORCHINDUCTOR_CACHE_DIR=$scratch/inductor TRITON_CACHE_DIR=$scratch/triton
export PYTHONPATH=$scratch/site:$ROOT PYTHONUNBUFFERED=1
failed=()

# step NAME SECONDS COMMAND...: what it prints goes to summary.txt too, its errors to log.txt.
step() {
    local name=$1 limit=$2 begin=$SECONDS status
    local left=$((slower * SECONDS_IN_ALL - SECONDS))
    shift 2
    if [ "$left" -lt 10 ]; then
        status='no time left'
    else
        echo "== $name: $*" | tee -a "$OUT/log.txt" >> "$OUT/summary.txt"
        timeout --signal INT --kill-after 5 "$((slower * limit < left ? slower * limit : left))" "$@" \
            2>> "$OUT/log.txt" < /dev/null | tee -a "$OUT/summary.txt"
        status=${PIPESTATUS[0]}
    fi
    case $status in
        0) status=done ;;
        124 | 137) status="stopped after $((SECONDS - begin)) s" ;;
        [0-9]*) status="failed with $status" ;;
    esac
    [ "$status" = done ] || failed+=("$name")
    echo "-- $name: $status, $((SECONDS - begin)) s" | tee -a "$OUT/summary.txt"
}

benchmark() {
    local name=$1 limit=$2
    shift 2
    step "$name" "$limit" env TORCHDYNAMO_DISABLE=$((slower > 1)) \
        python3 tools/benchmarks/model.py "$@" --precisions bf16 "${last[@]}" \
        --out "$OUT/$name.json"
}

: > "$OUT/summary.txt" > "$OUT/log.txt"
[ -z "$WHEELS" ] || step install 60 python3 -m pip install --quiet --no-index --no-deps \
    --no-compile --no-cache-dir --target "$scratch/site" "$WHEELS"/*.whl
step environment 90 python3 -m tvtsv2_mm.env
# shellcheck disable=SC2086  # several words
step tests 170 python3 -m pytest tests/test_gpu -v --tb=short -p no:cacheprovider \
    --junitxml "$OUT/tests.xml" "${tests[@]}" ${TESTS:-}
benchmark goal-b16 110 --sizes b16 --masks 0.5 --batch 64 --rounds 5 \
    --contestants ours+compile ours+compile+grouped_time einsum matmul
benchmark goal-h14 150 --sizes h14 --masks 0.7 --batch 64 --rounds 3 \
    --contestants ours+compile+grouped ours+compile+checkpointing ours+compile matmul
benchmark einsum-h14 110 --sizes h14 --masks 0.7 --batch 24 --rounds 3 \
    --contestants ours+compile einsum matmul
benchmark ab-b16 200 --sizes b16 --masks 0.5 --batch 64 --rounds 5 --layers 4 \
    --contestants ours+compile ours+compile+grouped_time ours+compile+grouped \
    ours+compile+efficient ours+compile+cudnn ours+compile+flash ours+compile+plain ours matmul

if [ ${#failed[@]} -gt 0 ]; then
    echo "FAILED: ${failed[*]}" | tee -a "$OUT/summary.txt"
    exit 1
fi
echo 'PASSED: all steps' | tee -a "$OUT/summary.txt"
