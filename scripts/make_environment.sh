#!/usr/bin/env bash
# Make the environment VENV from LOCK, with uv where it is there and with pip where it is not.
# Usage: PYTHON=python3 scripts/make_environment.sh VENV LOCK
set -euo pipefail
venv=$1 lock=$2 python=${PYTHON:-python3}

fail() { echo "pawsort: $*" >&2; exit 2; }

command -v "$python" >/dev/null || fail "no $python here; install Python 3.11, 3.12 or 3.13 (Debian: apt install python3 python3-venv)"
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' ||
    fail "$("$python" --version) will not do: Python 3.11, 3.12 or 3.13 is needed; name one with PYTHON=python3.12 make run"

# An environment that lies about its Python (moved, or made by another version) is made anew.
if [ -e "$venv" ] && ! "$venv/bin/python" -c 'import sys' 2>/dev/null; then rm -rf "$venv"; fi

echo "pawsort: making the environment in $venv from $lock (about 800 MB to fetch the first time) ..." >&2
if command -v uv >/dev/null; then
    [ -e "$venv" ] || uv venv --quiet --python "$python" "$venv"
    uv pip install --quiet --python "$venv/bin/python" --require-hashes -r "$lock"
    uv pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation --config-setting editable_mode=compat --editable .
else
    [ -e "$venv" ] || "$python" -m venv "$venv" ||
        fail "$python cannot make environments; on Debian: apt install python3-venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --config-setting editable_mode=compat --editable .
fi
