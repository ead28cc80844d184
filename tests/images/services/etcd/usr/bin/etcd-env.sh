#!/bin/sh
# Reads the host's configuration, then becomes etcd.
set -a
. /etc/etcd/etcd.conf
exec etcd
