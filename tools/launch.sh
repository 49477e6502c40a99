# Sourced by dist_*.sh and slurm_*.sh, not run by itself.
set -euo pipefail
TOOLS=$(dirname "${BASH_SOURCE[0]}")

# need NUMBER USAGE "$@": end with the usage where fewer arguments were given.
need() {
    [ $(($# - 2)) -ge "$1" ] && return
    echo "usage: $0 $2" >&2
    exit 2
}

# on_machines PROCESSES TOOL [arguments]
on_machines() {
    if ! command -v torchrun > /dev/null; then
        echo "$0: there is no torchrun here: activate the environment (source .venv/bin/activate)" >&2
        exit 2
    fi
    # In this script's place: what ends the script, or tells it to stop, is meant for torchrun.
    exec python -m tvtsv2_mm.apis.launch.torchrun \
        --nnodes="${NNODES:-1}" \
        --node_rank="${NODE_RANK:-0}" \
        --master_addr="${MASTER_ADDR:-127.0.0.1}" \
        --master_port="${PORT:-29500}" \
        --nproc_per_node="$1" \
        "$TOOLS/$2" "${@:3}"
}

# on_slurm PARTITION JOB_NAME TOOL [arguments]
on_slurm() {
    GPUS=${GPUS:-8}
    GPUS_PER_NODE=${GPUS_PER_NODE:-$((GPUS < 8 ? GPUS : 8))}
    # Two jobs on one machine must not meet on a port.
    export MASTER_PORT=${MASTER_PORT:-$((12000 + RANDOM % 20000))}
    local status=0
    # Slurm's signals reach this script too, which has something to do yet.
    trap : TERM USR1
    # shellcheck disable=SC2086  # SRUN_ARGS holds several arguments
    srun --partition="$1" \
        --job-name="$2" \
        --gres="gpu:$GPUS_PER_NODE" \
        --ntasks="$GPUS" \
        --ntasks-per-node="$GPUS_PER_NODE" \
        --cpus-per-task="${CPUS_PER_TASK:-5}" \
        --kill-on-bad-exit=1 \
        ${SRUN_ARGS:-} \
        python -u "$TOOLS/$3" "${@:4}" || status=$?
    # Told to stop, and saved (PREEMPTED in tvtsv2_mm/utils/processes.py).
    if [ "$status" -eq 85 ] && [ -n "${SLURM_JOB_ID:-}" ]; then
        echo "$0: told to stop; requeueing job $SLURM_JOB_ID" >&2
        scontrol requeue "$SLURM_JOB_ID" || echo "$0: Slurm does not requeue it (sbatch" \
            "--requeue): the same command with --resume goes on" >&2
    fi
    return "$status"
}
