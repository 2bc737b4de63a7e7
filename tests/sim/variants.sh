#!/bin/sh
# Simpler rules that must fail: each is put into a copy of the core in place of the real one, and the
# explorer has to find what it breaks. A rule that nothing breaks without is not needed, or not tested.
#
#   variants.sh [SOURCE-TREE [STATES [NAME...]]]    STATES: from each root; NAME: these variants only
#
# The first four are those of the design; the others take away one part each of "giver forgets before
# taker learns" and of the lease.
set -u
tree=${1:-$(cd "$(dirname "$0")/../.." && pwd)}
states=${2:-4000}
shift "$(($# < 2 ? $# : 2))"
only=" $* "
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
missed=0
found=0

# Each copy lies beside the tree as it is; only what differs is compiled once more.
options='-std=gnu11 -O1 -Isrc -Iinclude -Itests/sim/explore'
wraps=
for name in malloc calloc realloc free strdup ipsp_seal_close; do
	wraps="$wraps -Wl,--wrap=$name"
done

compile() { # DIRECTORY: its sources without an object
	# shellcheck disable=SC2016,SC2046,SC2086 # the inner shell's, and lists of options
	(cd "$1" && find src/base src/core tests/sim/explore -name '*.c' | while read -r source; do
		[ -f "${source%.c}.o" ] || echo "$source"
	done | xargs -P "$jobs" -I '{}' sh -c \
		'source=$1; shift; exec cc -c "$@" -o "${source%.c}.o" "$source"' compile '{}' \
		$options $(pkg-config --cflags libsodium) &&
		cc -o explore src/base/*.o src/core/*.o tests/sim/explore/*.o $wraps \
			$(pkg-config --libs libsodium))
}

fault() {
	echo "$*"
	missed=$((missed + 1))
}

# variant NAME LINES SED-SCRIPT: the script changes LINES lines of the core, whatever files they are in.
variant() {
	case $only in *[!\ ]*) case $only in *" $1 "*) ;; *) return ;; esac ;; esac
	dir=$work/$1
	cp -r "$work/none" "$dir" || exit 2
	sed -i -e "$3" "$dir"/src/core/*.c
	changed=0
	for file in "$dir"/src/core/*.c; do
		lines=$(diff "$work/none/src/core/${file##*/}" "$file" | grep -c '^>')
		changed=$((changed + lines))
		[ "$lines" -eq 0 ] || rm "${file%.c}.o"
	done
	if [ "$changed" -ne "$2" ]; then
		fault "$1: changes $changed lines of the core, not $2: the rule reads otherwise now"
		return
	fi
	if ! compile "$dir" 2>"$dir/errors"; then
		fault "$1: doesn't compile"
		cat "$dir/errors"
		return
	fi
	from=$(date +%s)
	"$dir/explore" --states "$states" --rests 8 --jobs "$jobs" --first >"$dir/out" 2>&1
	status=$?
	first=$(grep -m 1 '^VIOLATION' "$dir/out")
	if [ "$status" -ne 1 ] || [ -z "$first" ]; then
		fault "$1: NOT FOUND in $states states from each root (exit $status)"
		tail -n 3 "$dir/out"
	else
		found=$((found + 1))
		echo "$1: found in $(($(date +%s) - from)) s: ${first#VIOLATION }"
	fi
	rm -rf "$dir"
}

mkdir -p "$work/none/tests/sim" && cp -r "$tree/src" "$tree/include" "$work/none/" &&
	cp -r "$tree/tests/sim/explore" "$work/none/tests/sim/" || exit 2
compile "$work/none" || exit 2
if ! "$work/none/explore" --states "$states" --rests 8 --jobs "$jobs" >"$work/none/out" 2>&1; then
	echo "the rules as they are fail already:"
	grep '^FAILED' "$work/none/out"
	exit 1
fi

# Heard instead of heard and promised: any hello renews the lease.
variant heard-is-promised 1 's/} else if (!n->side.held && sent_at(n, h->promised, &at)) {/} else if ((at = n->now) != 0) {/'
# Leases before the report is applied: what was owned before the cut is certain at once.
variant assign-before-report 1 's/if (ipsp_heal_pending(n) || !ipsp_contact(n)/if (!ipsp_contact(n)/'
# Reuse before DROPPED: the owner of a duplicate doesn't wait until the other session has ended.
variant reuse-before-dropped 1 's/^\(\t*\)ipsp_pool_set_flag(pool, i, IPSP_ADDR_DUP, true);/\1(void)pool;/'
# Numbers without identity of the books: any books are taken for those that the numbers belong to.
variant books-without-identity 2 's/^\tif (i_behind && peer_behind)$/\tlearn_books(n, h->books);\n\treturn;\n&/'

variant said-before-flushed 2 's/if (o->seq > n->flushed)/if (0)/
	s/ipsp_stream_nth(s, flying)->seq <= n->flushed/true/'
variant acknowledged-before-flushed 2 's/^\ts->waits\[s->n_waits++\] = .*/&\n\ts->ack_due = n->side.applied;\n\ts->ack_now = true;/'
variant in-any-order 2 's/if (item.number <= n->side.applied) {/if (0) {/
	s/if (item.number != n->side.applied + 1) {/if (item.number > n->side.applied + 1) {/'
variant giver-keeps 2 's/ipsp_pool_set_own(pool, \(i\|at\.index\), IPSP_OWN_TRANSIT);/(void)pool;/'
variant lease-not-looked-at 1 's/^\treturn n->lease.lease_end != 0 && now < n->lease.lease_end;/\treturn true;/'
variant numbers-not-compared 2 's/bool i_behind = /bool i_behind = false \&\& /
	s/bool peer_behind = /bool peer_behind = false \&\& /'

[ "$missed" -eq 0 ] || exit 1
if [ "$found" -eq 0 ]; then
	echo "there is no variant of these names:$only"
	exit 2
fi
echo "all $found found"
