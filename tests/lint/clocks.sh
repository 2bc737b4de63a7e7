#!/bin/sh
# No rule reads a wall clock. The core has no clock at all (layers.sh); of the daemon only what is shown to
# people may ask what time it is, and leases go by the clock that counts a suspended host's sleep.
set -eu
. "$(dirname -- "$0")/common.sh"

# Where the wall clock may be read: the time beside a line of the log, in stderr and in `show log`; and the
# count of starts that SNMPv3 managers compare (engine.c), which decides nothing here. syscalls.h only lists names.
people='src/daemon/((log|engine)\.c|syscalls\.h)'

fault=0
wall='CLOCK_REALTIME|gettimeofday|[^a-z_]time\((NULL|0|&)|timespec_get|ftime\('
if c_files src/base src/core src/daemon src/lib | xargs grep -nE "$wall" | grep -vE "^$people:"; then
	echo 'clocks: the wall clock is read where it could decide something'
	fault=1
fi
now=$(sed -n '/^ipsp_ms ipspd_now(/,/^}/p' src/daemon/ctx.c)
case $now in
*CLOCK_BOOTTIME*) ;;
*)
	echo 'clocks: ipspd_now() in src/daemon/ctx.c is not CLOCK_BOOTTIME'
	fault=1
	;;
esac
[ "$fault" -eq 0 ] && echo 'clocks: nothing but what people read knows the time of day'
exit "$fault"
