#!/usr/bin/env bash
# quickstart.sh: as root, installs what compute-agent needs, builds it, starts libvirt and the agent, makes a demo image,
# boots the instance demo1 from it and shows it. Run again, it uses what is there already.
#   quickstart.sh                 do all that
#   quickstart.sh --down          stop and remove everything it made (Debian packages stay installed)
#   quickstart.sh --down --all    the same, and delete instances that others than quickstart made with this agent
#   quickstart.sh --help          this text
set -Eeuo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/libvirt.sh
. "$TOP/scripts/libvirt.sh"
# shellcheck source=scripts/quickstart-agent.sh
. "$TOP/scripts/quickstart-agent.sh"
# shellcheck source=scripts/quickstart-demo.sh
. "$TOP/scripts/quickstart-demo.sh"
# shellcheck source=scripts/quickstart-down.sh
. "$TOP/scripts/quickstart-down.sh"

STATE=/var/lib/compute-agent-quickstart
BUILD=$TOP/build-quickstart
IMAGE_DIR=$TOP/build-demo-image
PREFIX=/usr/local
PORT=8774
PATH=$PREFIX/bin:$PREFIX/sbin:/usr/sbin:/sbin:$PATH

free_mib() { df -Pm "$1" 2> /dev/null | awk 'NR == 2 { print $4 }'; }

check_host() {
    local release owner dir
    release=$(. /etc/os-release 2> /dev/null && echo "${ID:-}-${VERSION_ID:-}")
    [ "$release" = debian-12 ] || warn "this is written for Debian 12, and this host says '$release'; package names may differ"
    [ "$(uname -m)" = x86_64 ] || die "this host is $(uname -m), and the demo image is made for x86_64" "use an x86_64 host"
    for dir in "$TOP" /usr /var; do
        [ "$(free_mib "$dir")" -ge 2048 ] ||
            die "$dir has $(free_mib "$dir") MiB free, and packages, build and instances need 2048 MiB" "make room there, then run this again"
    done
    owner=$(port_owner $PORT)
    if [ -n "$owner" ] && ! agent_runs; then
        die "port $PORT, where the agent listens, is taken by $owner" "stop that program, then run this again"
    fi
    note "root, x86_64, port $PORT $([ -n "$owner" ] && echo "held by our agent" || echo free), $(free_mib /var) MiB free in /var"
}

packages() {
    install_packages "${PACKAGES_BUILD[@]}" "${PACKAGES_RUN[@]}" "${PACKAGES_DEMO[@]}" "${PACKAGES_IMAGE[@]}"
}

build() {
    local jobs memory
    jobs=$(nproc)
    memory=$(awk '$1 == "MemAvailable:" { print int($2 / 1024) }' /proc/meminfo)
    [ "$memory" -ge $((jobs * 1024)) ] || jobs=$((memory / 1024 > 0 ? memory / 1024 : 1))
    if [ ! -f "$BUILD/build.ninja" ]; then
        rm -rf "$BUILD"
        quietly "meson setup" "look at the lines above" meson setup "$BUILD" "$TOP" --buildtype=release -Doptimization=2 \
            -Dtests=false -Dbenchmarks=false --prefix=$PREFIX --sysconfdir=/etc --localstatedir=/var
    fi
    quietly "the build" "look at the compiler's message above; the whole output is in $LOG" ninja -C "$BUILD" -j "$jobs"
}

main() {
    mkdir -p "$STATE"
    chmod 0700 "$STATE"
    LOG=$STATE/quickstart.log
    : > "$LOG"
    exec 9> "$STATE/lock"
    flock -n 9 || die "another quickstart runs on this host" "wait for it to end, then run this again"
    trap 'failed $LINENO' ERR
    trap 'printf "\ninterrupted in stage \"%s\"; run it again to go on, or with --down to remove everything\n" "$CURRENT_STAGE" >&2; exit 130' INT TERM
    local start
    start=$(now_ms)
    stage "Checking this host" check_host
    stage "Debian packages" packages
    stage "Building" build
    stage "Installing into $PREFIX" install_files
    stage "Starting libvirt" libvirt_start
    stage "Starting the agent" agent_start
    stage "Making the demo image" make_image
    stage "Registering image, flavor, network and key" register
    stage "Booting demo1" boot_demo
    stage "Waiting for the guest" watch_guest
    stage "Talking to the guest" talk_to_guest
    show_result
    stage_times
    printf '\nReady after %s s. Next: computectl server list | computectl --help | %s --down\n' "$(seconds_since "$start")" "$0"
}

failed() {
    [ "$BASH_SUBSHELL" = 0 ] || exit 1
    printf '\nerror: stage "%s" failed (%s)\n' "${CURRENT_STAGE:-start}" "line $1" >&2
    [ ! -s "$LOG" ] || tail -n 10 "$LOG" >&2
    agent_log_tail >&2
    printf '  what to do: look at the lines above, then run this again; %s --down removes what was made so far\n' "$0" >&2
    exit 1
}

case "${1:-} ${2:-}" in
    '-h '* | '--help '*) sed -n '2,7s/^# \{0,1\}//p' "$0" ;;
    ' ')
        need_root "$@"
        CURRENT_STAGE=start
        main
        ;;
    '--down ' | '--down --all')
        need_root "$@"
        down "${2:-}"
        ;;
    *)
        printf "error: unknown option '%s'\n  what to do: run %s --help\n" "$*" "$0" >&2
        exit 2
        ;;
esac
