#!/bin/sh
# A bill of materials, CycloneDX 1.4 as JSON: what each program and the library of a build folder are linked to,
# with the version of its Debian package.
#
#   sh docs/sbom.sh build >ipspd.cdx.json
#
# What is listed is what the binaries name (NEEDED), and what these need in turn. The time is SOURCE_DATE_EPOCH
# where it is given, and left out otherwise: the same build makes the same list.
set -eu
build=${1:?a build folder}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The libraries that FILE names.
needed() {
	readelf -dW "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'
}

# Where the loader finds what FILE needs, directly or not: "NAME PATH" a line.
found() {
	ldd "$1" | sed -n 's/^[[:space:]]*\([^ ]*\) => \(\/[^ ]*\) (.*/\1 \2/p; s/^[[:space:]]*\(\/[^ ]*\/\)\([^ /]*\) (.*/\2 \1\2/p'
}

# The package of the file PATH, as "NAME VERSION"; of a merged /usr too.
package() {
	owner=$(dpkg-query -S "$1" 2>/dev/null || dpkg-query -S "/usr$1" 2>/dev/null || dpkg-query -S "${1#/usr}" 2>/dev/null) || return 1
	owner=${owner%%: *}
	# shellcheck disable=SC2016 # dpkg's own words
	dpkg-query -W -f '${Package} ${Version} ${source:Package}\n' "${owner%%,*}"
}

quoted() {
	printf '"%s"' "$(printf '%s' "$1" | sed 's/[\\"]/\\&/g')"
}

version=$(sed -n 's/^CMAKE_PROJECT_VERSION:[^=]*=//p' "$build/CMakeCache.txt")
programs=
for name in ipspd ipspctl ipsp-monitor libipsp.so; do
	[ -e "$build/src/$name" ] || continue
	programs="$programs $name"
	needed "$build/src/$name" | grep -v '^libipsp\.' >"$work/$name.needed" || true
	found "$build/src/$name" | grep -v '^libipsp\.' >>"$work/found" || true
done
[ -n "$programs" ] || { echo "sbom.sh: nothing is built in $build" >&2; exit 1; }
sort -u "$work/found" >"$work/libraries"

while read -r name path; do
	real=$(readlink -f "$path")
	of=$(package "$real") || { echo "sbom.sh: no package has $real" >&2; exit 1; }
	sum=$(sha256sum "$real")
	# shellcheck disable=SC2086 # three words
	set -- $of
	echo "$name $1 $2 $3 ${sum%% *}"
done <"$work/libraries" >"$work/components"

# shellcheck disable=SC2086 # a list of names
for name in $programs; do
	while read -r library; do
		grep -q "^$library " "$work/components" ||
			{ echo "sbom.sh: $name needs $library, which is not found" >&2; exit 1; }
	done <"$work/$name.needed"
done

printf '{\n  "bomFormat": "CycloneDX",\n  "specVersion": "1.4",\n  "version": 1,\n  "metadata": {\n'
if [ -n "${SOURCE_DATE_EPOCH-}" ]; then
	printf '    "timestamp": "%s",\n' "$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)"
fi
printf '    "component": { "type": "application", "bom-ref": "ipspd", "name": "ipspd", "version": %s }\n  },\n' "$(quoted "$version")"
printf '  "components": [\n'
comma=
# shellcheck disable=SC2086
for name in $programs; do
	sum=$(sha256sum "$build/src/$name")
	printf '%s    { "type": "file", "bom-ref": %s, "name": %s, "version": %s,\n      "hashes": [ { "alg": "SHA-256", "content": "%s" } ] }' \
		"$comma" "$(quoted "$name")" "$(quoted "$name")" "$(quoted "$version")" "${sum%% *}"
	comma=',
'
done
while read -r name package version source sum; do
	printf '%s    { "type": "library", "bom-ref": %s, "name": %s, "version": %s,\n      "purl": %s,\n      "properties": [ { "name": "debian:source", "value": %s } ],\n      "hashes": [ { "alg": "SHA-256", "content": "%s" } ] }' \
		"$comma" "$(quoted "$name")" "$(quoted "$package")" "$(quoted "$version")" \
		"$(quoted "pkg:deb/debian/$package@$(printf '%s' "$version" | sed 's/:/%3A/g; s/+/%2B/g')")" "$(quoted "$source")" "$sum"
done <"$work/components"
printf '\n  ],\n  "dependencies": [\n    { "ref": "ipspd", "dependsOn": ['
comma=' '
for name in $programs; do
	printf '%s%s' "$comma" "$(quoted "$name")"
	comma=', '
done
printf ' ] }'
for name in $programs; do
	printf ',\n    { "ref": %s, "dependsOn": [' "$(quoted "$name")"
	comma=' '
	while read -r library; do
		printf '%s%s' "$comma" "$(quoted "$library")"
		comma=', '
	done <"$work/$name.needed"
	printf ' ] }'
done
printf '\n  ]\n}\n'
