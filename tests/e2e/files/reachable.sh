#!/bin/sh
# `reachable.sh USERS CLOSED NEEDED COMMAND…`: run a command in a mount namespace of its own, in which everybody may
# go to the NEEDED directories though they lie in the CLOSED ones (one a line), and /etc/passwd is the file USERS.
# On the machine itself nothing changes.
set -eu
users=$1 closed=$2 needed=$3
shift 3
umask 022
IFS='
'
mount -t tmpfs -o mode=755 tmpfs /mnt
number=0
for place in $needed; do
    mkdir "/mnt/$number"
    mount --bind "$place" "/mnt/$number"
    number=$((number + 1))
done
for place in $closed; do
    mount -t tmpfs -o mode=755 tmpfs "$place"
done
number=0
for place in $needed; do
    mkdir -p "$place"
    mount --bind "/mnt/$number" "$place"
    number=$((number + 1))
done
umount --recursive /mnt
mount --bind "$users" /etc/passwd
exec "$@"
