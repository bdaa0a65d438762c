#!/bin/sh
# Unpacks a Valkey server from the distribution's packages (Debian 12: its backports) into the project's cache folder, for
# the tests that run on it as well; nothing is installed or started. Prints the path of the server; exit code 1 with a
# line that says why when it cannot be had.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
cache=$here/.cache/valkey
server=$cache/root/usr/bin/valkey-server
sources=/etc/apt/sources.list.d/debian.sources
no() { echo "sealpost: no Valkey here: $1" >&2; exit 1; }

if [ -x "$server" ]; then echo "$server"; exit 0; fi
if command -v valkey-server >/dev/null 2>&1; then command -v valkey-server; exit 0; fi
command -v apt-get >/dev/null 2>&1 || no "no apt-get"
[ -r "$sources" ] || no "no $sources"
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")

mkdir -p "$cache/apt/lists/partial" "$cache/apt/archives/partial" "$cache/root"
# The first entry is that of the distribution itself; its backports are in the same place.
awk -v suites="$codename $codename-backports" '/^$/ { exit } /^#/ { next } /^Suites:/ { $0 = "Suites: " suites } { print }' \
  "$sources" >"$cache/apt/valkey.sources"
apt() {
  command=$1
  shift
  "$command" -qq -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$cache/apt" \
    -o Dir::State::lists="$cache/apt/lists" -o Dir::Cache="$cache/apt" \
    -o Dir::Cache::archives="$cache/apt/archives" -o Debug::NoLocking=1 -o APT::Sandbox::User=root "$@"
}
apt apt-get update >/dev/null 2>&1 || no "the package lists cannot be had"
(cd "$cache/apt/archives" && apt apt-get download valkey-server valkey-tools >/dev/null 2>&1) || no "no package"
for file in "$cache"/apt/archives/*.deb; do dpkg-deb -x "$file" "$cache/root"; done
rm -rf "$cache/apt"
"$server" --version >/dev/null 2>&1 || { rm -rf "$cache"; no "its libraries are missing"; }
echo "$server"
