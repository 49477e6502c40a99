#!/usr/bin/env bash
# Install what is missing, then run ruff and the tests, from any folder:
#   tools/run_tests.sh [--no-venv] [arguments of pytest]
# --no-venv takes the active environment instead of .venv.
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/setup_env.sh"
setup_env "$@"

cd "$ROOT"
failed=()
say ruff
python -m ruff check . || failed+=(ruff)
say pytest
python -m pytest "${ARGS[@]}" || failed+=(pytest)

if [ ${#failed[@]} -gt 0 ]; then
    echo "FAILED: ${failed[*]}"
    exit 1
fi
echo 'PASSED: ruff and all tests'
