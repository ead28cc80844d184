# Services of root's: from the registry until nothing is left of them, and what only root's have.

listing() { # what an installation may change
    find /etc /usr /var/lib -xdev \
        \( -path "$checkouts" -o -path /var/lib/berth -o -path /var/lib/docker-registry -o -path '/var/lib/systemd/*' \) -prune \
        -o -type f -printf '%p %M %U %G %s %T@\n' -o -printf '%p %M %U %G %l\n' | LC_ALL=C sort
}

test_hello_world() {
    mkdir -p "${checkouts%/*}"
    listing >before
    berth install --system --name hello --set PORT=8101 --set RECEIVER=root "$registry/hello-world:v1"
    same enabled "$(systemctl is-enabled hello)"
    active hello inactive
    same "$checkouts/hello.0" "$(readlink "$checkouts/hello")"
    berth start hello
    answers 8101 'Hi root'
    logged hello 'listening on 8101'
    within "$(systemctl status hello)" 'active (running)'
    # A simple service has no other way to tell how it ended than that berth stays.
    within "$(systemctl status hello)" "Main PID: $(property hello MainPID) (berth)"
    within "$(berth services)" hello
    berth stop hello
    # It was asked, and not killed.
    logged hello bye
    active hello inactive
    berth uninstall hello
    listing >after
    diff before after
    status 1 systemctl cat hello
    same '' "$(ls "$checkouts")"
}

# What keeps setuid files of old images from everybody else.
test_nobody_else_reaches_the_files() {
    berth install --system --name closed "$registry/hello-world:v1"
    same root:700 "$(stat -c %U:%a "$checkouts")"
    same root:700 "$(stat -c %U:%a /var/lib/berth)"
    "$checkouts/closed/rootfs/bin/busybox" true
    status 126 setpriv --reuid tester --regid tester --init-groups sh -c "exec $checkouts/closed/rootfs/bin/busybox true"
    berth uninstall closed
}

# The files of a container are those of the store.
test_no_user_namespace() {
    berth install --system --name bare --set PORT=8102 "$registry/hello-world:v1"
    berth start bare
    answers 8102 'Hi World'
    pid=$(first_process bare)
    same "$(readlink /proc/1/ns/user)" "$(readlink "/proc/$pid/ns/user")"
    same "$(readlink /proc/1/ns/net)" "$(readlink "/proc/$pid/ns/net")"
    [ "$(readlink /proc/1/ns/pid)" != "$(readlink "/proc/$pid/ns/pid")" ] || wrong 'the pids of the host'
    same mode=bare "$(grep ^mode= /var/lib/berth/repo/config)"
    same "$(inode "$checkouts/bare/rootfs/etc/release")" "$(inode "/proc/$pid/root/etc/release")"
    # kill, net_bind_service and audit_write, as the old list had them
    same 0000000020000420 "$(awk '/^CapEff/ { print $2 }' "/proc/$pid/status")"
    berth uninstall bare
    [ ! -e "/proc/$pid" ] || wrong 'it outlived its service'
}

test_main_pid_is_the_containers() {
    berth install --system --name counted --set PORT=8103 "$registry/counter:v1"
    same 700 "$(stat -c %a /var/lib/counted)"
    berth start counted
    answers 8103 'start 1'
    pid=$(property counted MainPID)
    same "$(inode "$checkouts/counted/rootfs/usr/bin/count")" "$(inode "/proc/$pid/root/usr/bin/count")"
    same 1 "$(awk '/^NSpid/ { print $NF }' "/proc/$pid/status")"
    within "$(systemctl status counted)" "Main PID: $pid (answer)"
    logged counted 'start 1'
    # systemd notices its death, and starts it again.
    kill -9 "$pid"
    answers 8103 'start 2'
    berth restart counted
    answers 8103 'start 3'
    berth uninstall counted
    same 3 "$(cat /var/lib/counted/starts)"
    berth install --system --name counted --set PORT=8103 "$registry/counter:v1"
    berth start counted
    answers 8103 'start 4'
    berth uninstall counted
    rm -r /var/lib/counted
}

test_limits_are_real() {
    berth install --system --name narrow --set PORT=8104 --set MEMORY=33554432 "$registry/counter:v1"
    berth start narrow
    answers 8104 'start 1'
    group=$(sed 's/^0:://' "/proc/$(property narrow MainPID)/cgroup")
    within "$group" /system.slice/narrow.service
    # systemd writes what it knows of to its groups again.
    systemctl daemon-reload
    same 33554432 "$(cat "/sys/fs/cgroup$group/memory.max")"
    same 20 "$(cat "/sys/fs/cgroup$group/pids.max")"
    status 137 berth run-in narrow dd if=/dev/zero of=/dev/null bs=100M count=1
    active narrow active
    berth uninstall narrow
    [ ! -e "/sys/fs/cgroup$group" ] || wrong 'its group is left'
    rm -r /var/lib/narrow
}

# Its first request starts it, and no request is lost.
test_socket() {
    berth install --system --name passed --set RECEIVER=socket "$registry/hello-world:v1"
    printf '[Socket]\nListenStream=127.0.0.1:8105\n' >"$units/passed.socket"
    systemctl daemon-reload
    systemctl start passed.socket
    active passed inactive
    same 'Hi socket' "$(answer 8105)"
    logged passed 'listening on what was passed'
    systemctl stop passed.socket
    berth uninstall passed
    rm "$units/passed.socket"
    systemctl daemon-reload
}

test_run_in() {
    berth install --system --name inside --set PORT=8106 "$registry/hello-world:v1"
    same 1 "$(berth run-in inside cat /etc/release)"
    active inside inactive
    status 7 berth run-in inside sh -c 'exit 7'
    berth start inside
    answers 8106 'Hi World'
    same "$(readlink "/proc/$(first_process inside)/ns/pid")" "$(berth run-in inside readlink /proc/self/ns/pid)"
    status 7 berth run-in inside sh -c 'exit 7'
    answers 8106 'Hi World'
    berth uninstall inside
    status 125 berth run-in inside true
}

# What is not in its volume goes with its end, and none of it into the deployment.
test_image_without_exports() {
    berth install --system --name plain "$registry/plain:v1"
    berth start plain
    answers 8084 'start 1, here 1'
    berth restart plain
    answers 8084 'start 2, here 1'
    [ ! -e "$checkouts/plain/rootfs/starts" ] || wrong 'the deployment was written to'
    berth uninstall plain
    same 2 "$(cat "$(find /var/lib/plain -name starts)")"
    same '' "$(findmnt -n -o TARGET | grep "$checkouts" || :)"
    rm -r /var/lib/plain
}

# A service tells that it failed, and keeps its name.
test_failed_is_not_running() {
    berth install --system --name breaks "$registry/hello-world:v3"
    mkdir "$units/breaks.service.d"
    printf '[Service]\nRestart=no\n' >"$units/breaks.service.d/once.conf"
    systemctl daemon-reload
    systemctl start breaks
    ended() { [ "$(systemctl is-active breaks)" = failed ]; }
    soon ended
    same 7 "$(property breaks ExecMainStatus)"
    within "$(berth services -a)" failed
    within "$(berth install --system --name breaks "$registry/plain:v1" 2>&1)" 'breaks already present'
    same 7 "$(property breaks ExecMainStatus)"
    berth uninstall breaks
    rm -r "$units/breaks.service.d"
    systemctl daemon-reload
}
