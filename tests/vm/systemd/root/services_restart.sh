# Services of root's and the end of the host: the power is cut behind test_*, with nothing synced, and the host is
# shut down behind after_cut_*.

test_engine_before_the_cut() {
    cat >"$units/engine.service" <<'end'
[Unit]
Description=What needs the network

[Service]
ExecStart=/bin/sh -c 'echo "engine on $SUBNET"; exec sleep 100000'

[Install]
WantedBy=multi-user.target
end
    systemctl daemon-reload
    systemctl enable engine
    # What is berth's to keep is not synced here.
    sync "$units/engine.service" "$units/multi-user.target.wants" "$units"
    berth install --system --name flannel --set PORT=8153 --set READY_DELAY=3 "$registry/flannel:v1"
}

test_count_before_the_cut() {
    berth install --system --name boot-count --set PORT=8152 "$registry/counter:v1"
    berth start boot-count
    answers 8152 'start 1'
}

test_hello_before_the_cut() {
    berth install --system --name boot-hello --set PORT=8151 "$registry/hello-world:v1"
    berth start boot-hello
    answers 8151 'Hi World'
    berth update --set RECEIVER=all boot-hello
}

after_cut_all_is_up() {
    answers 8151 'Hi all'
    answers 8152 'start 2'
    answers 8153 'network 10.1 on overlay'
    for name in boot-hello boot-count flannel engine; do
        active "$name" active
    done
    same '' "$(systemctl --failed --plain --no-legend | grep -E 'boot-|flannel|engine' || :)"
    berth repo fsck
}

# Atomic's users wanted it before the engine; at boot as well.
after_cut_boot_order() {
    network=$(property flannel ActiveEnterTimestampMonotonic)
    engine=$(property engine ExecMainStartTimestampMonotonic)
    [ "$network" -gt 0 ] && [ "$network" -le "$engine" ] || wrong "the network $network, the engine $engine"
    logged engine 'engine on 10.1.0.0/16'
}

after_cut_can_be_changed() {
    berth rollback boot-hello
    answers 8151 'Hi World'
    berth update --set RECEIVER=more boot-hello
    answers 8151 'Hi more'
}

after_shutdown_all_is_up() {
    answers 8151 'Hi more'
    answers 8152 'start 3'
    answers 8153 'network 10.1 on overlay'
    for name in boot-hello boot-count flannel engine; do
        active "$name" active
    done
}

after_shutdown_all_can_go() {
    for name in boot-hello boot-count flannel; do
        berth uninstall "$name"
    done
    same '' "$(ls "$checkouts")"
    same '' "$(berth services -a -q)"
    same '' "$(berth oci list -q)"
}
