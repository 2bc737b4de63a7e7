#!/bin/sh
# A whole upgrade to watch, in about a minute: two real daemons on two loopback addresses of this
# host, two gateways, a real snmptrapd.
#
#   sh docs/quickstart.sh                 as root it installs the Debian packages that are missing
#   BUILD=FOLDER sh docs/quickstart.sh    builds there; default: build/quickstart in the tree
#   QUICKSTART_PAUSE=0 sh docs/quickstart.sh    doesn't wait for a reader
#
# Everything lives in a temporary folder and ends with the script. Exit status: 0 when every step went
# as it says.
set -eu

top=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
build=${BUILD:-$top/build/quickstart}
sessions=8

# ---------------------------------------------------------------- telling and waiting

if [ -t 1 ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); else bold='' plain=''; fi

title() {
	printf '\n%s== %s%s\n' "$bold" "$1" "$plain"
}

say() {
	printf '   %s\n' "$@"
}

fail() {
	printf '\nquickstart: %s\n' "$1" >&2
	for log in "$lab"/*.log; do
		[ -s "$log" ] && printf -- '--- the end of %s\n' "${log##*/}" >&2 && tail -n 8 "$log" >&2
	done
	exit 1
}

# wait_for WHAT COMMAND...: until the command succeeds, 30 seconds at most
wait_for() {
	what=$1
	shift
	tries=0
	until "$@" >/dev/null 2>&1; do
		tries=$((tries + 1))
		[ "$tries" -le 150 ] || fail "waited 30 seconds in vain for $what"
		sleep 0.2
	done
}

# A moment to read.
breathe() {
	sleep "${QUICKSTART_PAUSE:-2}"
}

# ---------------------------------------------------------------- what runs, and its end

lab=$(mktemp -d "${TMPDIR:-/tmp}/ipspd-quickstart.XXXXXX")
pids=
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

clean_up() { # ends with the status that the script was about to end with
	status=$?
	trap '' HUP INT TERM
	exec 8>&- 9>&- || true # the gateways' ears
	for pid in $pids; do
		kill "$pid" 2>/dev/null || true
	done
	for pid in $pids; do
		wait "$pid" 2>/dev/null || true
	done
	rm -rf "$lab"
	exit "$status"
}

ctl() { # host, words
	host=$1
	shift
	"$build/src/ipspctl" -s "$lab/$host/control" "$@"
}

show() { # the tables of both
	for host in ha1 ha2; do
		printf '\n%s$ ipspctl show ip ipsp      # on %s%s\n' "$bold" "$host" "$plain"
		ctl "$host" show ip ipsp || fail "$host does not answer"
	done
	breathe
}

start_daemon() { # host
	"$build/src/ipspd" -f -c "$lab/$1/ipspd.conf" >>"$lab/$1.log" 2>&1 &
	eval "$1_pid=$!"
	pids="$pids $!"
	wait_for "$1 to answer" ctl "$1" show ip ipsp
}

stop_daemon() { # host; its exit status
	eval "pid=\$$1_pid"
	# shellcheck disable=SC2086 # a list of numbers
	pids=$(printf '%s ' $pids | sed "s/\b$pid //")
	kill "$pid"
	wait "$pid"
}

is() { # host, member, value: as show ip ipsp --json says
	ctl "$1" --json show ip ipsp | grep -q "\"$2\": *\"\{0,1\}$3[\",}]"
}

# A gateway (an HA) in one line: it ends each session that it is asked to release, and says so.
# Requests are written to the pipe by this script, answers and events are appended to its journal.
start_gateway() { # host
	mkfifo "$lab/$1.in"
	: >"$lab/$1.journal"
	(
		# shellcheck disable=SC2094 # a pipe, read and written by design
		"$build/src/ipspctl" -s "$lab/$1/control" agent --name "$1" <"$lab/$1.in" |
			tee -a "$lab/$1.journal" |
			sed -un '/"event": *"release"/s/.*"address": *"\([^"]*\)".*/{"op":"released","address":"\1"}/p' \
				>"$lab/$1.in"
	) 2>>"$lab/$1.log" &
	pids="$pids $!"
}

