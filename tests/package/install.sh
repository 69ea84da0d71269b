#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The second host is a package and a passphrase away: installs the packages into a fresh Debian 12 of their own, joins an
# agent from there, in its own network namespace, to a server in another, as the users and with the rights the units
# give them, and purges. Needs root and, but for its own cache, a Debian mirror.  usage: install.sh BUILD-DIRECTORY
set -euo pipefail
if [ "$(id -u)" != 0 ]; then
    echo "needs root (namespaces, chroot)"
    exit 77
fi
if [ -z "${MESHPING_OWN_MOUNTS:-}" ]; then
    # Mounts made here end with this process, whatever ends it.
    MESHPING_OWN_MOUNTS=1 exec unshare --mount --propagation private "$0" "$@"
fi
build=$(cd "$1" && pwd)
top=$(cd "$(dirname "$0")/../.." && pwd)
packages=$build/packages
cache=$build/package-root.tar
net=mptest-$$
port=8443
pids=()

work=$(mktemp -d /tmp/meshping-package.XXXXXX)
root=$work/root
cleanup() {
    local status=$?
    [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
    ip netns delete $net-server 2>/dev/null || true
    ip netns delete $net-agent 2>/dev/null || true
    umount "$root/proc" "$root/dev" 2>/dev/null || true
    rm -rf --one-file-system "$work"
    [ "$status" = 0 ] || echo "FAILED"
}
trap cleanup EXIT
fail() {
    echo "$*"
    tail -n 20 "$work"/*.log 2>/dev/null || true
    exit 1
}
step() { echo "-- $*"; }
inside() { chroot "$root" "$@"; }

[ -n "$(find "$packages" -name 'meshping-agent_*.deb' 2>/dev/null)" ] ||
    fail "no packages in $packages: scripts/build --deb makes them"

step "a Debian 12 of its own"
if [ -z "$(find "$cache" -type f -mtime -7 2>/dev/null)" ]; then
    rm -rf "$cache" "$cache.new"
    if ! mmdebstrap --quiet --variant=apt --format=tar bookworm "$cache.new" >"$work/mmdebstrap.log" 2>&1; then
        cat "$work/mmdebstrap.log"
        echo "no Debian mirror to be reached"
        exit 77
    fi
    mv "$cache.new" "$cache"
fi
mkdir "$root"
tar -C "$root" --exclude='./dev/*' -xf "$cache"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
cp /etc/resolv.conf "$root/etc/resolv.conf"
inside apt-get -qq update >"$work/update.log" 2>&1 || fail "apt-get update failed"

step "install"
mkdir "$root/packages"
cp "$packages"/*.deb "$root/packages"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
inside sh -c 'apt-get -qq install -y --no-install-recommends /packages/*.deb' >"$work/install.log" 2>&1 ||
    fail "apt-get install failed"
[ ! -e "$root/run/systemd/system" ] || fail "this root has a systemd: the test wants none"
inside id meshpingd meshping-agent >/dev/null || fail "the packages made no users"
for unit in meshpingd meshping-agent; do
    [ -f "$root/usr/lib/systemd/system/$unit.service" ] || fail "no unit $unit.service"
    ! grep -q '@' "$root/usr/lib/systemd/system/$unit.service" ||
        [ "$(grep -c '@system-service' "$root/usr/lib/systemd/system/$unit.service")" = "$(grep -c '@' "$root/usr/lib/systemd/system/$unit.service")" ] ||
        fail "$unit.service holds a placeholder"
    [ "$(stat -c %a:%U "$root/var/lib/$unit")" = "700:$(stat -c %U "$root/var/lib/$unit")" ] || fail "/var/lib/$unit is open"
    inside dpkg-query -W -f '${Conffiles}\n' "$unit" | grep -q "/etc/meshping/$unit.conf" || fail "$unit.conf is no conffile"
done
inside dpkg-query -W -f '${Depends}\n' meshping-agent | grep -q libwebsockets-evlib-uv || fail "evlib-uv is no dependency"
inside meshpingd --config /etc/meshping/meshpingd.conf --check-config >"$work/check.log" 2>&1 ||
    fail "the packaged meshpingd.conf is refused"
inside /usr/bin/python3 -c "import meshping; (r,) = meshping.ping('127.0.0.1'); assert r.ok, r" ||
    fail "python3-meshping cannot ping"

step "two namespaces and a wire"
ip netns add $net-server
ip netns add $net-agent
ip link add wire netns $net-server type veth peer name wire netns $net-agent
for side in server:1 agent:2; do
    name=$net-${side%%:*}
    ip -n "$name" address add "192.0.2.${side##*:}/24" dev wire
    ip -n "$name" link set wire up
    ip -n "$name" link set lo up
done

# as USER CAPABILITIES NAMESPACE COMMAND...: in the root, with what the unit gives it and no more
as() {
    local user=$1 caps=$2 namespace=$3
    shift 3
    exec ip netns exec "$net-$namespace" setpriv --pdeathsig TERM chroot "$root" setpriv --reuid="$user" --regid="$user" \
        --clear-groups --no-new-privs --inh-caps="$caps" --ambient-caps="$caps" --bounding-set="$caps" "$@"
}

step "the server"
echo "a password of a few words" >"$work/password"
install -m 0600 "$work/password" "$root/tmp/password"
inside chown meshpingd /tmp/password
(as meshpingd -all server meshpingd admin create --name admin --password-file /tmp/password --state-dir /var/lib/meshpingd) \
    >"$work/admin.log" 2>&1 || fail "admin create"
as meshpingd -all server meshpingd --config /etc/meshping/meshpingd.conf >"$work/server.log" 2>&1 &
pids+=($!)
printf '192.0.2.1 server\n192.0.2.2 agent\n127.0.0.1 loopback\n::1 loopback 6\n' >"$work/targets"
api() { ip netns exec $net-server /usr/bin/python3 "$top/scripts/lib/demo_api.py" "$1" "$work/session.json" "${@:2}"; }
started=$(date +%s)
api setup $port admin "$work/password" "$work/targets" || fail "the server did not start"

step "a passphrase, and the agent"
passphrase=$(api passphrase 192.0.2.1:$port)
if inside meshping-agent-join </dev/null >"$work/join.log" 2>&1; then fail "join takes an empty passphrase"; fi
if inside meshping-agent-join "$passphrase" >"$work/join.log" 2>&1; then fail "join takes the passphrase as an argument"; fi
if grep -q "${passphrase:8:20}" "$work/join.log"; then fail "join repeats the passphrase"; fi
inside meshping-agent-join <<<"$passphrase" >"$work/join.log" 2>&1 || fail "join"
[ "$(inside stat -c %a:%U /etc/meshping/passphrase)" = 600:meshping-agent ] || fail "the passphrase is open to others"
grep -q 'meshping-agent run --config' "$work/join.log" || fail "join does not say what to run without systemd"
# At a terminal it asks, and shows nothing of what is typed.
/usr/bin/python3 - "$root" "$passphrase" <<'END' || fail "join shows the passphrase on a terminal, or does not take it"
import os, pty, sys
root, passphrase = sys.argv[1:]
pid, terminal = pty.fork()
if pid == 0:
    os.execvp("chroot", ["chroot", root, "meshping-agent-join", "--again"])
seen = b""
while True:
    try:
        got = os.read(terminal, 4096)
    except OSError:
        break
    if not got:
        break
    if b"Passphrase" in got and b"Passphrase" not in seen:
        os.write(terminal, passphrase.encode() + b"\n")
    seen += got
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
if status != 0 or passphrase[8:20].encode() in seen or b"Stored in" not in seen:
    print(status, seen.decode().replace(passphrase, "(THE PASSPHRASE)"))
    sys.exit(1)
END
as meshping-agent -all,+net_raw agent meshping-agent run --config /etc/meshping/meshping-agent.conf \
    >"$work/agent.log" 2>&1 &
pids+=($!)
api approve 1 || fail "the agent did not ask to join"
api watch 1 "$started" "$work/targets" || fail "the agent's row is not all ok"
if grep -q "${passphrase:8:20}" "$work"/*.log; then fail "a log holds the passphrase"; fi

step "end, and purge"
for pid in "${pids[@]}"; do
    kill "$pid"
    wait "$pid" || fail "a daemon ended with status $? on SIGTERM"
done
pids=()
inside sh -c 'apt-get -qq purge -y meshping-agent meshpingd' >"$work/purge.log" 2>&1 || fail "apt-get purge failed"
for gone in /etc/meshping /var/lib/meshpingd /var/lib/meshping-agent /usr/bin/meshpingd; do
    [ ! -e "$root$gone" ] || fail "purging left $gone behind: $(ls -la "$root$gone")"
done
echo "ok"
