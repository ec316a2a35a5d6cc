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
# Calls the echo test with a password, and counts the audio that comes back.
call() {
    ip netns exec phone nft -f - <<'RULES'
table inet call
delete table inet call
table inet call {
    counter heard {}
    chain in { type filter hook input priority 0; udp dport 30000 counter name heard; }
}
RULES
    (cd /boot-trial/call && ip netns exec phone timeout 90 sipp 198.51.100.1:5060 -sf scenario.xml -inf users.csv -i 192.0.2.20 \
        -mi 192.0.2.20 -m 1 -s 600 -d 2100 -mp 30000 -key agent "Acme Phone" -nostdin -timeout 60 -timeout_error \
        >/boot-trial/call/log 2>&1) || { echo "no call"; return; }
    heard="$(ip netns exec phone nft list counter inet call heard | grep -o 'packets [0-9]*' | cut -d' ' -f2)"
    [ "$heard" -gt 50 ] && echo "audio came back" || echo "$heard packets of audio came back"
}
# Scanners that the PBX has heard.
reached() { grep -c '^User-Agent: friendly-scanner' /srv/pbx/var/log/asterisk/full; }
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
ip netns add phone
ip link add eth8 type veth peer name p0 netns phone
ip addr add 192.0.2.1/24 dev eth8
ip link set eth8 up
ip -n phone addr add 192.0.2.20/24 dev p0
ip -n phone link set p0 up
ip -n phone route add default via 192.0.2.1

mount --rbind /dev /srv/pbx/dev
mount -t proc proc /srv/pbx/proc
chroot /srv/pbx /usr/sbin/asterisk -f -n >/boot-trial/asterisk.log 2>&1 &
booted() { chroot /srv/pbx /usr/sbin/asterisk -rx "core waitfullybooted" 2>/dev/null; }
check "the PBX" "Asterisk has fully booted." "$(until_is 90 'Asterisk has fully booted.' booted)"

dpkg --install /boot-trial/ringfence.deb >/boot-trial/log
check "installed" 0 $?
check "not started by itself" inactive "$(active)"
check "a phone before" answered "$(ask phone)"
check "a scanner before" answered "$(ask friendly-scanner)"
check "a call before" "audio came back" "$(call)"

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
check "a call" "audio came back" "$(call)"
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

before="$(reached)"
ip netns exec attacker python3 /boot-trial/flood.py &
flood=$!
(sleep 1; call >/boot-trial/call/meanwhile) &
calling=$!
dpkg --install /boot-trial/ringfence-newer.deb >/boot-trial/log
check "upgraded" 0 $?
kill "$flood"
check "the flood went on all the time" 0 $?
wait "$calling"
check "a call meanwhile" "audio came back" "$(cat /boot-trial/call/meanwhile)"
check "scanners that got through meanwhile" 0 "$(($(reached) - before))"
check "after it" active "$(until_is 30 active active)"
check "a call after it" "audio came back" "$(call)"
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
before="$(reached)"
ip netns exec attacker timeout 3 python3 /boot-trial/flood.py
sleep 5
check "scanners that get through now" yes "$([ "$(reached)" -gt "$((before + 10))" ] && echo yes)"
echo "@end"
systemctl poweroff
