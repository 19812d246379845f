#!/bin/sh
# Checks what a compiler does not: formatting, that no floor of the house includes a higher one and no files
# include each other, and the sizes of files and rooms.
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

# The floors of the house, bottom to top; rooms on one line share a floor.  A file includes its own floor or
# lower ones, never higher.
floors="base
kernels
graph
nn
diffusion
data config
run quality
sweep
report bench
cli api"

# "FILE INCLUDED" for each #include "..." of a file below src/, both without src/host/ or src/ in front.
includes=$(git ls-files 'src/*.c' 'src/*.h' 'src/*.cu' 'src/*.cuh' | xargs grep -HE '^#include "' |
    sed -E 's|^src/(host/)?([^:]*):#include "(host/)?([^"]*)".*|\2 \4|' | grep -E ' [a-z_]+/' | grep -v ' tstar/')
found=$(printf '%s\n' "$includes" | awk -v floors="$floors" '
    BEGIN { n = split(floors, line, "\n"); for (i = 1; i <= n; i++) { m = split(line[i], room, " "); for (k = 1; k <= m; k++) floor[room[k]] = i } }
    { split($1, a, "/"); split($2, b, "/") }
    !(a[1] in floor) || !(b[1] in floor) { print $1 " includes " $2 ": a room without a floor"; next }
    floor[b[1]] > floor[a[1]] { print $1 " includes " $2 ", a floor above" }')
[ -z "$found" ] || fail "$found"

# No two sources use each other, by whatever way: each line is a source and one whose header it includes; tsort
# names a circle.  The CPU device and the cache of its convolutions know each other.
circles=$(printf '%s\n' "$includes" | grep -E '^[^ ]*\.(c|cu) ' | sed -E 's/\.(c|cu|h|cuh)( |$)/\2/g' |
    awk '$1 != $2 && $0 != "kernels/cpu/device kernels/cpu/conv/convolution"' | sort -u | tsort 2>&1 >/dev/null || true)
[ -z "$circles" ] || fail "files that include each other: $(echo "$circles" | tr '\n' ' ')"

# A room of the host holds at most 16 .c files, a file at most 600 lines.
found=$(git ls-files 'src/host/*.c' | xargs -n1 dirname | sort | uniq -c | awk '$1 > 16 { print $2 " holds " $1 " .c files (at most 16)" }')
[ -z "$found" ] || fail "$found"
found=$(git ls-files '*.c' '*.h' '*.cu' '*.cuh' '*.cpp' '*.hpp' | xargs wc -l | awk '$2 != "total" && $1 > 600 { print $2 " has " $1 " lines (at most 600)" }')
[ -z "$found" ] || fail "$found"

found=$(grep -rnE '#include [<"](oneapi|dnnl|cuda|cudnn|cublas|curand)' src/host || true)
[ -z "$found" ] || fail "host code includes a device library: $found"

# The templates of two kernels with one name are one to a linker, whichever's code it takes.
found=$(git ls-files 'src/kernels/cuda/*.cu' | xargs grep -hoE '^(template <[^>]*> )?struct [a-z_0-9]+' | awk '{ print $NF }' | sort | uniq -d)
[ -z "$found" ] || fail "structs of two .cu files have one name: $(echo "$found" | tr '\n' ' ')"

[ $failed = no ]
