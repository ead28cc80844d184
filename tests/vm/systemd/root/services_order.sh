# A service that others wait for: a network that is to be there before an engine.

engine='[Unit]
Description=What needs the network

[Service]
ExecStart=/bin/sh -c '\''echo "engine on $SUBNET"; exec sleep 100000'\''

[Install]
WantedBy=multi-user.target'

engine() { # what another package would bring
    echo "$engine" >"$units/engine.service"
    systemctl daemon-reload
}

no_engine() {
    systemctl stop engine
    rm "$units/engine.service"
    systemctl daemon-reload
    ip link delete overlay0
}

# Its port is not there before it says that it is ready, and `systemctl start` returns only then.
test_notify() {
    engine
    berth install --system --name flannel --set PORT=8121 --set READY_DELAY=4 "$registry/flannel:v1"
    systemctl start --no-block flannel
    starting() { active flannel activating; }
    soon starting
    status 7 curl -s http://127.0.0.1:8121/
    systemctl start flannel
    same 'network 10.1 on overlay' "$(answer 8121)"
    same 'it answers' "$(property flannel StatusText)"
    same notify "$(property flannel Type)"
    pid=$(first_process flannel)
    # cap_net_admin and the others of the image: kill, net_bind_service, net_admin, net_raw, sys_admin
    same 0000000000203420 "$(awk '/^CapEff/ { print $2 }' "/proc/$pid/status")"
    same "$(readlink /proc/1/ns/pid)" "$(readlink "/proc/$pid/ns/pid")"
    [ "$(readlink /proc/1/ns/uts)" != "$(readlink "/proc/$pid/ns/uts")" ] || wrong 'the name of the host'
    same berth-vm "$(cat /proc/sys/kernel/hostname)"
    # with the host's network, in which it has made something
    ip link show overlay0
    berth uninstall flannel
    no_engine
}

test_before_another_unit() {
    engine
    within "$(berth install --system --name flannel --set PORT=8122 --set READY_DELAY=3 "$registry/flannel:v1" 2>&1)" \
        /etc/systemd/system/engine.service.d/flannel.conf
    same 'EnvironmentFile=-/run/flannel/subnet.env' "$(sed 1d "$units/engine.service.d/flannel.conf")"
    within "$(property engine Requires)" flannel.service
    # The engine alone is asked for.
    systemctl start engine
    active flannel active
    logged engine 'engine on 10.1.0.0/16'
    network=$(property flannel ActiveEnterTimestampMonotonic)
    after=$(property engine ExecMainStartTimestampMonotonic)
    [ "$network" -gt 0 ] && [ "$network" -le "$after" ] || wrong "the network $network, the engine $after"

    # The engine goes down with the network, and comes back with it.
    first=$(property engine MainPID)
    berth update --set PREFIX=10.2 flannel
    active engine active
    [ "$first" -ne "$(property engine MainPID)" ] || wrong 'the engine did not notice'
    logged engine 'engine on 10.2.0.0/16'
    berth rollback flannel
    active engine active
    answers 8122 'network 10.1 on overlay'

    berth uninstall flannel
    [ ! -e "$units/engine.service.d/flannel.conf" ] || wrong 'the drop-in is left'
    [ ! -e /etc/sysconfig/flannel ] || wrong '/etc/sysconfig/flannel is left'
    no_engine
    within "$(ls "$units")" multi-user.target.wants
    [ ! -e "$units/engine.service.requires/flannel.service" ] || wrong 'the engine still needs it'
}

# A network that is not ready in time is the old one again, and so is what needs it.
test_missed_readiness() {
    engine
    berth install --system --name flannel --set PORT=8123 --set START_LIMIT=5 "$registry/flannel:v1"
    systemctl start engine
    status 1 berth update --set READY_DELAY=60 --set PREFIX=10.3 flannel 2>err
    within "$(cat err)" 'timeout'
    active flannel active
    active engine active
    answers 8123 'network 10.1 on overlay'
    same 0 "$(slot flannel)"
    logged flannel 'rolled flannel back from '
    berth uninstall flannel
    no_engine
}
