#!/bin/sh
# PID 1 of a stand-in for a Zimbra host: `start.sh DIR`, in mount, host name and process namespaces of its own.
# When it is killed, the kernel ends every daemon below it.
set -eu
dir=$1
hostname mbox1.example.com
mount --make-rprivate /

# A /dev of its own, so that /dev/log is this host's alone.
mkdir "$dir/dev"
mount -t tmpfs -o mode=755 tmpfs "$dir/dev"
for node in null zero full random urandom tty; do
    touch "$dir/dev/$node"
    mount --bind "/dev/$node" "$dir/dev/$node"
done
mkdir "$dir/dev/shm"
ln -s /proc/self/fd "$dir/dev/fd"
mount --rbind "$dir/dev" /dev

# Zimbra's log directory, where the snippet looks for it.
mount -t tmpfs -o mode=755 tmpfs /opt
mkdir -p /opt/zimbra/log
mount --bind "$dir/log" /opt/zimbra/log
echo "127.0.0.1 localhost mbox1.example.com mbox1" >"$dir/hosts"
mount --bind "$dir/hosts" /etc/hosts
mount --bind "$dir/sasldb2" /etc/sasldb2

rsyslogd -n -f "$dir/rsyslog.conf" -i "$dir/rsyslogd.pid" &
until [ -S /dev/log ]; do sleep 0.02; done
saslauthd -a sasldb -m "$dir/saslauthd" -n 2
postfix -c "$dir/postfix" start
touch "$dir/started"
wait
