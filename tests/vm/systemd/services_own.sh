# Services of the user's own, which `systemctl --user` has, from the registry until nothing is left of them.

# where a user's services keep their state
states=$HOME/.data

listing() { # what an installation may change
    find "$HOME" \( -path "$checkouts" -o -path "$HOME/.local/share/berth" -o -path "$HOME/before" -o -path "$HOME/after" \) -prune \
        -o -type f -printf '%p %M %U %G %s %T@\n' -o -printf '%p %M %U %G %l\n' | LC_ALL=C sort
}

test_hello_world() {
    mkdir -p "$units" "${checkouts%/*}/tmpfiles"
    listing >before
    berth install --user --name hello --set PORT=8201 --set RECEIVER=user "$registry/hello-world:v1"
    same enabled "$(manager is-enabled hello)"
    active hello inactive
    same "$checkouts/hello.0" "$(readlink "$checkouts/hello")"
    berth start hello
    answers 8201 'Hi user'
    logged hello 'listening on 8201'
    within "$(berth services)" hello
    pid=$(first_process hello)
    [ "$(readlink /proc/self/ns/user)" != "$(readlink "/proc/$pid/ns/user")" ] || wrong 'no user namespace'
    same "$(readlink /proc/self/ns/net)" "$(readlink "/proc/$pid/ns/net")"
    same 0000000020000420 "$(awk '/^CapEff/ { print $2 }' "/proc/$pid/status")"
    # root in there is the user, and more ids follow
    same '0 1000 1' "$(awk 'NR == 1 { print $1, $2, $3 }' "/proc/$pid/uid_map")"
    same '0 1000 1' "$(awk 'NR == 1 { print $1, $2, $3 }' "/proc/$pid/gid_map")"
    same '1 100000 65536' "$(awk 'NR == 2 { print $1, $2, $3 }' "/proc/$pid/gid_map")"
    berth stop hello
    logged hello bye
    active hello inactive
    berth uninstall hello
    listing >after
    diff before after
    same '' "$(ls "$checkouts")"
}

test_wants_a_target_that_users_have() {
    berth install --user --name plain "$registry/plain:v1"
    same default.target "$(property plain WantedBy)"
    berth start plain
    answers 8084 'start 1, here 1'
    berth restart plain
    answers 8084 'start 2, here 1'
    berth uninstall plain
    find "$states/plain" -name starts | grep -q . || wrong 'its volume is gone'
    rm -r "$states/plain"
}

test_main_pid_is_the_containers() {
    berth install --user --name counted --set PORT=8202 "$registry/counter:v1"
    berth start counted
    answers 8202 'start 1'
    pid=$(property counted MainPID)
    same 1 "$(awk '/^NSpid/ { print $NF }' "/proc/$pid/status")"
    same answer "$(cat "/proc/$pid/comm")"
    kill -9 "$pid"
    answers 8202 'start 2'
    berth uninstall counted
    same 2 "$(cat "$states/counted/starts")"
    rm -r "$states/counted"
}

test_update_and_rollback() {
    moved hello-world v1 mine
    berth install --user --name newer --set PORT=8203 "$registry/hello-world:mine"
    berth start newer
    answers 8203 'Hi World'
    within "$(berth update newer)" 'Latest version already installed.'
    moved hello-world v2 mine
    berth update newer
    answers 8203 'Hello again Universe'
    berth rollback newer
    answers 8203 'Hi World'
    moved hello-world v3 mine
    status 1 berth update newer
    active newer active
    answers 8203 'Hi World'
    logged newer 'rolled newer back from '
    berth uninstall newer
}

test_socket() {
    berth install --user --name passed --set RECEIVER=socket "$registry/hello-world:v1"
    printf '[Socket]\nListenStream=127.0.0.1:8204\n' >"$units/passed.socket"
    manager daemon-reload
    manager start passed.socket
    active passed inactive
    same 'Hi socket' "$(answer 8204)"
    logged passed 'listening on what was passed'
    manager stop passed.socket
    berth uninstall passed
    rm "$units/passed.socket"
    manager daemon-reload
}

test_run_in() {
    berth install --user --name inside --set PORT=8205 "$registry/hello-world:v1"
    same 1 "$(berth run-in inside cat /etc/release)"
    active inside inactive
    berth start inside
    answers 8205 'Hi World'
    same "$(readlink "/proc/$(first_process inside)/ns/pid")" "$(berth run-in inside readlink /proc/self/ns/pid)"
    status 7 berth run-in inside sh -c 'exit 7'
    berth uninstall inside
}

# A file of quadlet's is enough: it is ready when its program says so.
test_from_quadlet() {
    cat >quad.container <<'end'
[Unit]
Description=Of a file that podman knows

[Container]
Image=127.0.0.1:5000/plain:v1
Environment=PORT=8206 READY_DELAY=2
Notify=true

[Install]
WantedBy=default.target
end
    berth install --user --from-quadlet quad.container
    berth start quad
    same 'start 1, here 1' "$(answer 8206)"
    same notify "$(property quad Type)"
    berth uninstall quad
    rm -rf "$states/quad" quad.container
}

test_before_the_cut() {
    berth install --user --name boot-mine --set PORT=8251 "$registry/hello-world:v1"
    berth start boot-mine
    answers 8251 'Hi World'
}

after_cut_is_up() {
    answers 8251 'Hi World'
    active boot-mine active
    berth update --set RECEIVER=me boot-mine
    answers 8251 'Hi me'
}

after_shutdown_is_up() {
    answers 8251 'Hi me'
    berth uninstall boot-mine
    same '' "$(ls "$checkouts")"
    same '' "$(berth services -a -q)"
}
