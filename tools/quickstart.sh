#!/bin/sh
# From a fresh clone to the trade-off curve of the diffusion time T on the built-in 8x8 digits: installs the
# missing packages, builds into build/, sweeps T into runs/digits.  Run again, it continues where it stopped.
set -eu
cd -- "$(dirname -- "$0")/.."

case ${1:-} in
"") ;;
-h | --help)
    sed -n '2,3s/^# //p' "$0"
    echo "TSTAR_NO_INSTALL=1 in the environment leaves the packages alone."
    exit 0
    ;;
*)
    echo "tools/quickstart.sh takes no arguments (found '$1')" >&2
    exit 2
    ;;
esac

[ -n "${TSTAR_NO_INSTALL:-}" ] || tools/install.sh build
echo "== Building into build/"
if grep -qs '^TSTAR_TESTS:BOOL=ON' build/CMakeCache.txt; then
    tools/build.sh build
else
    tools/build.sh build -DTSTAR_TESTS=OFF
fi
echo "== Sweeping the diffusion time on the 8x8 digits, into runs/digits"
build/tstar sweep configs/digits.yaml --out runs/digits
echo
echo "The report: $(pwd)/runs/digits/report.html"
echo "The numbers: runs/digits/sweep.csv, the charts: runs/digits/charts; README.md says what is what."
