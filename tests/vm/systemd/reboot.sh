# The power is cut behind test_*, and nothing afterwards believes what was true before; behind after_cut_* the host is shut
# down, which ends containers as they are to be ended.

test_runs_before_the_cut() {
    loaded
    berth run -d --name cut busybox sh -c 'echo before; exec sleep 100000'
    within "$(berth ps)" cut
    sync
}

# Just started, so that part of it may not be on the disk.
test_runs_without_sync() {
    berth run -d --name unsynced busybox sleep 100000
}

after_cut_all_have_exited() {
    same '' "$(berth ps -q)"
    within "$(berth ps -a)" Exited
    within "$(berth ps -a)" cut
}

# The pids of before belong to others now.
after_cut_no_old_pid_is_believed() {
    status 1 berth kill cut
    status 125 berth exec cut true
    same exited "$(field cut State.Status)"
    same 0 "$(field cut State.Pid)"
}

after_cut_logs_are_kept() {
    same before "$(berth logs cut)"
}

after_cut_starts_again() {
    berth start cut
    within "$(berth ps)" cut
    berth stop -t 1 cut
    same 137 "$(berth wait cut)"
}

after_cut_rm_clears() {
    for id in $(berth ps -aq); do
        berth rm "$id"
    done
    same '' "$(berth ps -aq)"
    same '' "$(ls ~/.local/share/berth/containers)"
}

after_cut_store_is_whole() {
    berth repo fsck
    same hello "$(berth run --rm busybox echo hello)"
}

after_cut_runs_until_shutdown() {
    berth run -d --name asked --restart always busybox \
        sh -c 'trap "echo bye; exit 3" TERM; echo up; while :; do sleep 0.1; done'
    # It does not listen, and must neither keep the host waiting nor be lost.
    berth run -d --name deaf --stop-timeout 2 busybox sleep 100000
    delegated berth run -d --name scoped -m 64m busybox sleep 100000
    up() { [ "$(berth logs asked)" = up ]; }
    soon up
}

after_shutdown_ends_are_known() {
    same '' "$(berth ps -q)"
    state asked exited
    same 3 "$(field asked State.ExitCode)"
    within "$(berth logs asked)" bye
    same 137 "$(field deaf State.ExitCode)"
    same 137 "$(field scoped State.ExitCode)"
}

after_shutdown_starts_again() {
    berth start deaf
    state deaf running
    berth rm -f asked deaf scoped
    same '' "$(berth ps -aq)"
}
