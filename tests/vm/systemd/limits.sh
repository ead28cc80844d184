# Limits where the user's service manager delegates the controllers, and the word where it does not.

# A program of 100 MiB; dd fills its buffer.
hog='exec dd if=/dev/zero of=/dev/null bs=100M count=1'

test_memory() {
    loaded
    status 0 delegated berth run --rm -m 200m busybox sh -c "$hog"
    status 137 delegated berth run --name hog -m 64m busybox sh -c "$hog"
    same true "$(field hog State.OOMKilled)"
    same 137 "$(field hog State.ExitCode)"
    berth rm hog
}

test_pids() {
    loaded
    # six more than the shell itself
    many='for i in 1 2 3 4 5 6; do sleep 2 & done; wait; echo all'
    within "$(delegated berth run --rm --pids-limit 20 busybox sh -c "$many" 2>&1)" all
    within "$(delegated berth run --rm --pids-limit 4 busybox sh -c "$many" 2>&1 || :)" "can't fork"
}

test_cpus() {
    loaded
    same '50000 100000' "$(delegated berth run --rm --cpus 0.5 busybox cat /sys/fs/cgroup/cpu.max)"
}

test_pause() {
    loaded
    delegated berth run -d --name counter busybox sh -c 'while :; do echo x; sleep 0.1; done'
    berth pause counter
    state counter paused
    before=$(berth logs counter | wc -l)
    sleep 2
    same "$before" "$(berth logs counter | wc -l)"
    berth unpause counter
    state counter running
    more() { [ "$(berth logs counter | wc -l)" -gt "$before" ]; }
    soon more
    berth rm -f counter
}

# Nothing is left of a container in the tree of cgroups.
test_cgroups_go() {
    loaded
    tree=/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service
    before=$(find "$tree" -type d | wc -l)
    delegated berth run --rm -m 64m busybox true
    gone() { [ "$(find "$tree" -type d | wc -l)" -le "$before" ]; }
    soon gone
}

# A login session's cgroup is root's.
test_not_delegated() {
    loaded
    berth run --rm -m 64m busybox echo ran >out 2>err
    same ran "$(cat out)"
    within "$(cat err)" 'warning: memory limit not applied'
}
