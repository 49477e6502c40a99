#!/usr/bin/env bash
# Train on a slurm cluster, from any folder:
#   tools/slurm_train.sh PARTITION JOB_NAME CONFIG [arguments of tools/train.py]
# In a job of sbatch a run that is told to stop (preempted, or --signal=USR1@120 before its time is
# up) saves, is requeued, and goes on.
# Set by the environment: GPUS, GPUS_PER_NODE, CPUS_PER_TASK, SRUN_ARGS, MASTER_PORT.
source "$(dirname "${BASH_SOURCE[0]}")/launch.sh"
need 3 'PARTITION JOB_NAME CONFIG [arguments of tools/train.py]' "$@"
on_slurm "$1" "$2" train.py "$3" --launcher slurm \
    ${SLURM_RESTART_COUNT:+--resume} "${@:4}"
