#!/usr/bin/env bash
# Train on a slurm cluster, from any folder:
#   tools/slurm_train.sh PARTITION JOB_NAME CONFIG [arguments of tools/train.py]
# Set by the environment: GPUS, GPUS_PER_NODE, CPUS_PER_TASK, SRUN_ARGS, MASTER_PORT.
source "$(dirname "${BASH_SOURCE[0]}")/launch.sh"
need 3 'PARTITION JOB_NAME CONFIG [arguments of tools/train.py]' "$@"
on_slurm "$1" "$2" train.py "$3" --launcher slurm "${@:4}"
