#!/bin/sh
# The first process of the emulated machine. `cargo xtask kernels` reads the lines that begin with `@`.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t devtmpfs dev /dev
exec </dev/console >/dev/console 2>&1
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mount -t cgroup2 cgroup /sys/fs/cgroup
# Messages of the kernel would run into the lines that are read.
echo 1 >/proc/sys/kernel/printk
ip link set lo up
. /job
poweroff -f
