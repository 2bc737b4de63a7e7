#!/bin/sh
# Plants one bug at a time in a copy of the core and shows that the swarm finds it: a checker that has
# never failed proves nothing. Usage: planted.sh [--places] [SOURCE-TREE [SEEDS [MANY-SEEDS]]]
# --places only looks whether each bug still has its place in the core: that is quick.
set -u
places=
if [ "${1-}" = --places ]; then
	places=only
	shift
fi
tree=${1:-$(cd "$(dirname "$0")/../.." && pwd)}
seeds=${2:-2000}
many=${3:-10000} # for what is rare, and for the proof that nothing fails without a bug
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
missed=0

build() { # DIRECTORY
	# shellcheck disable=SC2046 # lists of options
	(cd "$1" && rm -f tests/sim/stories*.c &&
		cc -std=gnu11 -O1 -Isrc -Iinclude -Itests/sim src/base/*.c src/core/*.c tests/sim/*.c \
			-o sim $(pkg-config --cflags --libs libsodium cmocka))
}

# plant NAME FILE SED-SCRIPT [SEEDS [OPTION]]: the script has to change the file, the copy has to compile, the swarm
# (with that option) has to fail.
plant() {
	dir=$work/$1
	mkdir -p "$dir/tests"
	cp -r "$tree/src" "$tree/include" "$dir/"
	cp -r "$tree/tests/sim" "$dir/tests/"
	sed -i -e "$3" "$dir/src/core/$2"
	if cmp -s "$tree/src/core/$2" "$dir/src/core/$2"; then
		echo "$1: the place to plant it in $2 is not there any more"
		missed=$((missed + 1))
		return
	fi
	if [ "$places" ]; then
		rm -rf "$dir"
		return
	fi
	if ! build "$dir" 2>"$dir/errors"; then
		echo "$1: doesn't compile"
		cat "$dir/errors"
		missed=$((missed + 1))
		return
	fi
	# shellcheck disable=SC2086 # one option, or none
	if "$dir/sim" --swarm "${4:-$seeds}" --jobs 2 --any-hits ${5-} >"$dir/out" 2>&1; then
		echo "$1: NOT FOUND in ${4:-$seeds} seeds"
		missed=$((missed + 1))
	else
		echo "$1: found: $(grep -m 1 '^FAILED' "$dir/out")"
	fi
	rm -rf "$dir"
}

if [ -z "$places" ] && ! (mkdir -p "$work/none" && cp -r "$tree/src" "$tree/include" "$work/none/" &&
	mkdir "$work/none/tests" && cp -r "$tree/tests/sim" "$work/none/tests/" &&
	build "$work/none" && "$work/none/sim" --swarm "$many" --jobs 2 --any-hits >"$work/none/out" 2>&1); then
	echo "nothing planted, and it fails all the same:"
	grep '^FAILED' "$work/none/out"
	exit 1
fi

plant giver-forgets-to-take-away effect.c 's/ipsp_pool_set_own(pool, at.index, IPSP_OWN_TRANSIT);/(void)at;/'
plant taker-applies-twice sync.c 's/if (item.number <= n->side.applied) {/if (0) {/
	s/if (item.number != n->side.applied + 1) {/if (item.number > n->side.applied + 1) {/'
plant said-before-flushed sync.c 's/if (o->seq > n->flushed)/if (0)/
	s/ipsp_stream_nth(s, flying)->seq <= n->flushed/true/'
plant acknowledged-before-flushed sync.c 's/^\ts->waits\[s->n_waits++\] = .*/&\n\ts->ack_due = n->side.applied;\n\ts->ack_now = true;/'
plant lease-from-hearing lease.c 's/lease_end = at + h->dead_ms - h->dead_ms \/ 1000 - 1;/lease_end = n->now + h->dead_ms;/'
plant promise-while-healing lease.c 's/if (ipsp_heal_pending(n) || /if (/' "$many"
plant lease-not-looked-at lease.c 's/^\treturn n->lease.lease_end != 0 \&\& now < n->lease.lease_end;/\treturn true;/'
plant lost-state-not-noticed hello.c 's/bool i_behind = /bool i_behind = false \&\& /
	s/bool peer_behind = /bool peer_behind = false \&\& /'
plant late-answer-ends-another-session asked.c 's/\ta->gone = true;/;/'
plant both-primaries-give conflict.c 's/return n->conf_role_conflict \&\& n->side.primary/return false \&\& n->side.primary/'
plant old-epoch-obeyed hello.c 's/if (h->epoch < n->side.epoch) {/if (0) {/
	s/if (h->epoch > n->side.epoch) {/if (h->epoch != n->side.epoch) {/'
plant sooner-end-not-noticed effect.c 's/if (end < n->kept_due)/if (n->kept_due == IPSP_NEVER)/'
plant held-for-too-long life.c 's/hold_s = hold_s < 600 ? 600 : hold_s;/hold_s = 6000;/'
plant held-for-anybody grant.c 's/else if (same_subscriber(&b, r))/else if (b.kind == IPSP_BIND_KEPT)/'
plant moved-and-held-anew flow.c 's/left_s(n, b.at),/600,/'
plant listening-while-deaf link.c 's/^\t\tn->listen_deaf = true;/\t\t;/'
plant takeover-though-deaf link.c 's/return ipsp_link_deaf(n) \&\& !ipsp_psp(n)->takeover_when_deaf;/return false;/'
plant duplicate-never-over effect.c 's/ipsp_pool_set_flag(n->pools\[at.pool\], at.index, IPSP_ADDR_DUP, false);/(void)at;/'
plant new-keys-before-the-peer-has-them chain.c 's/if (!renew->has || !c->told)/if (0)/'
plant last-keys-accepted-for-ever renew.c 's/ipsp_chain_end_last(&n->seal);/;/'
plant last-keys-gone-at-once chain.c 's/^\tc->last = seal->present;/\t;/'
plant context-not-bound seal.c 's/crypto_generichash_update(&hash, place, IPSP_SEAL_PLACE);/(void)place;/
	s/^\tif (bound)$/\tif (0)/' "$seeds" --attacker

[ "$missed" -eq 0 ] || exit 1
if [ "$places" ]; then
	echo 'all have their places'
else
	echo 'all found'
fi
