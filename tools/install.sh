#!/bin/sh
# Installs the distribution packages that are missing: tools/install.sh build|test|check|fuzz|data ...
# The one list of what tstar needs.  A choice a|b|c is met by any of them; the first is installed.
set -eu

build="gcc libc6-dev cmake ninja-build pkgconf|pkg-config libdnnl-dev libopenblas-dev liblapacke-dev
  libyaml-dev libjansson-dev zlib1g-dev libpng-dev libjpeg-dev libzip-dev
  gnuplot-nox|gnuplot-qt|gnuplot-x11"
test="libcmocka-dev g++"
check="clang-format-14 git"
fuzz="clang libomp-dev"
data="curl ca-certificates gzip tar xz-utils"

die() {
    echo "tools/install.sh: $*" >&2
    exit 1
}

wanted=""
for group in "$@"; do
    case $group in
    build) wanted="$wanted $build" ;;
    test) wanted="$wanted $test" ;;
    check) wanted="$wanted $check" ;;
    fuzz) wanted="$wanted $fuzz" ;;
    data) wanted="$wanted $data" ;;
    *) die "no package group '$group'; there are build, test, check, fuzz, data" ;;
    esac
done
[ -n "$wanted" ] || die "name what to install for: build, test, check, fuzz, data"

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    die "this is not a Debian or Ubuntu system. Install what these packages hold, then run again with" \
        "TSTAR_NO_INSTALL=1:" $wanted
fi

installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=""
for choice in $wanted; do
    found=no
    for package in $(echo "$choice" | tr '|' ' '); do
        if installed "$package"; then
            found=yes
            break
        fi
    done
    [ $found = yes ] || missing="$missing ${choice%%|*}"
done
[ -n "$missing" ] || exit 0

echo "Packages to install:$missing"
as_root=""
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null ||
        die "not root, and no sudo here. As root: apt-get update && apt-get install$missing"
    as_root=sudo
fi
apt="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0"
$apt update || die "apt-get update failed; still missing:$missing"
$apt install -y --no-install-recommends $missing || die "apt-get could not install:$missing"
