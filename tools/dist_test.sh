#!/usr/bin/env bash
# Test with one process per GPU (without a GPU: processes on the CPU), from any folder:
#   tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [arguments of tools/test.py]
# On several machines run it on each, with NNODES, NODE_RANK, MASTER_ADDR and PORT set.
source "$(dirname "${BASH_SOURCE[0]}")/launch.sh"
need 3 'CONFIG CHECKPOINT PROCESSES [arguments of tools/test.py]' "$@"
on_machines "$3" test.py "$1" "$2" --launcher pytorch "${@:4}"
