#!/bin/sh
# The guest's page: who it is, where it is, how long it runs.
export PATH=/bin
printf 'Content-Type: text/plain\r\n\r\n'
echo "Hello from $(hostname)"
echo "uuid: $(awk -F '\t' '$1 == "uuid" { print $2 }' /run/meta)"
cat /run/address.* 2> /dev/null | sed 's/^/address: /'
echo "uptime: $(cut -d ' ' -f 1 /proc/uptime) s"
