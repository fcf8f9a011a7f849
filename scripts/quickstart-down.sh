# shellcheck shell=bash
# Quickstart's way back: removes what it made, by its own records in STATE, and nothing else. Safe to run twice.

remove_quietly() { # KIND NAME...: through computectl; what is not there is no matter
    local kind=$1
    shift
    if exists "$kind" show "$@" || computectl "$kind" list -f value -c Name 2> /dev/null | grep -qxF "$1"; then
        computectl "$kind" delete "$@" && note "deleted $kind $1"
    fi
}

other_servers() { computectl server list --all-projects -f value -c Name 2> /dev/null | grep -vx $SERVER || true; }

down_check_others() { # --all or empty
    local others name
    agent_is_up 2> /dev/null || return 0
    mapfile -t others < <(other_servers)
    [ ${#others[@]} -gt 0 ] || return 0
    [ "$1" = --all ] || die "this agent also runs ${#others[@]} instance(s) that quickstart did not make: ${others[*]}" \
        "delete them (computectl server delete --wait NAME), or run: $0 --down --all"
    for name in "${others[@]}"; do computectl server delete --wait "$name"; done
    note "deleted ${others[*]}"
}

down_demo() {
    if ! agent_is_up; then
        note "the agent does not answer; what is left is removed through libvirt and by the records"
        return 0
    fi
    if [ -n "$(server_field id || true)" ]; then
        computectl server delete --wait $SERVER && note "deleted server $SERVER"
    fi
    remove_quietly network $NETWORK || true
    remove_quietly image demo || true
    remove_quietly image demo-raw || true
    remove_quietly flavor $FLAVOR || true
    remove_quietly keypair $KEY || true
}

# What a crashed or absent agent left in libvirt, found by the recorded ids only.
down_leftovers() {
    local id net
    command -v virsh > /dev/null && libvirt_answers 20 || return 0
    id=$(cat "$STATE/server-id" 2> /dev/null || true)
    if [ -n "$id" ] && virsh -q -c $LIBVIRT_URI dominfo "$id" > /dev/null 2>&1; then
        virsh -q -c $LIBVIRT_URI destroy "$id" > /dev/null 2>&1 || true
        virsh -q -c $LIBVIRT_URI undefine "$id" > /dev/null && note "removed the domain of $SERVER"
    fi
    id=$(cat "$STATE/network-id" 2> /dev/null || true)
    [ -n "$id" ] || return 0
    for net in $(virsh -q -c $LIBVIRT_URI net-list --all --name); do
        if virsh -q -c $LIBVIRT_URI net-dumpxml "$net" 2> /dev/null | grep -qF "bridge name='br${id:0:11}'"; then
            virsh -q -c $LIBVIRT_URI net-destroy "$net" > /dev/null 2>&1 || true
            virsh -q -c $LIBVIRT_URI net-undefine "$net" > /dev/null 2>&1 || true
            note "removed libvirt's network of $NETWORK"
        fi
    done
}

down_files() {
    local path
    if [ -e "$STATE/config.sha256" ] && ! sha256sum --status -c "$STATE/config.sha256" 2> /dev/null && [ -e $CONFIG ]; then
        note "$CONFIG was changed since quickstart made it; it is kept"
        sed -i "\\#^$CONFIG\$#d; \\#^$(dirname $CONFIG)\$#d" "$STATE/made"
    fi
    while read -r path; do
        [ -d "$path" ] || rm -f -- "$path"
    done < <(cat "$STATE/installed" 2> /dev/null)
    while read -r path; do
        case $path in
            /etc/compute-agent* | /var/lib/compute-agent* | /var/lib/nova* | /var/log/compute-agent*)
                [ -e "$path" ] || continue
                rm -rf --one-file-system -- "$path" && note "removed $path"
                ;;
        esac
    done < <(sort -u "$STATE/made" 2> /dev/null)
    rm -rf /run/compute-agent
    sort -ru "$STATE/made-folders" 2> /dev/null | while read -r path; do rmdir -- "$path" 2> /dev/null || true; done
    if systemd_runs; then systemctl daemon-reload; fi
    if [ -e "$STATE/user" ] && getent passwd nova > /dev/null; then userdel nova 2> /dev/null && note "removed the user nova"; fi
    for path in "$BUILD" "$IMAGE_DIR"; do
        [ -d "$path" ] || continue
        rm -rf -- "$path"
        note "removed $path"
    done
}

down() { # --all or empty
    if [ ! -d "$STATE" ]; then
        say "nothing to remove: quickstart has no records on this host"
        return 0
    fi
    exec 9> "$STATE/lock"
    flock -n 9 || die "another quickstart runs on this host" "wait for it to end, then run this again"
    down_check_others "$1"
    stage "Deleting the demo's instance, network, images, flavor and key" down_demo
    stage "Stopping the agent" agent_stop
    stage "Removing leftovers in libvirt" down_leftovers
    stage "Stopping libvirt, if quickstart started it" libvirt_stop
    stage "Removing files" down_files
    rm -rf "$STATE"
    say ""
    say "Everything that quickstart made is removed. Debian packages stay installed; 'apt-get autoremove' and 'apt-get remove' are yours."
}
