# Services of root's that change: newer images, other values, back again, and images that do not work.

test_update_and_rollback() {
    moved hello-world v1 newer
    berth install --system --name newer --set PORT=8111 "$registry/hello-world:newer"
    berth start newer
    answers 8111 'Hi World'
    within "$(berth update newer)" 'Latest version already installed.'
    same 0 "$(slot newer)"
    moved hello-world v2 newer
    berth update --check newer
    same 0 "$(slot newer)"
    berth update newer
    # It had not set the RECEIVER, so the new image's is there; the port it had.
    answers 8111 'Hello again Universe'
    same 1 "$(slot newer)"
    [ ! -e "$checkouts/newer/rootfs/etc/only-in-1" ] || wrong 'a file of the old image is left'
    berth rollback newer
    answers 8111 'Hi World'
    same 0 "$(slot newer)"
    berth rollback newer
    answers 8111 'Hello again Universe'
    # A third deployment is in the slot of the first, and not on top of it.
    berth update --set RECEIVER=you newer
    answers 8111 'Hello again you'
    same 0 "$(slot newer)"
    [ ! -e "$checkouts/newer/rootfs/etc/only-in-1" ] || wrong 'a file of the first deployment is left'
    berth rollback newer
    answers 8111 'Hello again Universe'
    berth uninstall newer
    same '' "$(ls "$checkouts")"
}

# What was set stays set, whatever the new image has; what was not running is not started.
test_rebase() {
    berth install --system --name based --set PORT=8112 --set RECEIVER=me "$registry/hello-world:v1"
    berth update --rebase "$registry/hello-world:v2" based
    active based inactive
    berth start based
    answers 8112 'Hello again me'
    within "$(berth services --no-trunc)" "$registry/hello-world:v2"
    berth uninstall based
}

test_update_while_it_is_asked() {
    berth install --system --name counted --set PORT=8113 "$registry/counter:v1"
    berth start counted
    answers 8113 'start 1'
    berth update --set MEMORY=50331648 counted
    answers 8113 'start 2'
    group=$(sed 's/^0:://' "/proc/$(property counted MainPID)/cgroup")
    same 50331648 "$(cat "/sys/fs/cgroup$group/memory.max")"
    berth rollback counted
    answers 8113 'start 3'
    berth uninstall counted
    rm -r /var/lib/counted
}

# It starts and dies a second later, as services do whose start systemd takes for a success.
test_broken_image_is_rolled_back() {
    moved hello-world v1 fragile
    berth install --system --name fragile --set PORT=8114 "$registry/hello-world:fragile"
    berth start fragile
    answers 8114 'Hi World'
    moved hello-world v3 fragile
    status 1 berth update fragile 2>err
    within "$(cat err)" fragile
    active fragile active
    answers 8114 'Hi World'
    same 0 "$(slot fragile)"
    logged fragile breaking
    logged fragile 'rolled fragile back from '
    berth uninstall fragile
}

# Nothing is written to the host that nobody agreed to.
test_more_of_the_host() {
    berth install --system --name eager --set PORT=8115 "$registry/hello-world:v2"
    status 1 berth update --rebase "$registry/hello-world:v4" eager </dev/null 2>err
    within "$(cat err)" /etc/hello.conf
    [ ! -e /etc/hello.conf ] || wrong 'it was written'
    same 0 "$(slot eager)"
    berth update --yes --rebase "$registry/hello-world:v4" eager
    same 'wanted by version 4' "$(cat /etc/hello.conf)"
    berth rollback eager
    [ ! -e /etc/hello.conf ] || wrong 'it is left'
    berth rollback eager
    echo edited >>/etc/hello.conf
    berth uninstall eager 2>&1 | tee said
    within "$(cat said)" 'Will not delete /etc/hello.conf as it was manually modified.'
    within "$(cat /etc/hello.conf)" edited
    rm /etc/hello.conf
}

# One that fails is told of, and keeps none of the others.
test_update_all() {
    for name in one two three; do
        moved hello-world v1 "$name"
    done
    berth install --system --name one --set PORT=8116 "$registry/hello-world:one"
    berth install --system --name two --set PORT=8117 "$registry/hello-world:two"
    berth install --system --name three --set PORT=8118 "$registry/hello-world:three"
    berth start one two three
    for port in 8116 8117 8118; do
        answers "$port" 'Hi World'
    done
    moved hello-world v2 one
    moved hello-world v3 two
    moved hello-world v2 three
    status 1 berth update --all --yes
    answers 8116 'Hello again Universe'
    answers 8117 'Hi World'
    answers 8118 'Hello again Universe'
    berth uninstall one
    berth uninstall two
    berth uninstall three
}

# What changes while nobody looks is vouched for: a tag is not.
test_update_timer() {
    manifest='application/vnd.oci.image.manifest.v1+json'
    digest=$(curl -sfI -H "Accept: $manifest" "http://$registry/v2/hello-world/manifests/v1" |
        tr -d '\r' | sed -n 's/^docker-content-digest: //Ip')
    berth install --system --name tagged "$registry/hello-world:v1"
    status 1 berth update --timer on 2>err
    within "$(cat err)" 'cannot update tagged unattended'
    [ ! -e "$units/berth-update.timer" ] || wrong 'it is on'
    berth uninstall tagged
    berth install --system --name held --set PORT=8119 "$registry/hello-world@$digest"
    berth update --timer on
    active berth-update.timer active
    same enabled "$(systemctl is-enabled berth-update.timer)"
    # `start` of a oneshot service fails when it does.
    systemctl start berth-update.service
    logged berth-update.service 'Latest version already installed.'
    # Whatever comes to it from then on, it is looked at each time.
    berth install --system --name tagged "$registry/hello-world:v1"
    status 1 systemctl start berth-update.service
    logged berth-update.service 'cannot update tagged unattended'
    berth update --timer off
    [ ! -e "$units/berth-update.timer" ] || wrong 'the timer is left'
    [ ! -e "$units/berth-update.service" ] || wrong 'its service is left'
    active berth-update.timer inactive
    berth uninstall held
    berth uninstall tagged
}
