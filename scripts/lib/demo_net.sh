# SPDX-License-Identifier: Apache-2.0
# Sourced by scripts/demo (root): a small network on this host, that nothing leaves.
#
#   host .1 ---- .2 net .5 ---- .6  agent 1          198.18.B.0/24: links, B free on this host
#                   net .9 ---- .10 agent 2          198.19.B.0/24: simulated hosts (meshping-sim), in net
#                   net .13 --- .14 agent 3          the same in fd5a:B::/32 for IPv6
#
# Every namespace is called mpdemo-PID-..., after the demo that made it, so that a later one can tell the dead ones'.

# Namespaces of demos that were killed before they could clean up. Processes in them died with their demo (pdeathsig).
net_sweep() {
    local name pid
    ip netns list 2>/dev/null | awk '/^mpdemo-/ { print $1 }' | while read -r name; do
        pid=${name#mpdemo-}
        pid=${pid%%-*}
        [ -d "/proc/$pid" ] || ip netns delete "$name" || true
    done
}

net_possible() {
    [ "$(id -u)" = 0 ] || return 1
    ip netns add "mpdemo-$$-net" 2>/dev/null
}

# net_link NAME NUMBER: a veth pair between net and the namespace NAME, addresses by the NUMBER of the link
net_link() {
    local name=$1 number=$2
    local net_address=198.18.$net_b.$((4 * number + 1)) address=198.18.$net_b.$((4 * number + 2))
    ip netns add "mpdemo-$$-$name"
    ip link add "$name" netns "mpdemo-$$-net" type veth peer name uplink netns "mpdemo-$$-$name"
    ip -n "mpdemo-$$-net" address add "$net_address/30" dev "$name"
    ip -n "mpdemo-$$-net" link set "$name" up
    ip -n "mpdemo-$$-$name" address add "$address/30" dev uplink
    ip -n "mpdemo-$$-$name" link set lo up
    ip -n "mpdemo-$$-$name" link set uplink up
    ip -n "mpdemo-$$-$name" route add default via "$net_address"
    if [ $net_ipv6 = yes ]; then
        ip -n "mpdemo-$$-net" address add "fd5a:$net_b:$number::1/64" dev "$name" nodad
        ip -n "mpdemo-$$-$name" address add "fd5a:$net_b:$number::2/64" dev uplink nodad
        ip -n "mpdemo-$$-$name" route add default via "fd5a:$net_b:$number::1"
    fi
}

# net_build AGENTS OWN-ADDRESS...: sets net_b and net_ipv6; own addresses are this host's, to be reached from inside
net_build() {
    local agents=$1 i
    shift
    local net=mpdemo-$$-net
    net_b=
    for i in $(seq 1 254); do
        if [ -z "$(ip route show root 198.18."$i".0/24)" ]; then
            net_b=$i
            break
        fi
    done
    [ -n "$net_b" ] || die "no free 198.18.x.0/24 is left on this host for the demo's network"
    local links=198.18.$net_b

    ip link add "mpd$net_b" type veth peer name host netns $net
    ip address add "$links.1/30" dev "mpd$net_b"
    ip link set "mpd$net_b" up
    ip route add "$links.0/24" via "$links.2"
    ip -n $net link set lo up
    ip -n $net address add "$links.2/30" dev host
    ip -n $net link set host up
    ip netns exec $net sysctl -qw net.ipv4.ip_forward=1
    net_ipv6=no
    if ip netns exec $net sysctl -qw net.ipv6.conf.all.forwarding=1 2>/dev/null &&
        [ "$(ip netns exec $net sysctl -n net.ipv6.conf.all.disable_ipv6)" = 0 ]; then
        net_ipv6=yes
    fi
    # Only this host's own addresses lead out of net: no packet of the demo can leave the machine.
    for i in "$@"; do
        ip -n $net route add "$i/32" via "$links.1"
    done
    for i in $(seq 1 "$agents"); do
        net_link "agent$i" "$i"
    done
}

# net_cut AGENT ADDRESS: what this agent sends to ADDRESS gets lost in net
net_cut() {
    ip -n "mpdemo-$$-net" rule add from "198.18.$net_b.$((4 * $1 + 2))" to "$2" blackhole
}

# net_exec NAME COMMAND...: in the foreground, in the namespace NAME
net_exec() {
    local name=$1
    shift
    exec ip netns exec "mpdemo-$$-$name" "$@"
}

net_remove() {
    local name
    [ "$(id -u)" = 0 ] || return 0
    ip netns list 2>/dev/null | awk -v mine="mpdemo-$$-" 'index($1, mine) == 1 { print $1 }' | while read -r name; do
        ip netns delete "$name" || true
    done
    # The host's end of the veth pair goes with net; the kernel does that a little later.
    [ -z "${net_b:-}" ] || ip link delete "mpd$net_b" 2>/dev/null || true
}
