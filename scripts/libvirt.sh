# shellcheck shell=bash
# Starting and stopping libvirt, with and without systemd. Sourced after lib.sh; callers set STATE, the folder of records.

LIBVIRT_URI=qemu:///system
QEMU_CONF=/etc/libvirt/qemu.conf

libvirt_answers() { timeout "${1:-60}" virsh -q -c $LIBVIRT_URI version > /dev/null 2>&1; }

first_pid_of() { # PROGRAM: its pid by its pid file, when that process is alive
    local pid
    pid=$(cat "/run/$1.pid" 2> /dev/null || true)
    if pid_runs "$pid" "$1"; then echo "$pid"; fi
}

has_pid() { [ -n "$(first_pid_of "$1")" ]; }

# A container has no mount namespaces, security driver or extended attributes to spare for guests, and often no libvirt-qemu access
# to devices. The earlier file is kept in STATE and put back by qemu_conf_restore.
qemu_conf_adapt() {
    [ ! -e "$STATE/qemu.conf.saved" ] && [ ! -e "$STATE/qemu.conf.absent" ] || return 0
    if [ -e $QEMU_CONF ]; then
        cp -p $QEMU_CONF "$STATE/qemu.conf.saved"
    else
        : > "$STATE/qemu.conf.absent"
    fi
    {
        echo "# Written by compute-agent's quickstart for a host without systemd; 'quickstart.sh --down' puts the earlier file back."
        printf '%s\n' 'user = "root"' 'group = "root"' 'security_driver = "none"' 'namespaces = []' 'remember_owner = 0' \
            'max_core = 0' 'cgroup_controllers = []'
        [ ! -e "$STATE/qemu.conf.saved" ] ||
            grep -Ev '^[[:space:]]*(#|$|(user|group|security_driver|namespaces|remember_owner|max_core|cgroup_controllers)[[:space:]]*=)' \
                "$STATE/qemu.conf.saved" || true
    } > $QEMU_CONF.new
    mv $QEMU_CONF.new $QEMU_CONF
    note "adapted $QEMU_CONF to a host without systemd (the earlier file is kept)"
}

qemu_conf_restore() {
    if [ -e "$STATE/qemu.conf.saved" ]; then
        mv "$STATE/qemu.conf.saved" $QEMU_CONF
        note "put the earlier $QEMU_CONF back"
    elif [ -e "$STATE/qemu.conf.absent" ]; then
        rm -f $QEMU_CONF "$STATE/qemu.conf.absent"
    fi
}

# Tries for at most 150 s, with progress. Called when nothing answered at once.
libvirt_wait() {
    local log
    log=$(mktemp)
    echo "waiting for libvirt's first answer; it looks at every emulator first, which can take 45 s" > "$log"
    timeout 150 bash -c "until virsh -q -c $LIBVIRT_URI version > /dev/null 2>&1; do sleep 0.3; done" 9>&- &
    if watch_process $! "$log"; then
        rm -f "$log"
        return 0
    fi
    rm -f "$log"
    return 1
}

libvirt_give_up() {
    local how
    if systemd_runs; then
        systemctl --no-pager --lines=15 status libvirtd >&2 || true
        how="look at 'journalctl -u libvirtd', then 'systemctl restart libvirtd' and run this again"
    else
        tail -n 15 "$STATE/libvirtd.log" >&2 2> /dev/null || true
        how="end the libvirtd that hangs (pid $(first_pid_of libvirtd)) or run 'libvirtd' in a terminal to see its messages, then run this again"
    fi
    die "libvirtd does not answer on $LIBVIRT_URI ($1)" "$how"
}

# start_by_hand PROGRAM: as a daemon, its pid recorded in STATE.
start_by_hand() {
    [ -z "$(first_pid_of "$1")" ] || return 0
    "$1" -d 9>&- > "$STATE/$1.log" 2>&1 < /dev/null || libvirt_give_up "'$1 -d' failed: $(tail -n 1 "$STATE/$1.log")"
    wait_until 10 "waiting for $1's pid file" has_pid "$1" || libvirt_give_up "'$1 -d' left no process behind /run/$1.pid"
    first_pid_of "$1" > "$STATE/$1.pid"
}

libvirt_start() {
    if [ -S /run/libvirt/libvirt-sock ] && libvirt_answers 10; then
        note "libvirt answers already; it is used as it is"
        return 0
    fi
    if systemd_runs; then
        systemctl is-active -q libvirtd.service || echo libvirtd.service > "$STATE/libvirt.unit"
        systemctl start virtlogd.socket libvirtd.service 9>&- || libvirt_give_up "systemctl start libvirtd failed"
    elif [ -n "$(first_pid_of libvirtd)" ]; then
        note "libvirtd runs (pid $(first_pid_of libvirtd)) but did not answer within 10 s"
    else
        qemu_conf_adapt
        start_by_hand virtlogd
        start_by_hand libvirtd
    fi
    libvirt_wait || libvirt_give_up "150 s without an answer"
    note "$(virsh -q -c $LIBVIRT_URI version 2> /dev/null | sed -n 's/^Running hypervisor: //p'), libvirt $(virsh --version)"
}

# Stops what libvirt_start started, and nothing else.
libvirt_stop() {
    local program pid
    if [ -e "$STATE/libvirt.unit" ]; then
        if systemd_runs; then systemctl stop libvirtd.service || true; fi
        note "stopped libvirtd.service"
        rm -f "$STATE/libvirt.unit"
    fi
    for program in libvirtd virtlogd; do
        [ -e "$STATE/$program.pid" ] || continue
        pid=$(cat "$STATE/$program.pid")
        if pid_runs "$pid" $program; then
            stop_pid "$pid" $program 20
            note "stopped $program (pid $pid)"
        fi
        rm -f "$STATE/$program.pid" "$STATE/$program.log"
    done
    qemu_conf_restore
}
