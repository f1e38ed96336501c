#!/usr/bin/env bash
# Look up each package of LOCK in the database of known vulnerabilities of PyPI; fail if one has any, and also if
# one cannot be looked up. Usage: PYTHON=python3 scripts/audit_packages.sh LOCK
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/environment"
"$work/environment/bin/python" -m pip install --quiet --disable-pip-version-check pip-audit
"$work/environment/bin/pip-audit" --strict --require-hashes --disable-pip --progress-spinner off -r "$1"
