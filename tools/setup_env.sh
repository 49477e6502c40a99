# Sourced by run_tests.sh and quickstart.sh, not run by itself.
#
#   setup_env "$@"
#
# makes .venv in the checkout (with --no-venv takes the active environment), installs what is
# missing, puts its programs first on the PATH, and sets ARGS to the arguments but for --no-venv.
# When all is there already, nothing happens. The install is an editable one, so that what runs is
# always the code of the checkout, by `mim` too (setup.py says how).

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

setup_env() {
    local arg no_venv= stamp pins=()
    ARGS=()
    for arg; do
        if [ "$arg" = --no-venv ]; then no_venv=1; else ARGS+=("$arg"); fi
    done
    if [ -n "$no_venv" ]; then
        # What the environment has and the package accepts stays as it is: no pins.
        PYTHON=$(command -v python || command -v python3) || fail 'there is no python on the PATH'
        check_python "$PYTHON"
    else
        PYTHON=$ROOT/.venv/bin/python
        pins=(-c "$ROOT/requirements/constraints.txt")
        if [ ! -x "$PYTHON" ]; then
            local base
            base=$(command -v python3.11 || command -v python3) || fail 'there is no python3 on the PATH'
            check_python "$base"
            say "making $ROOT/.venv with $("$base" --version)"
            "$base" -m venv "$ROOT/.venv" || fail "$base cannot make a virtual environment" \
                '(on Debian and Ubuntu: apt install python3-venv)'
        fi
        check_python "$PYTHON"
    fi

    # Any change of what is installed, or of what `mim` finds by name, installs again.
    stamp=$("$PYTHON" -c 'import sys; print(sys.prefix)')/.tvtsv2_mm_installed
    if [ "$(fingerprint)" != "$(cat "$stamp" 2> /dev/null)" ]; then
        say 'installing what is missing (the first time takes a few minutes)'
        "$PYTHON" -m pip install --quiet --disable-pip-version-check "${pins[@]}" \
            -r "$ROOT/requirements/build.txt" -r "$ROOT/requirements/mminstall.txt" \
            -r "$ROOT/requirements/runtime.txt" -r "$ROOT/requirements/optional.txt" \
            -r "$ROOT/requirements/tests.txt" || fail 'pip could not install the requirements'
        "$PYTHON" -m pip install --quiet --disable-pip-version-check \
            --no-deps --no-build-isolation -e "$ROOT" || fail 'pip could not install tvtsv2_mm'
        fingerprint > "$stamp"
    fi
    PATH=$(dirname "$PYTHON"):$PATH
    export PATH
}

fingerprint() {
    (cd "$ROOT" && pwd && "$PYTHON" --version &&
        find configs tools -name '*.py' | sort &&
        cat setup.py pyproject.toml model-index.yml configs/*/metafile.yml requirements/*.txt) | cksum
}

check_python() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' ||
        fail "$("$1" --version) ($1) is not supported: install Python 3.11" \
            '(tried; 3.12 resolves to the same packages)'
}

say() { echo "== $*"; }

fail() {
    echo "error: $*" >&2
    exit 1
}
