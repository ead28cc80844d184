# Images and containers, from beginning to end.

test_load() {
    same 'Loaded image: busybox' "$(berth load -q -i /handed-in/busybox)"
    within "$(berth images)" busybox
}

test_run() {
    same hello "$(berth run --rm busybox echo hello)"
    same "$(printf 'in\nput')" "$(printf 'in\nput' | berth run --rm -i busybox cat)"
    same '' "$(berth ps -aq)"
}

test_exit_codes() {
    status 0 berth run --rm busybox true
    status 7 berth run --rm busybox sh -c 'exit 7'
    status 127 berth run --rm busybox /nowhere
    status 126 berth run --rm busybox /etc/passwd
    status 125 berth run --rm --name '?' busybox true
}

test_single_id() {
    same '         0       1000          1' "$(berth run --rm --ids single busybox cat /proc/self/uid_map)"
}

test_range_of_ids() {
    map=$(berth run --rm --ids range busybox cat /proc/self/uid_map)
    within "$map" '         1     100000      65536'
    same 65534 "$(berth run --rm --ids range -u nobody busybox id -u)"
    berth run --rm --ids range busybox sh -c 'touch /tmp/a && chown 33:44 /tmp/a && stat -c %u:%g /tmp/a' >out
    same 33:44 "$(cat out)"
}

test_volumes() {
    mkdir -p shared
    echo outside >shared/file
    berth run --rm -v "$PWD/shared:/data" -v kept:/kept busybox sh -c 'cp /data/file /kept; echo inside >/data/file'
    same inside "$(cat shared/file)"
    same outside "$(berth run --rm -v kept:/kept:ro busybox cat /kept/file)"
    status 1 berth run --rm -v "$PWD/shared:/data:ro" busybox touch /data/other
    rm -r shared
}

test_detached() {
    id=$(berth run -d --name sleeper busybox sh -c 'echo started; echo aloud >&2; exec sleep 1000')
    same 64 ${#id}
    within "$(berth ps)" sleeper
    same running "$(field sleeper State.Status)"
    same 3 "$(berth exec sleeper sh -c 'exit 3' || echo $?)"
    same sleep "$(berth exec sleeper cat /proc/1/comm)"
    same started "$(berth logs sleeper 2>/dev/null)"
    same aloud "$(berth logs sleeper 2>&1 >/dev/null)"
    berth stop -t 1 sleeper
    same 137 "$(berth wait sleeper)"
    same '' "$(berth ps -q)"
    same "$id" "$(berth ps -aq --no-trunc)"
    berth rm sleeper
    same '' "$(berth ps -aq)"
}

# The end of a login session kills no container, where the user lingers.
test_outlives_its_session() {
    systemd-run --user --wait --quiet --pipe "$(command -v berth)" run -d --name left busybox sleep 1000
    state left running || wrong "$(field left State.Status)"
    berth rm -f left
}

test_terminal() {
    same yes "$(script -qec 'berth run --rm -t busybox sh -c "test -t 0 && echo yes"' /dev/null | tr -d '\r')"
}

# An image of another distribution's size, with files of other owners and a server.
test_redis() {
    within "$(berth load -q -i /handed-in/redis.tar)" 'Loaded image: docker.io/library/redis:7'
    berth run -d --name redis --network none redis
    soon berth exec redis redis-cli ping
    same PONG "$(berth exec redis redis-cli ping)"
    berth stop redis
    same 0 "$(field redis State.ExitCode)"
    berth rm redis
}

test_store_is_whole() {
    berth repo fsck
    berth verify busybox
}

test_nothing_is_left() {
    same '' "$(pgrep -u tester -l berth)"
    same '' "$(grep berth /proc/self/mountinfo)"
    same '0:0 666' "$(stat -c '%u:%g %a' /dev/null)"
}
