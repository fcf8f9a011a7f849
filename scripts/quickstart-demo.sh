# shellcheck shell=bash
# Quickstart's part for the demo itself: image, flavor, network, key and instance, all through computectl.

FLAVOR=demo.small
NETWORK=demo-net
SUBNET=demo-subnet
KEY=demo-key
SERVER=demo1

# ctl WHAT COMMAND...: one computectl call whose failure stops with its message and the agent's log.
ctl() {
    local what=$1
    shift
    computectl "$@" || die_agent "cannot $what ('computectl $*' failed, its message is above)" \
        "look at the agent's log above; run this again when the cause is gone"
}
exists() { computectl "$@" -f value -c id > /dev/null 2>&1; }
server_field() { computectl server show $SERVER -f value -c "$1" 2> /dev/null; }
console_lines() { computectl console log show $SERVER 2> /dev/null | tr -d '\r' | grep -a 'demo: '; }

make_image() { "$TOP/scripts/demo-image.sh" "$IMAGE_DIR" || exit 1; }

# The first 10.77.N.0/24 that this host has no route to but its default route.
free_subnet() {
    local n route
    for n in $(seq 0 255); do
        route=$(ip -4 route get fibmatch "10.77.$n.1" 2> /dev/null || true)
        case $route in '' | default* | unreachable*)
            echo "10.77.$n.0/24"
            return 0
            ;;
        esac
    done
    die "this host has routes to all of 10.77.0.0/16, so no range is left for $NETWORK" \
        "make the network yourself: computectl network create $NETWORK, then computectl subnet create --network $NETWORK --subnet-range RANGE $SUBNET"
}

# Not every kernel has the netfilter parts of a NAT network; a throw-away one tells, with libvirt's reason.
nat_works() { # SUBNET
    virsh -q -c $LIBVIRT_URI net-create /dev/stdin > "$STATE/nat.out" 2>&1 << XML || return 1
<network><name>compute-agent-nat-probe</name><bridge name='ca-nat-probe'/><forward mode='nat'/>
<ip address='${1%.0/24}.1' prefix='24'/></network>
XML
    virsh -q -c $LIBVIRT_URI net-destroy compute-agent-nat-probe > /dev/null 2>&1
}

make_network() {
    local kind=() range
    if ! exists network show $NETWORK; then
        range=$(free_subnet)
        if ! nat_works "$range"; then
            note "this host cannot do NAT ($(grep . "$STATE/nat.out" | tail -n 1)); $NETWORK is isolated: host and guests see each other only"
            kind=(--provider-network-type isolated)
        fi
        ctl "make the network" network create "${kind[@]}" $NETWORK > /dev/null
        echo "$range" > "$STATE/range"
    fi
    computectl network show $NETWORK -f value -c id > "$STATE/network-id"
    if ! exists subnet show $SUBNET && ! computectl subnet list -f value -c Name 2> /dev/null | grep -qx $SUBNET; then
        ctl "make the subnet" subnet create --network $NETWORK --subnet-range "$(cat "$STATE/range" 2> /dev/null || free_subnet)" $SUBNET > /dev/null
    fi
    note "network $NETWORK: $(computectl subnet list -f value -c Name -c Subnet | awk -v name=$SUBNET '$1 == name { print $2 }')"
}

register() {
    local format name
    for format in qcow2 raw; do
        name=demo
        [ $format = qcow2 ] || name=demo-raw
        exists image show $name || ctl "register the image $name" image create $name --disk-format $format --container-format bare \
            --file "$IMAGE_DIR/demo.$format" --public > /dev/null
    done
    exists flavor show $FLAVOR || ctl "make the flavor" flavor create $FLAVOR --vcpus 1 --ram 128 --disk 1 > /dev/null
    make_network
    [ -s "$STATE/$KEY" ] || ssh-keygen -q -t ed25519 -N '' -C $KEY -f "$STATE/$KEY"
    computectl keypair list -f value -c Name 2> /dev/null | grep -qx $KEY ||
        ctl "register the key" keypair create --public-key "$STATE/$KEY.pub" $KEY > /dev/null
    computectl image list
    computectl flavor list
}

