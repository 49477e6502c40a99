# Sourced by run_tests.sh and quickstart.sh, not run by itself.
#
#   setup_env "$@"
#
# makes .venv in the checkout (with --no-venv takes the active environment), installs what is
# missing, puts its programs first on the PATH, and sets ARGS to the arguments but for --no-venv.
# When all is there already, nothing happens. torch, numpy, opencv and OpenMMLab packages that are
# there stay (install.py says how). The install is an editable one, so that what runs is always the
# code of the checkout, by `mim` too (setup.py says how).

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

setup_env() {
    local arg no_venv= python maker stamp pins=()
    ARGS=()
    for arg; do
        if [ "$arg" = --no-venv ]; then no_venv=1; else ARGS+=("$arg"); fi
    done

    if [ -n "$no_venv" ]; then
        python=$(find_python python python3)
    else
        python=$ROOT/.venv/bin/python
        if [ ! -x "$python" ]; then
            maker=$(find_python python3.11 python3.12 python3.13 python3.10 python3)
            say "making $ROOT/.venv with $("$maker" --version)"
            "$maker" -m venv "$ROOT/.venv" ||
                fail "$maker cannot make a virtual environment (on Debian: apt install python3-venv)"
        elif ! is_supported "$python"; then
            fail "$python is $("$python" --version), which is not supported: delete $ROOT/.venv"
        fi
        # The pins are those of one Python.
        "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' &&
            pins=(--pins "$ROOT/requirements/constraints.txt")
    fi

    # Any change of what is installed, or of what `mim` finds by name, installs again.
    stamp=$("$python" -c 'import sys; print(sys.prefix)')/.tvtsv2_mm_installed
    if [ "$(fingerprint "$python")" != "$(cat "$stamp" 2> /dev/null)" ]; then
        say 'installing what is missing (the first time takes a few minutes)'
        "$python" -m pip --version > /dev/null 2>&1 || "$python" -m ensurepip ||
            fail "$python has no pip"
        "$python" "$ROOT/tools/install.py" tests "${pins[@]}" || exit 1
        "$python" -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation \
            -e "$ROOT" || fail "pip could not install $ROOT"
        fit_torchvision "$python" "$no_venv"
        # A system's Python may be read only, with pip installing for the user: then each run looks.
        { fingerprint "$python" > "$stamp"; } 2> /dev/null || true
    fi
    PATH=$(dirname "$python"):$PATH
    export PATH
}

# The first of the named programs that is there and of a supported version.
find_python() {
    local name found=
    for name; do
        if is_supported "$name"; then
            command -v "$name"
            return
        fi
        found+="$name: $("$name" --version 2> /dev/null || echo none); "
    done
    fail "Python 3.10 to 3.13 is needed (${found%; }): install Python 3.11"
}

is_supported() {
    "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' > /dev/null 2>&1
}

# torchvision has to be built as torch is: beside a CPU torch, the registry's own cannot be imported.
# Where pip knows a place that has the one that fits, that is taken (not into a user's environment).
fit_torchvision() {
    local wanted
    "$1" -c 'import torchvision' > /dev/null 2>&1 && return
    wanted=$("$1" -c 'from importlib.metadata import version
base, torch = version("torchvision"), version("torch")
print("torchvision==" + base.split("+")[0] + "+" + (torch.split("+") + ["cpu"])[1])')
    [ -z "$2" ] && "$1" -m pip install -qq --disable-pip-version-check --no-deps "$wanted" \
        > /dev/null 2>&1 && "$1" -c 'import torchvision' > /dev/null 2>&1 && return
    say "$wanted is not to be had here: import tvtsv2_mm before torchvision (docs/installation.md)"
}

fingerprint() {
    (cd "$ROOT" && pwd && "$1" --version &&
        find configs tools -name '*.py' | sort &&
        cat setup.py pyproject.toml model-index.yml configs/*/metafile.yml requirements/*.txt) | cksum
}

say() { echo "== $*"; }

fail() {
    echo "error: $*" >&2
    exit 1
}
