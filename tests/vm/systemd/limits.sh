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

# A fifth of a processor, of which it wants all.
test_cpus_really_limit() {
    loaded
    busy='i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done; grep nr_throttled /sys/fs/cgroup/cpu.stat'
    throttled=$(delegated berth run --rm --cpus 0.2 busybox sh -c "$busy")
    [ "${throttled#nr_throttled }" -gt 0 ] || wrong "$throttled"
    same 'nr_throttled 0' "$(delegated berth run --rm busybox sh -c "$busy")"
}

# What enters a container is under its limits, and its end is not the container's.
test_exec_is_limited() {
    loaded
    delegated berth run -d --name narrow -m 64m --pids-limit 5 busybox sleep 1000
    group=$(sed 's/^0:://' "/proc/$(field narrow State.Pid)/cgroup")
    within "$group" "/berth-$(field narrow Id)"
    scoped berth exec narrow sleep 500 &
    entered() { [ "$(wc -l <"/sys/fs/cgroup$group/cgroup.procs")" -eq 2 ]; }
    soon entered
    status 137 scoped berth exec narrow sh -c "$hog"
    state narrow running
    many='for i in 1 2 3 4 5 6; do sleep 2 & done; wait'
    within "$(scoped berth exec narrow sh -c "$many" 2>&1 || :)" "can't fork"
    # It can see its limits and not change them.
    same 67108864 "$(scoped berth exec narrow cat /sys/fs/cgroup/memory.max)"
    status 1 scoped berth exec narrow sh -c 'echo max >/sys/fs/cgroup/memory.max'
    berth rm -f narrow
}

# Nothing of a login session may leave it for a group of the user's; then that is said.
test_exec_from_a_login_session() {
    loaded
    delegated berth run -d --name narrow -m 64m busybox sleep 1000
    berth exec narrow echo ran >out 2>err
    same ran "$(cat out)"
    within "$(cat err)" 'warning: limits not applied: this process may not move the command'
    berth rm -f narrow
    berth run -d --name wide busybox sleep 1000
    berth exec wide true 2>err
    same '' "$(cat err)"
    berth rm -f wide
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

# A paused container fails no check: each would end with "it is paused".
test_pause_and_health() {
    loaded
    delegated berth run -d --name ill --health-cmd 'exit 1' --health-interval 1s --health-retries 1000 busybox sleep 1000
    streak() { berth inspect -f '{{.State.Health.FailingStreak}}' ill; }
    failed() { [ "$(streak)" -ge 1 ]; }
    soon failed
    berth pause ill
    # one may have begun before
    sleep 2
    before=$(streak)
    sleep 5
    same "$before" "$(streak)"
    berth unpause ill
    more() { [ "$(streak)" -gt "$before" ]; }
    soon more
    berth rm -f ill
}

# What the group of a container counts, for the whole of it.
test_stats() {
    loaded
    greedy='x=$(head -c 33554432 /dev/zero | tr "\0" x); sleep 1000 & sleep 1000 & echo ready; wait; echo "$x"'
    delegated berth run -d --name greedy -m 96m busybox sh -c "$greedy"
    ready() { [ "$(berth logs greedy)" = ready ]; }
    soon ready
    used=$(berth exec greedy awk '/^usage_usec/ { print $2 }' /sys/fs/cgroup/cpu.stat)
    told=$(berth stats --no-stream --format '{{.PIDS}} {{.MemLimit}} {{.CPUNano}} {{.MemPerc}}' greedy)
    echo "$told" | {
        read -r pids limit cpu percent
        same '3 100663296' "$pids $limit"
        [ "$cpu" -ge "${used}000" ] && [ "$cpu" -lt "$((used * 2000 + 5000000000))" ] || same "$used us" "$cpu ns"
        percent=${percent%.*}
        [ "$percent" -ge 33 ] && [ "$percent" -lt 80 ] || same 33-80 "$percent"
    }
    berth pause greedy
    same 3 "$(berth stats --no-stream --format '{{.PIDS}}' greedy)"
    berth unpause greedy
    berth rm -f greedy
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
    berth run -d --name unpaused busybox sleep 1000
    status 1 berth pause unpaused
    berth rm -f unpaused
}

# The user's service manager has cpu, memory and pids, as Debian sets it up.
test_not_all_is_delegated() {
    loaded
    delegated berth run --rm -m 64m --cpuset-cpus 0 busybox cat /sys/fs/cgroup/memory.max >out 2>err
    same 67108864 "$(cat out)"
    within "$(cat err)" 'warning: choice of processors not applied: the controller cpuset is not delegated'
}

# The manager takes the controllers out of scopes that it did not give away when it sets up others.
test_limits_stay() {
    loaded
    delegated berth run -d --name given -m 64m --cpus 0.5 busybox sleep 1000
    scoped berth run -d --name taken -m 64m busybox sleep 1000
    systemctl --user daemon-reload
    scoped -p CPUAccounting=yes -p MemoryHigh=500M true
    for name in given taken; do
        same 67108864 "$(scoped berth exec "$name" cat /sys/fs/cgroup/memory.max)"
    done
    same '50000 100000' "$(scoped berth exec given cat /sys/fs/cgroup/cpu.max)"
    berth rm -f given taken
}
