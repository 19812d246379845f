#!/bin/sh
# Checks what a compiler does not: formatting, and that no floor of the house includes a higher one.
set -eu
cd -- "$(dirname -- "$0")/.."

failed=no
fail() {
    echo "tools/check_source.sh: $*" >&2
    failed=yes
}

format=""
for candidate in clang-format-14 clang-format; do
    case $("$candidate" --version 2>/dev/null) in
    *"version 14."*)
        format=$candidate
        break
        ;;
    esac
done
if [ -z "$format" ]; then
    fail "clang-format 14 is not here (other versions format differently); tools/install.sh check brings it"
else
    git ls-files '*.c' '*.h' '*.cu' '*.cuh' '*.cpp' '*.hpp' | xargs "$format" --dry-run -Werror || fail "run: git ls-files '*.c' '*.h' '*.cu' '*.cuh' '*.cpp' '*.hpp' | xargs $format -i"
fi

# A file of the floor `$1` may not include the floors named after it.
floor() {
    folder=$1
    shift
    for above in "$@"; do
        found=$(grep -rnE "#include \"(\.\./|host/)*$above/" "$folder" || true)
        [ -z "$found" ] || fail "$folder includes the higher floor $above: $found"
    done
}
floor src/host/base graph nn diffusion config data run quality sweep report bench api cli
floor src/kernels graph nn diffusion config data run quality sweep report bench api cli
floor src/host/graph nn diffusion config data run quality sweep report bench api cli kernels/cpu
floor src/host/nn diffusion config data run quality sweep report bench api cli kernels/cpu
floor src/host/diffusion config data run quality sweep report bench api cli kernels/cpu
floor src/host/run sweep report bench api cli kernels/cpu
floor src/host/cli kernels/cpu

found=$(grep -rnE '#include [<"](oneapi|dnnl|cuda|cudnn|cublas|curand)' src/host || true)
[ -z "$found" ] || fail "host code includes a device library: $found"

[ $failed = no ]
