#!/bin/bash
# What an administrator does with the package, on a Debian 12 with systemd: each line of the report is `ok` or `FAIL`.
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_PAGER= SYSTEMD_COLORS=0
exec 2>&1

check() { # what, wanted, found
    if [ "$2" = "$3" ]; then echo "ok   $1: $3"; else echo "FAIL $1: $3, not $2"; fi
}
# Asks the PBX from the attacker's side.
ask() { ip netns exec attacker python3 /boot-trial/ask.py "$1"; }
until_is() { # seconds, wanted, command: what it said last
    for _ in $(seq 1 "$1"); do
        last="$($3)"
        [ "$last" = "$2" ] && break
        sleep 1
    done
    echo "$last"
}
active() { systemctl is-active ringfence; }
# A field of the status.
told() { ringfence status --format json 2>/dev/null | grep -o "\"$1\":[^,}]*" | cut -d: -f2 | tr -d '"'; }
standing() { told standing; }

echo "$(systemctl --version | head -1), Linux $(uname -r)"
modprobe -a veth nf_tables
ip netns add attacker
ip link add eth9 type veth peer name a0 netns attacker
ip addr add 198.51.100.1/24 dev eth9
ip link set eth9 up
ip -n attacker addr add 198.51.100.66/24 dev a0
ip -n attacker link set a0 up
python3 /boot-trial/pbx.py &

dpkg --install /boot-trial/ringfence.deb >/boot-trial/log
check "installed" 0 $?
check "not started by itself" inactive "$(active)"
check "a phone before" answered "$(ask phone)"
check "a scanner before" answered "$(ask friendly-scanner)"

systemctl enable --now ringfence 2>/boot-trial/log
started=$?
check "started" 0 "$started"
if [ "$started" != 0 ]; then
    journalctl --unit ringfence --no-pager --output cat | head -20
    systemctl poweroff
    exit
fi
check "it is" active "$(active)"
check "enforced" true "$(told enforced)"
check "a phone" answered "$(ask phone)"
check "a scanner" silence "$(ask friendly-scanner)"
systemctl status ringfence --no-pager -l | head -12
ringfence status

ringfence ban 198.51.100.66 --for 1h >/dev/null
check "a banned phone" silence "$(ask phone)"
ringfence unban 198.51.100.66 >/dev/null
check "an unbanned phone" answered "$(ask phone)"
systemctl reload ringfence
check "reloaded" 0 $?

cp /etc/ringfence/policy.toml /boot-trial/policy.toml
sed -i 's/^sip = .*/sip = { udp = [5999], inspect = true }/' /etc/ringfence/policy.toml
ringfence reload --confirm 6s >/dev/null
check "a phone under a bad policy on trial" silence "$(ask phone)"
check "went back" rolled-back "$(until_is 30 rolled-back standing)"
check "a phone after it" answered "$(ask phone)"
# The watch dies with the service; the next start takes the policy before.
ringfence reload --confirm 1h >/dev/null
systemctl kill --signal=KILL --kill-who=all ringfence
check "restarted from a trial" rolled-back "$(until_is 60 rolled-back standing)"
check "a phone after that" answered "$(ask phone)"
cp /boot-trial/policy.toml /etc/ringfence/policy.toml
ringfence reload >/dev/null
check "its own policy again" kept "$(standing)"

kill -9 "$(systemctl show -p MainPID --value ringfence)"
check "a scanner while it is dead" silence "$(ask friendly-scanner)"
check "restarted" active "$(sleep 3; until_is 60 active active)"

rm -f /boot-trial/reached
ip netns exec attacker python3 /boot-trial/flood.py &
flood=$!
dpkg --install /boot-trial/ringfence-newer.deb >/boot-trial/log
check "upgraded" 0 $?
kill "$flood"
check "the flood went on all the time" 0 $?
check "scanners that got through meanwhile" 0 "$(cat /boot-trial/reached 2>/dev/null || echo 0)"
check "after it" active "$(until_is 30 active active)"
systemd-analyze security ringfence --no-pager | tail -1

systemctl stop ringfence
check "stopped" inactive "$(active)"
check "a scanner after the stop" silence "$(ask friendly-scanner)"
journalctl --unit ringfence --no-pager --output cat | grep -v '^ringfence.service' | tail -15

dpkg --purge ringfence >/boot-trial/log
check "purged" 0 $?
check "tables" "" "$(nft list tables)"
check "pins" "" "$(ls /sys/fs/bpf)"
check "folders" "" "$(ls -d /etc/ringfence /var/lib/ringfence /run/ringfence 2>/dev/null)"
check "programs on the interface" 0 "$(ip -details link show eth9 | grep -c xdp)"
check "a scanner without it" answered "$(ask friendly-scanner)"
# What was counted above is counted.
ip netns exec attacker timeout 3 python3 /boot-trial/flood.py
check "scanners that get through now" yes "$([ "$(cat /boot-trial/reached)" -gt 10 ] && echo yes)"
echo "@end"
systemctl poweroff
