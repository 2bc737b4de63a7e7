#!/bin/sh
# One fuzz target for some seconds: what was found before, and from there on.
#
#   sh tests/fuzz/one.sh BUILD FOLDER SECONDS TARGET
#
# BUILD has -DIPSPD_FUZZ=ON. FOLDER/corpus/TARGET gets what is new, FOLDER/log/TARGET-... an input that fails,
# FOLDER/log/TARGET.fuzz the output, and TARGET.fuzz.status beside it how it ended.
set -u

[ $# -eq 4 ] || {
	sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
	exit 2
}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd) || exit 1
noun=${4#fuzz_}
new=$2/corpus/$4
out=$2/log/$4.fuzz
mkdir -p "$new" "$2/log" || exit 1
binary=$1/tests/fuzz/$4
seconds=$3
set -- "-max_total_time=$3" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 "-artifact_prefix=$2/log/$4-"
# what is long takes long, and the first inputs are long
case $noun in
node) set -- "$@" -max_len=3000 -len_control=0 ;;
control) set -- "$@" -max_len=600 -len_control=0 ;;
esac
[ ! -f "$here/$noun.dict" ] || set -- "$@" "-dict=$here/$noun.dict"
known=$here/corpus/$noun
[ -d "$known" ] || known=
timeout -k 10 "$((seconds + 120))" "$binary" "$@" "$new" ${known:+"$known"} >"$out" 2>&1 </dev/null
echo $? >"$out.status"
