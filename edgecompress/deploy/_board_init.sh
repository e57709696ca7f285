#!/bin/busybox sh
# The first process of the virtual board: a network with one neighbour, a home folder in RAM, and an SSH server.
/bin/busybox --install -s /bin
export PATH=/bin:/usr/sbin

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t tmpfs -o mode=755,size=90% home /home

while read -r module; do
    insmod "/lib/modules/$module"
done </etc/modules

hostname virtual-board
ifconfig lo 127.0.0.1 up
ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
mkdir /home/pi
chown 1000:1000 /home/pi

/usr/sbin/sshd -D -e &
until grep -q ':0016 00000000:0000 0A' /proc/net/tcp; do
    usleep 20000
done
# deploy/_board_machine waits for this line.
echo "the virtual board is ready"
wait
poweroff -f
