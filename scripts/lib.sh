# shellcheck shell=bash
# shellcheck disable=SC2034
# Functions that the scripts share: messages, stages with their time, bounded waits, Debian packages.
# Sourced with `set -euo pipefail` in force. Callers may set LOG (a file that takes the output of quiet commands).

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
LOG=${LOG:-/dev/null}
STAGE_TABLE=()

say() { printf '%s\n' "$*"; }
note() { printf '    %s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }
# die WHAT NEXT: what went wrong, and what to do about it.
die() {
    trap - ERR
    printf '\nerror: %s\n' "$1" >&2
    [ $# -lt 2 ] || printf '  what to do: %s\n' "$2" >&2
    exit 1
}

need_root() {
    [ "$(id -u)" = 0 ] || die "$(basename "$0") must run as root, and this is user $(id -un)" "run: sudo $0 $*"
}

systemd_runs() { [ -d /run/systemd/system ]; }

now_ms() { echo $(($(date +%s%N) / 1000000)); }
seconds_since() { # START_MS -> "12.3"
    local ms=$(($(now_ms) - $1))
    printf '%d.%d' $((ms / 1000)) $((ms % 1000 / 100))
}

# stage TITLE COMMAND...: runs one stage and keeps its time for stage_times.
stage() {
    local title=$1 start
    shift
    start=$(now_ms)
    printf '\n==> %s\n' "$title"
    CURRENT_STAGE=$title
    "$@"
    printf '    done in %s s\n' "$(seconds_since "$start")"
    STAGE_TABLE+=("$(seconds_since "$start") $title")
}

stage_times() {
    local line
    printf '\nTime of each stage:\n'
    for line in "${STAGE_TABLE[@]}"; do printf '  %7s s  %s\n' "${line%% *}" "${line#* }"; done
}

# One line of progress: rewritten in place on a terminal, else a new line every 15 s.
progress() { # SECONDS TEXT
    if [ -t 1 ]; then
        printf '\r\033[K    %3d s  %.90s' "$1" "$2"
    elif [ "$1" -gt 0 ] && [ $(($1 % 15)) = 0 ]; then
        printf '    %3d s  %.110s\n' "$1" "$2"
    fi
}
progress_end() { if [ -t 1 ]; then printf '\r\033[K'; fi; }

last_line() { tail -c 400 "$1" 2> /dev/null | tr '\r\t' '\n ' | tr -cd '[:print:]\n' | grep . | tail -n 1 || true; }

# Waits for a process and shows the last line of the log meanwhile. Returns the process' status.
watch_process() { # PID LOGFILE
    local pid=$1 log=$2 start=$SECONDS elapsed last=-1 status=0
    while kill -0 "$pid" 2> /dev/null; do
        elapsed=$((SECONDS - start))
        if [ $elapsed != $last ]; then
            progress $elapsed "$(last_line "$log")"
            last=$elapsed
        fi
        sleep 0.1
    done
    wait "$pid" || status=$?
    progress_end
    return $status
}

# quietly WHAT NEXT COMMAND...: output goes to $LOG, progress is shown; a failure shows the log's end and stops.
quietly() {
    local what=$1 next=$2 log=$LOG
    shift 2
    [ "$log" != /dev/null ] || log=$(mktemp)
    printf '\n[%s] %s\n' "$(date +%T)" "$*" >> "$log"
    "$@" >> "$log" 2>&1 < /dev/null &
    if watch_process $! "$log"; then return 0; fi
    printf '\n--- last lines of %s\n' "$log" >&2
    tail -n 30 "$log" >&2
    die "$what failed" "$next"
}

# wait_until SECONDS TEXT COMMAND...: tries until the command succeeds; 1 when the time is over.
wait_until() {
    local limit=$1 text=$2 start=$SECONDS elapsed last=-1
    shift 2
    while ! "$@" > /dev/null 2>&1; do
        elapsed=$((SECONDS - start))
        if [ $elapsed -ge "$limit" ]; then
            progress_end
            return 1
        fi
        if [ $elapsed != $last ]; then
            progress $elapsed "$text"
            last=$elapsed
        fi
        sleep 0.2
    done
    progress_end
}

# The process that listens on a TCP port, as "name (pid N)"; empty when nobody does or it cannot be seen.
port_owner() {
    local hex inode fd pid
    hex=$(printf '%04X' "$1")
    inode=$(awk -v port="$hex" '$4 == "0A" && $2 ~ ":" port "$" { print $10; exit }' /proc/net/tcp /proc/net/tcp6 2> /dev/null)
    [ -n "$inode" ] || return 0
    for fd in /proc/[0-9]*/fd/*; do
        if [ "$(readlink "$fd" 2> /dev/null)" = "socket:[$inode]" ]; then
            pid=${fd#/proc/}
            pid=${pid%%/*}
            echo "$(tr '\0' ' ' < "/proc/$pid/cmdline" | cut -c 1-80)(pid $pid)"
            return 0
        fi
    done
    echo "a process that cannot be seen from here (socket $inode)"
}

pid_runs() { # PID NAME: the process exists and is still the program we started (pids are used again)
    [ -n "$1" ] && [ -r "/proc/$1/stat" ] && [ "$(cat "/proc/$1/comm" 2> /dev/null)" = "${2:0:15}" ]
}

# stop_pid PID NAME SECONDS: SIGTERM, a bounded wait, then SIGKILL.
stop_pid() {
    pid_runs "$1" "$2" || return 0
    kill "$1" 2> /dev/null || return 0
    wait_until "$3" "waiting for $2 to end" not pid_runs "$1" "$2" && return 0
    warn "$2 (pid $1) did not end within $3 s of SIGTERM; ending it with SIGKILL"
    kill -9 "$1" 2> /dev/null || true
}
not() { ! "$@"; }

# --- Debian packages -------------------------------------------------------------------------------------------------

PACKAGES_BUILD=(g++ meson ninja-build pkg-config libc6-dev nlohmann-json3-dev libfmt-dev libspdlog-dev libvirt-dev
    libsqlite3-dev libpugixml-dev libarchive-dev libssl-dev libsystemd-dev libnl-route-3-dev
    libboost-program-options-dev libboost-system-dev libcpprest-dev libexpected-dev libvalijson-dev libsimdjson-dev)
PACKAGES_RUN=(libvirt-daemon-system libvirt-daemon libvirt-clients qemu-system-x86 qemu-utils dnsmasq-base iptables iproute2
    procps e2fsprogs dosfstools xfsprogs util-linux qemu-block-extra)
PACKAGES_DEMO=(iputils-ping curl openssh-client)
PACKAGES_IMAGE=(busybox-static syslinux syslinux-common mtools qemu-utils)
PACKAGES_TEST=(libgtest-dev libgmock-dev libbenchmark-dev ccache clang-format-14 clang-tidy-14 shellcheck systemd python3
    genisoimage tgt libxml2-utils util-linux netcat-openbsd openssl)

missing_packages() {
    local package
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null)" = installed ] || echo "$package"
    done
}

# Keeps maintainer scripts from starting daemons where no systemd runs. What was there before is put back.
POLICY=/usr/sbin/policy-rc.d
policy_deny() {
    systemd_runs && return 0
    if [ -e $POLICY ] && [ ! -e $POLICY.compute-agent-saved ]; then mv $POLICY $POLICY.compute-agent-saved; fi
    printf '#!/bin/sh\n# compute-agent: no daemon starts while packages are installed\nexit 101\n' > $POLICY
    chmod 0755 $POLICY
}
policy_restore() {
    systemd_runs && return 0
    if [ -e $POLICY.compute-agent-saved ]; then
        mv $POLICY.compute-agent-saved $POLICY
    elif grep -q compute-agent $POLICY 2> /dev/null; then
        rm -f $POLICY
    fi
}

apt_run() { DEBIAN_FRONTEND=noninteractive apt-get -y -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@"; }

# Run in the background, as a process of its own: what it changed is put back even when the caller is interrupted.
install_guarded() {
    trap policy_restore EXIT
    policy_deny
    apt_run update && apt_run install --no-install-recommends "$@"
}

# install_packages PACKAGE...: calls apt only when something is missing.
install_packages() {
    local missing status=0 log=$LOG
    mapfile -t missing < <(missing_packages "$@")
    if [ ${#missing[@]} = 0 ]; then
        note "all $# packages are there"
        return 0
    fi
    note "installing ${#missing[@]} of $# packages: ${missing[*]}"
    [ "$log" != /dev/null ] || log=$(mktemp)
    install_guarded "${missing[@]}" >> "$log" 2>&1 < /dev/null 9>&- &
    watch_process $! "$log" || status=$?
    [ $status = 0 ] && return 0
    printf -- '--- last lines of %s\n' "$log" >&2
    tail -n 15 "$log" >&2
    die "apt-get could not install: ${missing[*]}" \
        "look at the lines above; check /etc/apt/sources.list.d (Debian 12, component main) and the network, then run 'apt-get update' and this script again"
}
