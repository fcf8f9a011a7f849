#!/usr/bin/env bash
# bench.sh [OPTION...]: as root, builds the agent as a release and measures it; prints each figure beside what it must reach.
# Options go to tests/bench/run; 'bench.sh --help' shows them. The figures are kept in build-bench as bench.json and bench.md.
# All of it takes about ten minutes. It runs beside a libvirtd of its own and touches neither the host's nor an installed agent.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

BUILD=$TOP/build-bench
export BUILD_ROOT=$BUILD PYTHONPATH=$TOP/tests/integration
if [ "${1:-}" = --help ]; then exec "$TOP/tests/bench/run" --help; fi
need_root "$@"

LOG=$(mktemp)
trap 'rm -f "$LOG"' EXIT
install_packages "${PACKAGES_BUILD[@]}" libbenchmark-dev "${PACKAGES_RUN[@]}" python3 util-linux
if [ ! -f "$BUILD/build.ninja" ]; then
    quietly "meson setup" "look at the lines above" \
        meson setup "$BUILD" "$TOP" --buildtype=release -Doptimization=2 -Dtests=false -Dbenchmarks=true
fi
quietly "the build" "look at the compiler's message above" ninja -C "$BUILD"
"$TOP/tests/integration/lab/own-libvirt" --private /var/lib/nova --private /var/lib/compute-agent -- "$TOP/tests/bench/run" --out "$BUILD" "$@"