# The guest counts its boots on its disk and prints the count first: the lines from the newest count on are this boot's.
BOOTS_BEFORE=0
boot_count() { console_lines | sed -n 's/.*demo: boots=\([0-9]*\).*/\1/p' | tail -n 1; }
this_boot() { console_lines | awk '/demo: boots=/ { text = "" } { text = text $0 "\n" } END { printf "%s", text }'; }

boot_demo() {
    local status
    status=$(server_field status || true)
    case $status in
        ACTIVE)
            note "$SERVER runs already"
            return 0
            ;;
        SHUTOFF)
            note "$SERVER is there and switched off; starting it"
            BOOTS_BEFORE=$(boot_count || true)
            ctl "start $SERVER" server start $SERVER
            ;;
        ERROR | DELETED)
            note "$SERVER is in $status; deleting it and making it again"
            ctl "delete $SERVER" server delete --wait $SERVER
            status=''
            ;;
    esac
    if [ -z "$status" ]; then
        trap 'server_field id > "$STATE/server-id" || true' EXIT
        ctl "boot $SERVER" server create --image demo --flavor $FLAVOR --network $NETWORK --key-name $KEY --wait $SERVER > /dev/null
        trap - EXIT
    fi
    wait_until 60 "waiting for $SERVER to become ACTIVE" server_is ACTIVE ||
        die_agent "$SERVER is $(server_field status) and not ACTIVE after 60 s" "look at 'computectl server event list $SERVER' and the log lines above"
    server_field id > "$STATE/server-id"
}
server_is() { [ "$(server_field status)" = "$1" ]; }

# Shows the guest's own lines as they come, until it says that it is ready.
watch_guest() {
    local start=$SECONDS limit=120 lines='' shown=0
    while [ $((SECONDS - start)) -lt $limit ]; do
        if [ "$(boot_count || true)" != "${BOOTS_BEFORE:-0}" ]; then
            lines=$(this_boot || true)
            tail -n +$((shown + 1)) <<< "$lines" | grep . | sed 's/^/    console: /' || true
            shown=$(grep -c . <<< "$lines" || true)
        fi
        if grep -q 'demo: ready' <<< "$lines"; then return 0; fi
        progress $((SECONDS - start)) "the guest boots"
        sleep 0.5
        progress_end
    done
    computectl console log show --lines 20 $SERVER >&2 || true
    die_agent "$SERVER did not say 'demo: ready' on its console within $limit s" "look at its console above and at 'computectl server event list $SERVER'"
}

guest_address() { this_boot | sed -n 's|.*demo: address=\([0-9.]*\)/.*|\1|p' | tail -n 1; }

talk_to_guest() {
    local address page
    address=$(guest_address)
    [ -n "$address" ] || die_agent "$SERVER got no address by DHCP" "look at 'computectl console log show $SERVER' and whether dnsmasq runs for $NETWORK"
    computectl server show $SERVER -f value -c addresses | grep -qF "$address" ||
        die_agent "the guest says its address is $address, and the agent says $(server_field addresses)" "look at 'computectl server show $SERVER'"
    ping -c 3 -i 0.3 -W 5 "$address" | sed 's/^/    /' || die_agent "$SERVER does not answer ping at $address" \
        "check that no firewall rule of this host drops traffic to the bridge of $NETWORK"
    note "curl http://$address/"
    page=$(curl -fsS --noproxy '*' --max-time 15 --retry 3 --retry-connrefused "http://$address/") ||
        die_agent "$SERVER does not serve its page at http://$address/" "look at 'computectl console log show $SERVER'"
    printf '%s\n' "$page" | sed 's/^/    /'
}

show_result() {
    printf '\n$ computectl server list\n'
    computectl server list
    printf '\n$ computectl server show %s\n' $SERVER
    computectl server show $SERVER
    printf '\n$ computectl console log show %s\n' $SERVER
    computectl console log show $SERVER
}
