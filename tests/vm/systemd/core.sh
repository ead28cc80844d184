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
    id=$(berth run -d --name sleeper busybox sleep 1000)
    same 64 ${#id}
    within "$(berth ps)" sleeper
    same sleeper "$(berth stop -t 1 sleeper)"
    same 137 "$(berth wait sleeper)"
    same '' "$(berth ps -q)"
    same "$id" "$(berth ps -aq --no-trunc)"
    same sleeper "$(berth rm sleeper)"
    same '' "$(berth ps -aq)"
}

test_restarted() {
    berth run -d --name again busybox sh -c 'trap "exit 3" TERM; echo x >>/starts; while :; do sleep 0.1; done'
    berth stop again
    same 3 "$(berth wait again)"
    berth start again
    berth kill -s TERM again
    same 3 "$(berth wait again)"
    berth rm again
}

test_exec() {
    berth run -d --name entered busybox sleep 1000
    status 3 berth exec entered sh -c 'exit 3'
    same sleep "$(berth exec entered cat /proc/1/comm)"
    same "$(printf 'in\nput')" "$(printf 'in\nput' | berth exec -i entered cat)"
    same 'Seccomp:	2' "$(berth exec entered grep Seccomp: /proc/self/status)"
    berth rm -f entered
    status 125 berth exec entered true
}

test_logs() {
    berth run --name loud busybox sh -c 'echo out; echo err >&2'
    same out "$(berth logs loud 2>/dev/null)"
    same err "$(berth logs loud 2>&1 >/dev/null)"
    berth rm loud
}

test_inspect() {
    berth run -d --name seen busybox sleep 1000
    state seen running
    berth stop -t 0 seen
    state seen exited
    same 137 "$(field seen State.ExitCode)"
    berth rm seen
}

# Its terminal hangs up, and the container runs on.
test_outlives_its_terminal() {
    script -qec 'berth run -d --name left busybox sleep 1000' /dev/null
    within "$(berth ps)" left
    berth rm -f left
}

# Ports of a network of its own.
test_published_port() {
    berth run -d --name server --network pasta -p 127.0.0.1:8080:80 busybox \
        sh -c 'mkdir /www && echo served >/www/page && exec httpd -f -h /www'
    get='exec 3<>/dev/tcp/127.0.0.1/8080 && printf "GET /page HTTP/1.0\r\n\r\n" >&3 && cat <&3'
    served() { bash -c "$get" 2>/dev/null | grep -qx served; }
    soon served
    berth rm -f server
    status 1 bash -c "$get"
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
    same 0 "$(berth wait redis)"
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
