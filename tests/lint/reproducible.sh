#!/bin/sh
# The same source makes the same programs, byte for byte: built twice, in folders of other names, at another time,
# in another language and order of its files' times. And what they are linked to can be listed: docs/sbom.sh.
set -eu
. "$(dirname -- "$0")/common.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# made PLACE: builds a copy of the tree there, optimised, with debugging information, without a cache.
made() {
	mkdir -p "$1/source"
	cp -R CMakeLists.txt src include conf mibs docs tests "$1/source"
	find "$1/source" -type f -exec touch -d "$2" {} +
	if ! cmake -S "$1/source" -B "$1/made" -DCMAKE_C_COMPILER_LAUNCHER= >"$1/log" 2>&1 ||
		! cmake --build "$1/made" -j "$jobs" --target ipspd ipspctl ipsp ipsp-monitor >>"$1/log" 2>&1; then
		tail -n 20 "$1/log"
		echo 'reproducible: it is not built'
		exit 1
	fi
}

made "$work/here" 2026-01-01
LC_ALL=C.UTF-8 TZ=Asia/Tokyo made "$work/a/much/longer/name/of another folder" 2020-02-02
there="$work/a/much/longer/name/of another folder"
fault=0
for file in ipspd ipspctl ipsp-monitor libipsp.so; do
	if cmp -s "$work/here/made/src/$file" "$there/made/src/$file"; then
		echo "$file: the same, $(sha256sum <"$work/here/made/src/$file" | cut -c1-16)"
	else
		echo "reproducible: two builds of $file differ"
		fault=1
	fi
	if grep -qF "$work" "$work/here/made/src/$file"; then
		echo "reproducible: $file names the folder that it was built in"
		fault=1
	fi
done

sh docs/sbom.sh "$work/here/made" >"$work/1.json"
sh docs/sbom.sh "$there/made" >"$work/2.json"
cmp -s "$work/1.json" "$work/2.json" || { echo 'reproducible: two lists of one build differ'; fault=1; }
python3 - "$work/1.json" "$work/here/made/src" <<'END' || fault=1
import json, subprocess, sys

with open(sys.argv[1], encoding="utf-8") as file:
    bill = json.load(file)
listed = {part["bom-ref"]: part for part in bill["components"]}
for program in ("ipspd", "ipspctl", "ipsp-monitor", "libipsp.so"):
    elf = subprocess.run(["readelf", "-dW", f"{sys.argv[2]}/{program}"], capture_output=True, text=True, check=True).stdout
    needed = [line.split("[")[1].split("]")[0] for line in elf.splitlines() if "(NEEDED)" in line]
    for name in needed:
        if not name.startswith("libipsp.") and not listed.get(name, {}).get("version"):
            sys.exit(f"reproducible: the list has no {name} of {program}, or no version of it")
    assert needed, program
print(f"listed: {len(bill['components'])} components")
END
exit "$fault"
