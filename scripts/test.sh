#!/usr/bin/env bash
# test.sh: as root, installs what the tests need, builds, runs every test and check. The last line is 'N passed, N failed'.
#   test.sh            everything: checks, all suites, unit tests under ASan+UBSan and TSan, clang-tidy on the pure rooms
#   test.sh --quick    checks and unit tests only
#   test.sh --help     this text
# Builds are kept in build-test, build-asan and build-tsan; remove these folders for a clean start.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

QUICK=0
case "${1:-}" in
    '') ;;
    --quick) QUICK=1 ;;
    -h | --help)
        sed -n '2,6s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    *)
        printf "error: unknown option '%s'\n  what to do: run %s --help\n" "$1" "$0" >&2
        exit 2
        ;;
esac
need_root "$@"
cd "$TOP"
BUILD=$TOP/build-test
IMAGE_DIR=$TOP/build-demo-image
RESULTS=$(mktemp -d)
LOG=$RESULTS/log
: > "$LOG"
: > "$RESULTS/checks"
LOGBASES=()
SUITE_ORDER=(unit contract integration faults)
# Rooms without I/O: small, and where a wrong move costs most. clang-tidy on all would take longer than the whole suite.
TIDY_ROOMS=(agent/core agent/domainxml agent/metadata agent/resources agent/reconcile)

record() { # pass|fail|skip SECONDS NAME MESSAGE
    printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$(tr '\n\t' '; ' <<< "${4:-}")" >> "$RESULTS/checks"
    printf '    %-4s  %s\n' "$1" "$3"
}

# check NAME COMMAND...: one pass or fail; a failure shows the end of the output.
check() {
    local name=$1 out=$RESULTS/check.out start
    shift
    start=$(now_ms)
    if "$@" > "$out" 2>&1 < /dev/null; then
        record pass "$(seconds_since "$start")" "check: $name"
    else
        grep -v 'warnings generated' "$out" | tail -n 25 || true
        record fail "$(seconds_since "$start")" "check: $name" "$(grep -m 3 -E 'error|warning:' "$out" || grep -m 3 . "$out" || echo "no output")"
    fi
}

