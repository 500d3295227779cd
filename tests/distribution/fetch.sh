#!/usr/bin/env bash
# Downloads the distribution's guests (Debian 12) and unpacks them, without installing anything, into build/distribution.
#
# The architecture i386 must be known: dpkg --add-architecture i386 && apt-get update
set -euo pipefail
cd "$(dirname "$0")/../.."

into=build/distribution
kernel=$(apt-cache depends linux-image-686:i386 | sed -n 's/^ *Depends: \(linux-image-[^ ]*-686\).*/\1/p' | head -1)

mkdir -p "$into"
for package in memtest86+ ipxe busybox-static:i386 "$kernel:i386"; do
    folder="$into/${package%%:*}"
    case "$folder" in */linux-image-*) folder="$into/linux" ;; esac
    [ -d "$folder" ] && continue
    download=$(mktemp -d)
    (cd "$download" && apt-get download -qq "$package")
    mkdir -p "$folder.part"
    dpkg-deb -x "$download"/*.deb "$folder.part"
    mv "$folder.part" "$folder" # whole or not at all
    rm -r "$download"
done
