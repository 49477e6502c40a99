#!/usr/bin/env bash
# Train with one process per GPU (without a GPU: processes on the CPU), from any folder:
#   tools/dist_train.sh CONFIG PROCESSES [arguments of tools/train.py]
# On several machines run it on each, with NNODES, NODE_RANK, MASTER_ADDR and PORT set.
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG PROCESSES [arguments of tools/train.py]" >&2
    exit 2
fi
if ! command -v torchrun > /dev/null; then
    echo "$0: there is no torchrun here: activate the environment (source .venv/bin/activate)" >&2
    exit 2
fi

torchrun \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$2" \
    "$(dirname "${BASH_SOURCE[0]}")/train.py" "$1" --launcher pytorch "${@:3}"
