#!/usr/bin/env bash
# Downloads the distribution's guests (Debian 12) and unpacks them, without installing anything, into build/distribution.
#
# Some are packages for i386, which this host need not know: apt is told for these commands only, with package lists of
# their own.  A mirror may be in the middle of an update, so it is the downloads that have to succeed.
set -euo pipefail
cd "$(dirname "$0")/../.."

into=$PWD/build/distribution
lists=$into/lists
apt=(-qq -o "APT::Architectures::=amd64" -o "APT::Architectures::=i386"
    -o "Dir::State::lists=$lists" -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache=")

missing=()
for folder in memtest86+ ipxe busybox-static linux; do
    [ -d "$into/$folder" ] || missing+=("$folder")
done
[ ${#missing[@]} -eq 0 ] && exit 0

mkdir -p "$lists/partial"
apt-get "${apt[@]}" update || true
for folder in "${missing[@]}"; do
    case $folder in
    linux) package=$(apt-cache "${apt[@]}" depends linux-image-686:i386 |
        sed -n 's/^ *Depends: \(linux-image-[^ ]*-686\).*/\1:i386/p' | head -1) ;;
    busybox-static) package=busybox-static:i386 ;;
    *) package=$folder ;;
    esac
    download=$(mktemp -d)
    (cd "$download" && apt-get "${apt[@]}" download "$package")
    mkdir -p "$into/$folder.part"
    dpkg-deb -x "$download"/*.deb "$into/$folder.part"
    mv "$into/$folder.part" "$into/$folder" # whole or not at all
    rm -r "$download"
done
