#!/bin/sh
# Brings a redis-server (or valkey-server) where the machine has none: as root from the system's packages,
# else unpacked into the project's cache folder. Says nothing when there is one.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
cache=$here/.cache/redis
have() { command -v "$1" >/dev/null 2>&1; }

if have redis-server || have valkey-server || [ -x "$cache/bin/redis-server" ]; then exit 0; fi
if ! have apt-get; then
  echo "sealpost: no redis-server found; install Redis 6.2 or later, or Valkey, and run this again" >&2
  exit 1
fi

if [ "$(id -u)" = 0 ]; then
  echo "sealpost: installing redis-server from the system's packages" >&2
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >/dev/null
  # RUNLEVEL=1: the package's own service is not needed and not started here.
  RUNLEVEL=1 apt-get install -y -qq --no-install-recommends redis-server >/dev/null
  exit 0
fi

echo "sealpost: unpacking redis-server into .cache/redis" >&2
mkdir -p "$cache/apt/lists/partial" "$cache/apt/archives/partial" "$cache/root" "$cache/bin"
apt() {
  apt-get -qq -o Dir::State::lists="$cache/apt/lists" -o Dir::Cache="$cache/apt" \
    -o Dir::Cache::archives="$cache/apt/archives" -o Debug::NoLocking=1 "$@"
}
apt update >/dev/null
packages=$(apt-cache -o Dir::State::lists="$cache/apt/lists" -o Dir::Cache="$cache/apt" depends --recurse \
  --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances redis-server |
  grep -E '^(redis|lib)' | grep -vE '^(libc6|libc-bin|libcrypt1|libpam|libselinux|libsemanage|libperl)' | sort -u)
# shellcheck disable=SC2086
(cd "$cache/apt/archives" && apt download $packages)
for file in "$cache"/apt/archives/*.deb; do dpkg-deb -x "$file" "$cache/root"; done
rm -rf "$cache/apt"
cat >"$cache/bin/redis-server" <<EOF
#!/bin/sh
LD_LIBRARY_PATH=$(find "$cache/root" -name 'lib*.so*' -printf '%h\n' | sort -u | tr '\n' ':')
export LD_LIBRARY_PATH
exec "$cache/root/usr/bin/redis-server" "\$@"
EOF
chmod +x "$cache/bin/redis-server"
"$cache/bin/redis-server" --version >/dev/null
