# The power is cut behind these tests; nothing afterwards believes what was true before.

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
    status 1 berth exec cut true
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
