#!/usr/bin/env bash
# Installs the package in a Debian of its own (debootstrap, chroot), runs it there, upgrades it, and removes it. Outside of
# CI, as root: scripts/debian-install.sh FIRST.deb SECOND.deb ROOT, where ROOT is an empty folder, or one that debootstrap made.
set -euo pipefail

first=$1 second=$2 root=$3
say() { echo "== $*"; }
inside() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"; }
as_user() { inside setpriv --reuid sealpost --regid sealpost --clear-groups "$@"; }

if [ ! -e "$root/etc/debian_version" ]; then
  say "debootstrap"
  debootstrap --variant=minbase --include=redis-server,systemd,adduser bookworm "$root" >/dev/null
fi
say "Debian $(cat "$root/etc/debian_version") in $root"
mounted=
if mount --bind /proc "$root/proc" 2>/dev/null; then mounted=yes; fi
cleanup() {
  [ -z "${daemon:-}" ] || kill "$daemon" 2>/dev/null || true
  [ -z "$mounted" ] || umount "$root/proc"
}
trap cleanup EXIT

cp "$first" "$root/first.deb"
cp "$second" "$root/second.deb"

say "install"
inside dpkg -P sealpost >/dev/null 2>&1 || true
rm -rf "$root"/var/lib/sealpost "$root"/var/lib/delivered "$root"/var/lib/drop "$root"/etc/sealpost
inside dpkg -i /first.deb
inside dpkg --verify sealpost
inside getent passwd sealpost
inside stat -c '%A %U:%G %n' /var/lib/sealpost /etc/sealpost /etc/sealpost/keys /etc/sealpost/env /var/lib/delivered
inside sealpost --version
inside sealpost --help | head -3
inside sh -c 'zcat /usr/share/man/man1/sealpost.1.gz | head -2'

say "configure and start, as the unit does"
inside sh -c 'cat >> /etc/sealpost/sealpost.yaml' <<'YAML'
smtp: { listen: [{ host: 127.0.0.1, port: 2525 }], greetingDelay: 0ms }
mailboxes:
  - name: inbox
    addresses: ["@example.com"]
    notSmime: pass
    destinations: [{ type: directory, path: /var/lib/delivered }]
YAML
inside sealpost check || true
start() {
  as_user env SEALPOST_CONFIG=/etc/sealpost/sealpost.yaml sealpost start >"$root/daemon.log" 2>&1 &
  daemon=$!
  for _ in $(seq 1 300); do
    grep -q '"msg":"running"' "$root/daemon.log" && return
    kill -0 "$daemon" 2>/dev/null || { tail -5 "$root/daemon.log"; exit 1; }
    sleep 0.5
  done
  tail -5 "$root/daemon.log"
  exit 1
}
stop() { kill -TERM "$(cat "/proc/$daemon/task/$daemon/children" | tr ' ' '\n' | head -1 || true)" 2>/dev/null || kill -TERM "$daemon"; wait "$daemon" || true; daemon=; }
send() {
  python3 - "$1" <<'PY'
import smtplib, sys
with smtplib.SMTP('127.0.0.1', 2525) as server:
    name = sys.argv[1]
    mail = f'From: a@partner.example\r\nTo: b@example.com\r\nSubject: {name}\r\nMessage-ID: <{name}@partner.example>\r\n\r\nhello\r\n'
    server.sendmail('a@partner.example', ['b@example.com'], mail)
    print('taken:', name)
PY
}
start
send before
sleep 3
inside sealpost messages list --config /etc/sealpost/sealpost.yaml
inside ls /var/lib/delivered
say "stop"
stop

say "upgrade: the changed configuration and the data stay"
before=$(sha256sum "$root/etc/sealpost/sealpost.yaml" "$root/var/lib/sealpost/spool.key")
inside dpkg -i --force-confold /second.deb
[ "$before" = "$(sha256sum "$root/etc/sealpost/sealpost.yaml" "$root/var/lib/sealpost/spool.key")" ]
inside dpkg -s sealpost | grep -E '^(Version|Status)'
start
inside sealpost messages list --config /etc/sealpost/sealpost.yaml
send after
sleep 3
inside sealpost messages list --config /etc/sealpost/sealpost.yaml
stop

say "units"
inside systemd-analyze verify /usr/lib/systemd/system/sealpost.service /usr/lib/systemd/system/sealpost.target || true

say "remove and purge: data and configuration of the operator stay"
inside dpkg -r sealpost
inside dpkg -P sealpost
inside ls /var/lib/sealpost /var/lib/delivered
say "done"
