#!/usr/bin/env bash
# Try the two commands of the README in a new Debian that has only the packages that the README names, as root and
# as a plain user. Needs root, debootstrap, and a mirror of Debian and PyPI; SUITE and MIRROR choose another Debian.
# Usage: scripts/check_debian.sh [--user root|plain] [--keep FOLDER] [COMMAND]
#   --keep FOLDER   make the system in FOLDER, or use the one in it, and leave it there
#   COMMAND         run it in a new clone of what is committed, by bash, instead of the two commands
set -euo pipefail
suite=${SUITE:-bookworm} mirror=${MIRROR:-http://deb.debian.org/debian}
users="root plain" root=""
paths=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

fail() { echo "check_debian.sh: $*" >&2; exit 2; }
say() { echo "check_debian.sh: $*" >&2; }

# All mounts and processes are in namespaces of their own, which end with this script, however it ends. The command
# is in the background, so that a signal need not wait for its end.
inside() {
    local code=0
    setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --mount-proc "$@" &
    child=$!
    wait "$child" || code=$?
    child=""
    return $code
}

clean() {
    if [ -n "$child" ]; then
        kill -KILL "$child"
        wait "$child" 2>/dev/null || true
    fi
    # Processes that are just being killed may still write.
    for _ in 1 2 3 4 5; do
        rm -rf --one-file-system "$work" 2>/dev/null && return
        sleep 1
    done
    say "cannot delete $work"
}

while [ $# -gt 0 ]; do
    case $1 in
        --user) users=${2:-} ;;
        --keep) [ -n "${2:-}" ] || fail "--keep needs a folder"; root=$(realpath -m "$2") ;;
        -*) fail "unknown option $1" ;;
        *) break ;;
    esac
    shift $(($# > 1 ? 2 : 1))
done
command=${1:-}
[ $# -le 1 ] || fail "after the options comes one command, in quotes"
[[ $users =~ ^(root|plain|root plain)$ ]] || fail "--user is root or plain; without it, both are tried"
[ "$(id -u)" = 0 ] || fail "run it as root: debootstrap makes a system in a folder"
for program in debootstrap unshare setpriv pivot_root git; do
    command -v "$program" >/dev/null || fail "no $program here (Debian: apt install debootstrap util-linux git)"
done
cd "$(dirname "$0")/.."
needed=$(sed -n 's/.*Debian: `apt install \([^`]*\)`.*/\1/p' README.md)
[ -n "$needed" ] || fail "README.md no longer says what to install on Debian"
git diff --quiet HEAD || say "what is not committed is not tried"

work=$(mktemp -d)
child=""
trap clean EXIT
root=${root:-$work/root} made=etc/made-by-check_debian
[ -e "$root/$made" ] || [ -z "$(ls -A "$root" 2>/dev/null)" ] || fail "$root is neither empty nor a system that this script made"

# Run a command in the system. A new root rather than a chroot: there the kernel refuses user namespaces. The shell
# stays process 1, which waits for processes whose parents have ended.
in_system() {
    # shellcheck disable=SC2016
    inside bash -euc '
        mount --bind "$1" "$1"
        cd "$1"
        mount -t proc proc proc
        mount --rbind /sys sys
        mount --rbind /dev dev
        mount -t tmpfs -o mode=1777 tmpfs dev/shm
        mount -t tmpfs -o mode=755 tmpfs run
        pivot_root . mnt
        cd /
        umount --lazy /mnt
        shift
        "$@"
        exit' bash "$root" "$@"
}

make_system() {
    say "making Debian $suite in $root with $needed ..."
    mkdir -p "$root"
    inside debootstrap --variant=minbase --include=ca-certificates,git "$suite" "$root" "$mirror" >"$work/log" ||
        { tail -n 20 "$work/log" >&2; fail "debootstrap failed"; }
    # shellcheck disable=SC2086
    in_system env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends $needed >"$work/log" 2>&1 ||
        { tail -n 20 "$work/log" >&2; fail "apt install $needed failed"; }
    in_system useradd --create-home --shell /bin/bash plain
    touch "$root/$made"
}

# How this machine reaches the registry of Python packages: names of hosts, certificates, settings of pip.
copy_network() {
    for file in /etc/resolv.conf /etc/hosts /etc/pip.conf; do
        [ ! -e "$file" ] || cp -L "$file" "$root$file"
    done
    certificates=${PIP_CERT:-/etc/ssl/certs/ca-certificates.crt}
    [ ! -e "$certificates" ] || cp -L "$certificates" "$root/etc/ssl/certs/ca-certificates.crt"
    network=(PIP_CERT=/etc/ssl/certs/ca-certificates.crt)
    for name in PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST PIP_DEFAULT_TIMEOUT http_proxy https_proxy no_proxy; do
        [ -z "${!name:-}" ] || network+=("$name=${!name}")
    done
}

# Run a command in the clone of a user.
as_user() {
    local name=$1 home=/root
    [ "$name" = root ] || home=/home/$name
    say "as $name: $2"
    in_system env -i "PATH=$paths" "HOME=$home" "USER=$name" "TERM=${TERM:-dumb}" "${network[@]}" \
        runuser -u "$name" -- bash -euc "cd; cd pawsort; $2"
}

try() {
    local name=$1 home=/root/pawsort number filed
    [ "$name" = root ] || home=/home/$name/pawsort
    rm -rf --one-file-system "${root:?}$home"
    git clone --quiet --no-hardlinks . "$root$home"
    in_system chown -R "$name:" "$home"
    if [ -n "$command" ]; then as_user "$name" "$command"; return; fi

    as_user "$name" "mkdir -p inbox; cp docs/pictures/*.png inbox/; make run ARGS=--once"
    number=$(find docs/pictures -name '*.png' | wc -l)
    filed=$(find "$root$home/sorted" -name '*.png' | wc -l)
    [ "$filed" = "$number" ] || fail "$filed of $number pictures were filed"
    as_user "$name" "make test"
}

[ -e "$root/$made" ] || make_system
copy_network
for name in $users; do try "$name"; done
say "all is well"
