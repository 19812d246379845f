#!/bin/sh
# Fuzzes what reads files and words, by clang's libFuzzer under sanitizers: tools/fuzz.sh [SECONDS [TARGET...]]
#   SECONDS   for each target (60)
#   TARGET    NAME of a tests/fuzz/fuzz_NAME.c (all)
# What was found before goes on in build-fuzz/corpus; an input that fails is in build-fuzz/found.
set -eu
cd -- "$(dirname -- "$0")/.."

case ${1:-} in
-h | --help)
    sed -n '2,5s/^# //p' "$0"
    echo "TSTAR_NO_INSTALL=1 in the environment leaves the packages alone."
    exit 0
    ;;
esac
seconds=${1:-60}
[ $# = 0 ] || shift
case $seconds in
*[!0-9]* | "")
    echo "tools/fuzz.sh: $seconds: write seconds first, then targets: tools/fuzz.sh 600 config" >&2
    exit 2
    ;;
esac
[ $# -gt 0 ] || set -- $(ls tests/fuzz/fuzz_*.c | sed 's,.*/fuzz_\(.*\)\.c,\1,')

[ -n "${TSTAR_NO_INSTALL:-}" ] || tools/install.sh build test fuzz
folder=build-fuzz
if [ ! -f $folder/CMakeCache.txt ]; then
    generator=
    ! command -v ninja >/dev/null || generator="-G Ninja"
    mkdir -p $folder
    # without the CUDA device, which reads nothing
    cmake -S . -B $folder $generator -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_COMPILER=clang -DTSTAR_CUDA=OFF \
        -DTSTAR_FUZZER=ON -DTSTAR_SANITIZE=ON -DCMAKE_C_FLAGS="-fsanitize=fuzzer-no-link" >$folder/configure.log 2>&1 || {
        cat $folder/configure.log >&2
        exit 1
    }
fi
cmake --build $folder --parallel --target fuzz

mkdir -p $folder/found
export LSAN_OPTIONS="${LSAN_OPTIONS:-suppressions=$(pwd)/tests/lsan.supp:print_suppressions=0}"
failed=
for name; do
    program=$folder/tests/fuzz/fuzz_$name
    if [ ! -x "$program" ]; then
        echo "tools/fuzz.sh: there is no target $name; there are: $(ls tests/fuzz/fuzz_*.c | sed 's,.*/fuzz_\(.*\)\.c,\1,' | tr '\n' ' ')" >&2
        exit 2
    fi
    corpus=$folder/corpus/$name
    mkdir -p "$corpus"
    echo "== $name, $seconds s"
    TSTAR_FUZZ_SEEDS=$corpus "$program" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -max_len=65536 \
        -print_final_stats=1 -verbosity=0 -artifact_prefix=$folder/found/$name- "$corpus" 2>$folder/found/$name.log ||
        failed="$failed $name"
    grep -E 'stat::number_of_executed_units|ERROR:|SUMMARY:|Test unit written' $folder/found/"$name".log || true
done
[ -z "$failed" ] || { echo "failed:$failed; see $folder/found" >&2; exit 1; }
