#!/usr/bin/env bash
# Build the image `pawsort` where no registry can be reached: its base is made by debootstrap of Debian's packages.
# Needs root, debootstrap and buildah. Usage: deploy/build_image.sh [options of `buildah build`]
# The base is kept: for Debian's updates, first `buildah rmi localhost/pawsort-base`.
set -euo pipefail
cd "$(dirname "$0")/.."
suite=${SUITE:-bookworm} mirror=${MIRROR:-http://deb.debian.org/debian} base=${BASE:-localhost/pawsort-base}

fail() { echo "build_image.sh: $*" >&2; exit 2; }

[ "$(id -u)" = 0 ] || fail "run it as root: debootstrap makes a system in a folder"
for program in debootstrap buildah; do
    command -v "$program" >/dev/null || fail "no $program here (Debian: apt install $program)"
done

if ! buildah inspect --type image "$base" >/dev/null 2>&1; then
    root=$(mktemp -d)
    trap 'rm -rf --one-file-system "$root"' EXIT
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates "$suite" "$root" "$mirror"
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
    container=$(buildah from scratch)
    buildah add --quiet "$container" "$root" /
    buildah commit --quiet --rm "$container" "$base"
fi
# A health check is no part of the OCI format; layers spare a later build the packages.
buildah build --layers --format docker --build-arg BASE="$base" --file deploy/Dockerfile --tag pawsort "$@" .
