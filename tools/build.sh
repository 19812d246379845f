#!/bin/sh
# Configures and builds: tools/build.sh FOLDER [CMake options]; FOLDER is relative to the source tree.
# An existing folder keeps its generator and options, so building again is quick.
set -eu
cd -- "$(dirname -- "$0")/.."

folder=${1:?"usage: tools/build.sh FOLDER [CMake options]"}
shift
if [ ! -f "$folder/CMakeCache.txt" ]; then
    if command -v ninja >/dev/null; then
        set -- -G Ninja "$@"
    fi
    set -- -DCMAKE_BUILD_TYPE=Release "$@"
fi
mkdir -p "$folder"
if ! cmake -S . -B "$folder" "$@" >"$folder/configure.log" 2>&1; then
    cat "$folder/configure.log" >&2
    exit 1
fi
cmake --build "$folder" --parallel
# Whether the CUDA device is in, last, where it is not lost among the files.
sed -n 's/^-- \(CUDA [0-9].*\|No card: .*\|.*built without the CUDA device.*\)$/== \1/p' "$folder/configure.log" | tail -n 1
