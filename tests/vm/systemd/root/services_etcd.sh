# etcd, with its configuration and its command on the host and its state outside.

urls="--set ETCD_LISTEN_CLIENT_URLS=http://127.0.0.1:8131 --set ETCD_ADVERTISE_CLIENT_URLS=http://127.0.0.1:8131"
peer='--set ETCD_LISTEN_PEER_URLS=http://127.0.0.1:8132'

healthy() {
    [ "$(curl -s --max-time 20 http://127.0.0.1:8131/health)" = '{"health":"true"}' ]
}

control() { # WORD…: through the command that the image brought
    etcdctl --endpoints http://127.0.0.1:8131 "$@"
}

environment() {
    tr '\0' '\n' <"/proc/$(first_process etcd)/environ"
}

test_etcd() {
    mkdir -p /var/tmp/extra
    echo outside >/var/tmp/extra/file
    extra=',{"destination":"/tmp","type":"bind","source":"/var/tmp/extra","options":["rbind","ro"]}'
    # shellcheck disable=SC2086 # many words
    berth install --system --name etcd $urls $peer --set ADDTL_MOUNTS="$extra" "$registry/etcd:v1" >said 2>&1
    within "$(cat said)" /usr/local/bin/etcdctl
    within "$(cat said)" /etc/etcd/etcd.conf
    same 755 "$(stat -c %a /usr/local/bin/etcdctl)"
    same 700 "$(stat -c %a /var/lib/etcd/etcd.etcd)"
    berth start etcd
    soon healthy
    control put berth moored
    same moored "$(control get --print-value-only berth)"
    same outside "$(berth run-in etcd cat /tmp/file)"
    same 1024 "$(berth run-in etcd sh -c 'ulimit -n')"
    # The host has the last word, and its words outlive an update.
    echo ETCD_HEARTBEAT_INTERVAL=150 >>/etc/etcd/etcd.conf
    berth update --set ETCD_MAX_REQUEST_BYTES=1000000 etcd
    soon healthy
    same moored "$(control get --print-value-only berth)"
    within "$(cat /etc/etcd/etcd.conf)" ETCD_HEARTBEAT_INTERVAL=150
    within "$(environment)" ETCD_MAX_REQUEST_BYTES=1000000
    within "$(environment)" ETCD_HEARTBEAT_INTERVAL=150
    berth rollback etcd
    soon healthy
    within "$(environment)" ETCD_MAX_REQUEST_BYTES=1572864
    same moored "$(control get --print-value-only berth)"
    berth uninstall etcd >said 2>&1
    within "$(cat said)" 'Will not delete /etc/etcd/etcd.conf as it was manually modified.'
    [ ! -e /usr/local/bin/etcdctl ] || wrong 'etcdctl is left'
    [ -e /var/lib/etcd/etcd.etcd/default.etcd/member ] || wrong 'the state is gone'
    rm -r /var/lib/etcd /etc/etcd /var/tmp/extra
}
