# shellcheck shell=bash
# Quickstart's part for the installed files and the agent's process. Uses STATE, BUILD, PREFIX, PORT, LOG.

UNIT=compute-agent.service
CONFIG=/etc/compute-agent/compute-agent.conf
AGENT_LOG=/var/log/compute-agent/agent.log
AGENT_PID=/run/compute-agent/agent.pid
AGENT_DIRS=(/etc/compute-agent /var/lib/compute-agent /var/lib/nova /var/lib/nova/instances /var/log/compute-agent)

# Paths that --down may remove: only those that were not there before us.
remember_made() {
    local path
    for path in "$@"; do
        [ -e "$path" ] || grep -qxF "$path" "$STATE/made" 2> /dev/null || echo "$path" >> "$STATE/made"
    done
}

planned_files() { meson introspect --installed "$BUILD" | tr ',' '\n' | sed -n 's/.*: "\([^"]*\)".*/\1/p'; }

remember_new_folders() { # of the files about to be installed, the deepest last
    local file dir
    planned_files | while read -r file; do
        dir=$(dirname "$file")
        while [ "$dir" != / ] && [ ! -d "$dir" ]; do
            echo "$dir"
            dir=$(dirname "$dir")
        done
    done | sort -u >> "$STATE/made-folders"
}

install_files() {
    remember_new_folders
    planned_files >> "$STATE/installed"
    sort -u -o "$STATE/installed" "$STATE/installed"
    # Unchanged files stay as they are, or every run would restart the agent.
    quietly "meson install" "look at the lines above" meson install -C "$BUILD" --no-rebuild --only-changed
    # A database that was there keeps the files beside it, which SQLite makes and needs.
    [ -e /var/lib/compute-agent/agent.db ] || remember_made /var/lib/compute-agent/agent.db{,-wal,-shm}
    remember_made "${AGENT_DIRS[@]}" $CONFIG /var/lib/compute-agent/{token,images} /var/lib/nova/networks \
        /var/lib/nova/instances/{_base,locks}
    if systemd_runs; then
        getent passwd nova > /dev/null || echo nova > "$STATE/user"
        systemd-sysusers "$PREFIX/lib/sysusers.d/compute-agent.conf"
        systemd-tmpfiles --create "$PREFIX/lib/tmpfiles.d/compute-agent.conf"
        systemctl daemon-reload
    fi
    mkdir -p "${AGENT_DIRS[@]}" /run/compute-agent
    chmod 0700 /var/lib/compute-agent
    if [ ! -e $CONFIG ]; then cp "$PREFIX/share/compute-agent/compute-agent.conf" $CONFIG; fi
    [ -e "$STATE/config.sha256" ] || sha256sum $CONFIG > "$STATE/config.sha256"
    hash -r
    note "computectl is $(command -v computectl), the options are in $CONFIG"
}

agent_pid() {
    if systemd_runs; then
        systemctl show -p MainPID --value $UNIT 2> /dev/null | grep -vx 0 || true
    else
        cat $AGENT_PID 2> /dev/null || true
    fi
}
agent_runs() { pid_runs "$(agent_pid)" compute-agent; }
agent_is_up() { timeout 10 computectl compute service list -f value -c State 2> "$STATE/ready.err" | grep -qx up; }

agent_log_tail() {
    if systemd_runs && systemctl cat $UNIT > /dev/null 2>&1; then
        echo "--- last lines of the agent's log (journalctl -u $UNIT)"
        journalctl -u $UNIT -n 20 --no-pager -o cat 2> /dev/null || true
    elif [ -s $AGENT_LOG ]; then
        echo "--- last lines of $AGENT_LOG"
        tail -n 20 $AGENT_LOG
    fi
}
die_agent() {
    agent_log_tail >&2
    die "$@"
}

agent_launch() {
    if systemd_runs; then
        systemctl restart $UNIT 9>&- ||
            die_agent "systemctl could not start $UNIT" "look at the lines above and at 'systemctl status $UNIT'"
        return 0
    fi
    mkdir -p /run/compute-agent "$(dirname $AGENT_LOG)"
    setsid "$PREFIX/bin/compute-agent" --config-file $CONFIG >> $AGENT_LOG 2>&1 < /dev/null 9>&- &
    echo $! > $AGENT_PID
    disown
}

agent_stop() {
    agent_runs || return 0
    local pid
    pid=$(agent_pid)
    if systemd_runs; then
        systemctl stop $UNIT
    else
        stop_pid "$pid" compute-agent 90
        rm -f $AGENT_PID
    fi
    note "stopped the agent (pid $pid)"
}

alive_or_up() { agent_is_up || ! agent_runs; }

agent_start() {
    local pid
    pid=$(agent_pid)
    if agent_runs && [[ "$(readlink "/proc/$pid/exe")" == *' (deleted)' ]]; then
        note "a newer agent was installed; restarting it (instances go on running)"
        agent_stop
    fi
    if agent_runs; then
        note "the agent runs already (pid $pid)"
    else
        agent_launch
        sleep 0.2
    fi
    wait_until 120 "waiting for the agent to answer on port $PORT" alive_or_up ||
        die_agent "the agent runs but is not up after 120 s: $(tail -n 2 "$STATE/ready.err")" "look at the log lines above"
    agent_runs || die_agent "the agent ended as soon as it was started" "look at its log lines above, correct $CONFIG if they name it, and run this again"
    note "agent pid $(agent_pid); log: $(systemd_runs && echo "journalctl -u $UNIT" || echo $AGENT_LOG)"
    computectl compute service list
}