addresses() { # host: of its sessions, a line each
	ctl "$1" --json show sessions | grep -o '"address": *"[^"]*"' | sort
}

answered() { # host, how many requests have been granted
	[ "$(grep -c '"ok": *true' "$lab/$1.journal")" -ge "$2" ]
}

refused() { # host: prints what was refused, if anything was
	grep '"ok": *false' "$lab/$1.journal"
}

write_config() { # host, interface address, "" or the peer's role and address
	{
		cat <<CONF
control = { socket = "$lab/$1/control"; };
state-directory = "$lab/$1/state";
snmp = { sinks = ( { host = "127.0.0.1"; port = $trap_port; version = "2c"; community = "public";
                     inform = true; } ); };
contexts = (
  { name = "isp1";
    pools = ( { name = "pool-a"; network = "10.1.0.0/24"; type = "public"; } );
CONF
		[ -z "$3" ] || cat <<CONF
    interfaces = (
      { name = "ipsp-lan"; address = "$2/8";
        pool-share-protocol = { $3; port = $port; key-file = "$lab/pair.key";
                                dead-interval = 25; hello-interval-ms = 200; }; } );
CONF
		printf '  } );\n'
	} >"$lab/$1/ipspd.conf"
}

# ---------------------------------------------------------------- building

title 'Installing what is missing, and building'
sh "$top/docs/packages.sh" demo
mkdir -p "$build"
{
	cmake -S "$top" -B "$build" &&
		cmake --build "$build" -j "$(getconf _NPROCESSORS_ONLN)"
} >"$lab/build.log" 2>&1 </dev/null || fail 'the build failed'
say "built in $build: $("$build/src/ipspd" -V)"

# ---------------------------------------------------------------- the laboratory

PATH=$PATH:/usr/sbin:/sbin
# Ports that a second quickstart on this host doesn't use.
port=$((20000 + $$ % 10000))
trap_port=$((port + 10000))
mkdir -p "$lab/ha1/state" "$lab/ha2/state" "$lab/snmp"
(umask 077 && od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n' >"$lab/pair.key")

echo 'disableAuthorization yes' >"$lab/snmptrapd.conf"
SNMP_PERSISTENT_DIR=$lab/snmp snmptrapd -f -n -C -c "$lab/snmptrapd.conf" \
	-M "$top/mibs:$top/mibs/stand-in" -m SNMPv2-MIB:IPSPD-MIB:IPSPD-STARENT-MIB -Lf "$lab/traps" -F '%v\n' \
	"udp:127.0.0.1:$trap_port" >"$lab/snmptrapd.log" 2>&1 &
pids="$pids $!"
wait_for 'snmptrapd' grep -q 'NET-SNMP version' "$lab/traps"

title "1. ha1 serves $sessions sessions; IPSP is not enabled"
say 'ha1 is a home agent that is to get new software. It has sessions, each with an address of pool-a.'
write_config ha1 127.0.0.1 ''
start_daemon ha1
start_gateway ha1
exec 9>"$lab/ha1.in"
for n in $(seq "$sessions"); do
	printf '{"id":%d,"op":"request","subscriber":"user%d@isp","session":"ha1-%d"}\n' "$n" "$n" "$n" >&9
done
wait_for "ha1's sessions" answered ha1 "$sessions"
printf '\n%s$ ipspctl show sessions      # on ha1%s\n' "$bold" "$plain"
ctl ha1 show sessions
addresses ha1 >"$lab/before"
[ "$(wc -l <"$lab/before")" -eq "$sessions" ] || fail 'ha1 does not list its sessions'
breathe

title '2. IPSP is enabled: on the secondary first, then on the primary'
say 'ha2 keeps its pools locked until ha1 has made the first assignment. ha1 goes on serving all along.'
write_config ha2 127.0.0.2 'primary = "127.0.0.1"'
start_daemon ha2
if ctl ha2 request early@isp 2>"$lab/early"; then
	fail 'ha2 gave an address without its primary'
fi
say "ha2, asked too early: $(cat "$lab/early")"
write_config ha1 127.0.0.1 'secondary = "127.0.0.2"'
ctl ha1 reload || fail 'ha1 does not take the new configuration'
wait_for 'ha1 to share' is ha1 state active
wait_for 'ha2 to be unlocked' is ha2 serving true
show

title '3. New sessions go to ha2'
say 'From here on the AAA server sends subscribers to ha2. Its addresses come from ha1, which busies them out.'
start_gateway ha2
exec 8>"$lab/ha2.in"
for n in 101 102 103; do
	printf '{"id":%d,"op":"request","subscriber":"user%d@isp","session":"ha2-%d"}\n' "$n" "$n" "$n" >&8
done
wait_for 'the new sessions on ha2' answered ha2 3
grep '"ok": *true' "$lab/ha2.journal" | sed 's/^/   /'
breathe

title "4. ha1's sessions move to ha2, each with its address"
say 'A node registers at ha2 with the address that it has. ha2 asks ha1, ha1 has its gateway end the session,'
say 'and only then hands the address over.'
half=$((sessions / 2))
move() { # from, to
	for n in $(seq "$1" "$2"); do
		address=$(grep "\"id\": *${n}[,}]" "$lab/ha1.journal" | sed 's/.*"address": *"\([^"]*\)".*/\1/')
		[ -n "$address" ] || fail "ha1 has no session $n"
		printf '{"id":%d,"op":"request","subscriber":"user%d@isp","session":"ha2-%d","address":"%s"}\n' \
			"$n" "$n" "$n" "$address" >&8
	done
	wait_for "the sessions $1 to $2 on ha2" answered ha2 $(($2 + 3))
}
move 1 "$half"
say 'what the gateway of ha1 was told:'
grep '"event": *"release"' "$lab/ha1.journal" | sed 's/^/   /'
say '' 'half-way:'
show
move $((half + 1)) "$sessions"

title '5. The last one has gone: the trap, and the roles are exchanged'
wait_for 'the trap' grep -q starIPSPAllAddrsFree "$lab/traps"
wait_for 'ha2 to be primary' is ha2 role primary
wait_for 'ha1 to be free' is ha1 all-free true
say 'as snmptrapd printed it:'
grep starIPSPAllAddrsFree "$lab/traps" | tr '\t' '\n' | sed 's/^/   /'
[ "$(grep -c starIPSPAllAddrsFree "$lab/traps")" -eq 1 ] || fail 'the trap came more than once'
addresses ha2 >"$lab/after"
[ -z "$(comm -23 "$lab/before" "$lab/after")" ] || fail 'an address did not arrive on ha2'
[ -z "$(addresses ha1)" ] || fail 'a session is still on ha1'
say '' "ha2 has the $sessions addresses that ha1 had, and ha1 none of them."
show

title '6. ha1 is stopped and gets its new software; ha2 serves all by itself'
exec 9>&-
stop_daemon ha1 || fail "ha1 ended with $?"
address=$(ctl ha2 request meanwhile@isp) || fail 'ha2 does not serve'
say "ha2, meanwhile: $address"
start_daemon ha1
wait_for 'both to share again' is ha1 state active
wait_for 'ha2 to hear ha1' is ha2 state active
wait_for 'ha1 to serve' is ha1 serving true
address=$(ctl ha1 request back-again@isp) || fail 'ha1 does not serve'
say "ha1 is back, as secondary, and serves: $address"
show
if refused ha2; then
	fail 'a gateway was refused something'
fi

title 'Done'
say "$sessions sessions moved with their addresses, and new ones were served all the while."
say 'The way back is the same with the roles exchanged. README.md goes on from here.'
