#!/usr/bin/env bash
# install-deps.sh [build] [run] [demo] [image] [test]: installs the Debian packages that the named jobs need (default: all).
# As root. Needs nothing but Debian 12's base and apt, calls apt only when something is missing, and starts no daemon.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

case ${1:-} in -h | --help)
    sed -n '2,3s/^# //p' "$0"
    exit 0
    ;;
esac
need_root "$@"
[ $# -gt 0 ] || set -- build run demo image test
packages=()
for job in "$@"; do
    case $job in
        build) packages+=("${PACKAGES_BUILD[@]}") ;;
        run) packages+=("${PACKAGES_RUN[@]}") ;;
        demo) packages+=("${PACKAGES_DEMO[@]}") ;;
        image) packages+=("${PACKAGES_IMAGE[@]}") ;;
        test) packages+=("${PACKAGES_TEST[@]}") ;;
        *) die "unknown job '$job'" "name one or more of: build run demo image test" ;;
    esac
done
install_packages "${packages[@]}"
