#!/usr/bin/env bash
# Install what is missing, then run the checks (.pre-commit-config.yaml) and the tests, anywhere:
#   tools/run_tests.sh [--no-venv] [arguments of pytest]
# --no-venv takes the active environment instead of .venv.
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/setup_env.sh"
setup_env "$@"

cd "$ROOT"
failed=()
checks=$(sed -n 's/^ *entry: //p' .pre-commit-config.yaml)
while read -r name words; do
    say "$name"
    # shellcheck disable=SC2086  # several words
    "$name" $words < /dev/null || failed+=("$name")
done <<< "$checks"
say pytest
# Whole files go to a process for each core, each with one thread; `-n 0` runs them in one process.
OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} python -m pytest -n auto --maxprocesses 4 --dist loadfile \
    --no-loadscope-reorder "${ARGS[@]}" || failed+=(pytest)

if [ ${#failed[@]} -gt 0 ]; then
    echo "FAILED: ${failed[*]}"
    exit 1
fi
echo 'PASSED: all checks and all tests'
