#!/usr/bin/env bash
# Test on a slurm cluster, from any folder:
#   tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [arguments of tools/test.py]
# Set by the environment: GPUS, GPUS_PER_NODE, CPUS_PER_TASK, SRUN_ARGS, MASTER_PORT.
source "$(dirname "${BASH_SOURCE[0]}")/launch.sh"
need 4 'PARTITION JOB_NAME CONFIG CHECKPOINT [arguments of tools/test.py]' "$@"
on_slurm "$1" "$2" test.py "$3" "$4" --launcher slurm "${@:5}"
