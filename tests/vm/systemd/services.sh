# Containers that the user's service manager starts and ends, and what shares a group with others.

# Says bye and ends with 3 when it is asked to.
polite='trap "echo bye; exit 3" TERM; echo up; while :; do sleep 0.1; done'

service() { # NAME PROPERTY… COMMAND…: as a unit of the user's, which begins before this returns
    systemd-run --user --quiet --unit "$@"
}

up() { # CONTAINER: its program runs
    said() { [ "$(berth logs "$1" 2>/dev/null)" = up ]; }
    soon said "$1"
}

no_unit() { # NAME: systemd has nothing to remember of it
    systemctl --user reset-failed "$1" 2>/dev/null || :
}

# The one way that needs nothing: the supervisor is the service's main process.
test_in_the_foreground() {
    loaded
    service front -p Delegate=yes berth run --name front -m 64m busybox sh -c "$polite"
    up front
    state front running
    same active "$(systemctl --user is-active front)"
    same 67108864 "$(berth exec front cat /sys/fs/cgroup/memory.max)"
    # berth has divided the service's group; systemd counts what is below.
    within "$(systemctl --user status front)" berth-sup
    systemctl --user stop front
    state front exited
    same 3 "$(field front State.ExitCode)"
    within "$(berth logs front)" bye
    no_unit front
    berth rm front
}

# Its exit code is the service's.
test_fails_as_its_container_does() {
    loaded
    service failing -p Delegate=yes -p Type=exec berth run --rm busybox sh -c 'exit 7'
    failed() { [ "$(systemctl --user is-active failing)" = failed ]; }
    soon failed
    same ExecMainStatus=7 "$(systemctl --user show -p ExecMainStatus failing)"
    no_unit failing
}

# systemd starts it again, whatever ended it.
test_started_again_by_systemd() {
    loaded
    berth create --name anew busybox sh -c 'echo up; exec sleep 1000'
    service anew -p Restart=always -p RestartSec=0 berth start -a anew
    up anew
    first=$(field anew State.Pid)
    berth kill anew
    other() {
        now=$(field anew State.Pid)
        [ "$now" -ne 0 ] && [ "$now" -ne "$first" ]
    }
    soon other
    systemctl --user stop anew
    state anew exited
    same 137 "$(field anew State.ExitCode)"
    no_unit anew
    berth rm anew
}

# The service is its container, which systemd ends in good time though it does not listen.
test_detached_in_a_forking_service() {
    loaded
    service forked -p Delegate=yes -p Type=forking \
        berth run -d --name forked --stop-timeout 2 -m 64m busybox sh -c 'trap "" TERM; echo up; sleep 1000'
    up forked
    same active "$(systemctl --user is-active forked)"
    same 67108864 "$(berth exec forked cat /sys/fs/cgroup/memory.max)"
    systemctl --user stop forked
    state forked exited
    same 137 "$(field forked State.ExitCode)"
    no_unit forked
    berth rm forked
}

# What a service leaves behind ends with it, and not by being lost.
test_detached_ends_with_its_service() {
    loaded
    systemd-run --user --quiet --wait --unit brief \
        berth run -d --name brief --restart always --stop-timeout 1 busybox sleep 1000
    ended() { [ "$(field brief State.Status)" = exited ]; }
    soon ended
    same 137 "$(field brief State.ExitCode)"
    no_unit brief
    berth rm brief
}

# A scope lasts as long as its container, and each life has its limits.
test_always_restarted() {
    loaded
    delegated berth run -d --name phoenix --restart always -m 64m busybox \
        sh -c 'cat /sys/fs/cgroup/memory.max; sleep 0.2; exit 1'
    lives() { [ "$(berth logs phoenix | wc -l)" -ge 3 ]; }
    soon lives
    same 67108864 "$(berth logs phoenix | sort -u)"
    berth stop phoenix
    state phoenix exited
    berth rm phoenix
}

test_two_share_a_scope() {
    loaded
    delegated sh -c '
        berth run -d --name one -m 32m busybox sleep 1000
        berth run -d --name two -m 64m busybox sleep 1000' >/dev/null
    same 33554432 "$(berth exec one cat /sys/fs/cgroup/memory.max)"
    same 67108864 "$(berth exec two cat /sys/fs/cgroup/memory.max)"
    berth rm -f one
    same 67108864 "$(berth exec two cat /sys/fs/cgroup/memory.max)"
    berth rm -f two
}
