#!/bin/sh
# Installs what the tests need, builds and runs every test: tools/test.sh [--sanitize] [--werror] [CTest options]
#   --sanitize   AddressSanitizer and UndefinedBehaviorSanitizer, in build-asan instead of build
#   --werror     warnings are errors
set -eu
cd -- "$(dirname -- "$0")/.."

folder=build
werror=OFF
sanitize=OFF
while [ $# -gt 0 ]; do
    case $1 in
    --sanitize)
        sanitize=ON
        folder=build-asan
        ;;
    --werror) werror=ON ;;
    -h | --help)
        sed -n '2,4s/^# //p' "$0"
        echo "TSTAR_NO_INSTALL=1 in the environment leaves the packages alone."
        exit 0
        ;;
    *) break ;;
    esac
    shift
done

[ -n "${TSTAR_NO_INSTALL:-}" ] || tools/install.sh build test
tools/build.sh "$folder" -DTSTAR_TESTS=ON -DTSTAR_WERROR=$werror -DTSTAR_SANITIZE=$sanitize
# Threads that wait give their processor away soon: where other work runs, long spinning costs a factor of ten.
export GOMP_SPINCOUNT="${GOMP_SPINCOUNT:-1000}"
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1:strict_string_checks=1}"
export LSAN_OPTIONS="${LSAN_OPTIONS:-suppressions=$(pwd)/tests/lsan.supp:print_suppressions=0}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"
exec ctest --test-dir "$folder" --output-on-failure --timeout 900 "$@"
