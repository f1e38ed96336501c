#!/usr/bin/env bash
# Build the wheel of what is committed into dist/, install it and the packages of the lock in a new environment,
# and try every command there. Usage: PYTHON=python3 scripts/check_release.sh PYTHON_OF_DEVELOPMENT
set -euo pipefail
tools=$1 python=${PYTHON:-python3}
git diff --quiet HEAD || echo "pawsort: what is not committed is not in the wheel" >&2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p dist "$work/source"
git archive HEAD | tar -x -C "$work/source"
"$tools" -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$work" "$work/source"
wheel=$(echo "$work"/*.whl)

echo "pawsort: installing ${wheel##*/} in a clean environment (about 800 MB to fetch the first time) ..." >&2
"$python" -m venv "$work/environment"
pip=("$work/environment/bin/python" -m pip --quiet --disable-pip-version-check)
"${pip[@]}" install --require-hashes -r requirements.lock
"${pip[@]}" install --no-deps "$wheel"
"${pip[@]}" check
"$tools" -m scripts.smoke_commands "$work/environment/bin/pawsort" --all
mv "$wheel" dist/
echo "pawsort: dist/${wheel##*/} is ready" >&2
