#!/usr/bin/env bash
# Make one environment after another, from the lowest of all that requirements/ allow to the newest, and run the
# fast tests in each (docs/installation.md, "What was tried"):
#   tools/matrix.sh [--record] [COLUMN ...] [-- arguments of pytest]
# They live in .matrix. Needs a network. Exits with 1 where something failed, with 3 where nothing
# did but a Python is missing.
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/setup_env.sh"
cd "$ROOT"
if ! .matrix/uv/bin/uv --version > /dev/null 2>&1; then
    maker=$(find_python python3.11 python3.12 python3.13 python3.10 python3)
    "$maker" -m venv .matrix/uv
    .matrix/uv/bin/python -m pip install -qq --disable-pip-version-check uv ||
        fail 'pip could not install uv'
fi
exec .matrix/uv/bin/python tools/matrix.py "$@"
