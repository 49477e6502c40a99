#!/usr/bin/env bash
# Train with one process per GPU (without a GPU: processes on the CPU), from any folder:
#   tools/dist_train.sh CONFIG PROCESSES [arguments of tools/train.py]
# On several machines run it on each, with NNODES, NODE_RANK, MASTER_ADDR and PORT set.
source "$(dirname "${BASH_SOURCE[0]}")/launch.sh"
need 2 'CONFIG PROCESSES [arguments of tools/train.py]' "$@"
on_machines "$2" train.py "$1" --launcher pytorch "${@:3}"