FINISHED=0
finish() {
    local status=$?
    trap - EXIT
    [ $FINISHED = 1 ] || record fail 0 "check: test.sh itself" "ended early, in stage '${CURRENT_STAGE:-start}', with status $status"
    [ ${#STAGE_TABLE[@]} = 0 ] || stage_times
    python3 "$TOP/scripts/test_summary.py" "$RESULTS/checks" "${LOGBASES[@]}" || status=1
    rm -rf "$RESULTS"
    exit "$status"
}

packages() {
    install_packages "${PACKAGES_BUILD[@]}" "${PACKAGES_TEST[@]}" "${PACKAGES_RUN[@]}" "${PACKAGES_DEMO[@]}" "${PACKAGES_IMAGE[@]}"
}

source_files() { find agent drivers tests -name '*.cc' -o -name '*.h' | LC_ALL=C sort; }

check_scripts() { shellcheck -x -S warning scripts/*.sh .ci/run scripts/demo-guest/{init,rc,udhcpc.script,index.cgi,power-button}; }
check_format() { source_files | xargs clang-format-14 --dry-run -Werror; }
source_checks() {
    check "shellcheck of scripts" check_scripts
    check "clang-format" check_format
}

# compile DIR WHAT [MESON OPTION...]: configures once, then builds the targets in TARGETS (empty: all). COMPILED tells how it went.
TARGETS=()
COMPILED=0
compile() {
    local dir=$1 what=$2 jobs memory log=$RESULTS/build.log
    COMPILED=0
    shift 2
    jobs=$(nproc)
    memory=$(awk '$1 == "MemAvailable:" { print int($2 / 1024) }' /proc/meminfo)
    [ "$memory" -ge $((jobs * 1024)) ] || jobs=$((memory / 1024 > 0 ? memory / 1024 : 1))
    if [ ! -f "$dir/build.ninja" ]; then
        rm -rf "$dir"
        if ! meson setup "$dir" "$TOP" "$@" > "$log" 2>&1; then
            tail -n 15 "$log"
            record fail 0 "check: configuring $what" "$(grep -m 1 ERROR "$log" || true)"
            return 0
        fi
    fi
    ninja -C "$dir" -j "$jobs" "${TARGETS[@]}" > "$log" 2>&1 < /dev/null &
    if watch_process $! "$log"; then
        COMPILED=1
        record pass 0 "check: $what builds without a warning"
        return 0
    fi
    grep -E 'error:|FAILED|undefined reference' -A 4 "$log" | tail -n 40 || tail -n 20 "$log"
    record fail 0 "check: $what builds" "$(grep -m 1 -E 'error:|undefined reference|FAILED' "$log" || true)"
}

suites_of() { meson introspect --tests "$1" | python3 -c 'import json, sys
print("\n".join(sorted({s.split(":")[-1] for t in json.load(sys.stdin) for s in t["suite"]})))'; }
unit_programs() { meson introspect --tests "$1" | python3 -c 'import json, os, sys
tests = (t for t in json.load(sys.stdin) if any(s.split(":")[-1] == "unit" for s in t["suite"]))
print("\n".join(sorted({os.path.relpath(t["cmd"][0], sys.argv[1]) for t in tests if t["cmd"][0].startswith(sys.argv[1])})))' "$1"; }

# What reads hostile bytes or does arithmetic on them, and what shares state between threads; all programs in both builds would take
# longer than the rest of the suite.
ASAN_PROGRAMS=(unit-config unit-metadata unit-resources unit-process unit-inspector unit-image-cache unit-disk unit-config-drive)
TSAN_PROGRAMS=(unit-store unit-bus unit-process unit-image-cache)
NAMES=()

# Times the limits that the tests name; sanitized programs are slower.
MULTIPLIER=1

# run_suite DIR SUITE LABEL PROCESSES [WRAPPER...]: failures are counted at the end, from the logs.
run_suite() {
    local dir=$1 suite=$2 label=$3 processes=$4
    shift 4
    rm -f "$dir"/*.xml "$dir/meson-logs/$label".*
    LOGBASES+=("$dir/meson-logs/$label")
    "$@" meson test -C "$dir" --no-rebuild --suite "$suite" --num-processes "$processes" -t "$MULTIPLIER" --logbase "$label" --print-errorlogs \
        "${NAMES[@]}" < /dev/null || true
    [ -s "$dir/meson-logs/$label.json" ] || record fail 0 "check: suite $label" "meson test wrote no log; run: meson test -C $dir --suite $suite"
}

serial_suites() {
    local suite
    for suite in "${SUITE_ORDER[@]}" $(suites_of "$BUILD"); do
        [ "$suite" != unit ] && [[ " $DONE " != *" $suite "* ]] || continue
        DONE="$DONE $suite"
        suites_of "$BUILD" | grep -qx "$suite" || continue
        stage "Suite $suite" run_suite "$BUILD" "$suite" "$suite" 1
    done
}
DONE=''

# Thread sanitizer of g++ 12 cannot place its memory when the kernel randomises addresses widely.
fixed_addresses() { if setarch "$(uname -m)" -R true 2> /dev/null; then echo "setarch $(uname -m) -R"; fi; }

sanitized() { # NAME SANITIZERS PROGRAM...
    local dir=$TOP/build-$1 wrapper
    # -Werror stays with the ordinary build: instrumented code makes g++ warn of what is not there.
    local options=(-Db_sanitize="$2" -Db_lundef=false -Doptimization=1 -Ddebug=false -Dcpp_args=-g1 -Dwerror=false -Dfault_points=true
        -Dbenchmarks=false)
    NAMES=("${@:3}")
    TARGETS=("${NAMES[@]/#/tests/unit/}")
    compile "$dir" "the $1 build" "${options[@]}"
    [ $COMPILED = 1 ] || return 0
    wrapper=$(fixed_addresses)
    MULTIPLIER=4
    # shellcheck disable=SC2086
    ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 TSAN_OPTIONS=halt_on_error=1 \
        run_suite "$dir" unit "unit-$1" "$(nproc)" $wrapper env
    NAMES=()
}

tidy() {
    local files
    mapfile -t files < <(find "${TIDY_ROOMS[@]}" -name '*.cc' | LC_ALL=C sort)
    check "clang-tidy of ${#files[@]} files of the pure rooms" run_tidy "${files[@]}"
}
run_tidy() {
    printf '%s\0' "$@" | xargs -0 -n 4 -P "$(nproc)" clang-tidy-14 -p "$BUILD" --quiet --extra-arg=-Wno-unknown-warning-option
}

# systemd-analyze says some mistakes without an exit status, so any output is a failure.
check_units() {
    local root=$RESULTS/root unit out
    rm -rf "$root"
    DESTDIR=$root meson install -C "$BUILD" --no-rebuild --quiet > /dev/null
    unit=$(find "$root" -name compute-agent.service)
    [ -n "$unit" ] || { echo "meson install puts no compute-agent.service in place"; return 1; }
    mkdir "$RESULTS/unit"
    sed "s|^ExecStart=[^ ]*|ExecStart=$BUILD/agent/compute-agent|" "$unit" > "$RESULTS/unit/compute-agent.service"
    out=$(systemd-analyze verify --man=no "$RESULTS/unit/compute-agent.service" 2>&1) || { echo "$out"; return 1; }
    [ -z "$out" ] || { echo "$out"; return 1; }
    systemd-sysusers --dry-run "$(find "$root" -path '*sysusers.d/*')" > /dev/null
}
# Every option that the default file shows in a comment is known and its value is good.
check_default_options() {
    local out
    sed -E 's/^#([a-z_]+ = .+)$/\1/' systemd/compute-agent.conf > "$RESULTS/all-options.conf"
    out=$("$BUILD/agent/compute-agent" --config-file "$RESULTS/all-options.conf" --print-config 2>&1 > /dev/null) || { echo "$out"; return 1; }
    [ -z "$out" ] || { echo "$out"; return 1; }
}
unit_checks() {
    check "systemd-analyze verify, sysusers, meson install" check_units
    check "default options file" check_default_options
}

trap finish EXIT
trap 'exit 130' INT TERM
stage "Debian packages" packages
stage "Source checks" source_checks
stage "Building with fault points" compile "$BUILD" "the test build" -Dfault_points=true -Doptimization=1 -Ddebug=false -Dcpp_args=-g1
if [ $COMPILED = 1 ]; then
    stage "Suite unit" run_suite "$BUILD" unit unit "$(nproc)"
    if [ $QUICK = 0 ]; then
        stage "Demo image for the tests" check "demo image" "$TOP/scripts/demo-image.sh" "$IMAGE_DIR"
        export COMPUTE_AGENT_DEMO_IMAGE=$IMAGE_DIR
        serial_suites
        stage "systemd unit and default options" unit_checks
        stage "Unit tests under ASan and UBSan" sanitized asan address,undefined "${ASAN_PROGRAMS[@]}"
        stage "Unit tests under TSan" sanitized tsan thread "${TSAN_PROGRAMS[@]}"
        stage "clang-tidy" tidy
    fi
fi
FINISHED=1
