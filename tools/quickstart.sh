#!/usr/bin/env bash
# Install what is missing, then run the main job on the embedded data, from any folder:
#   tools/quickstart.sh [--no-venv] [arguments of tools/quickstart.py, such as --smoke]
# --no-venv takes the active environment instead of .venv. Paths are relative to the checkout, where
# the results are written too (work_dirs/quickstart).
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/setup_env.sh"
setup_env "$@"

cd "$ROOT"
exec python tools/quickstart.py "${ARGS[@]}"
