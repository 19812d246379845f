#!/bin/sh
# Compiles every CUDA source for compute capability 9.0, warnings as errors, where nvcc is; says so where it is not.
# No card is needed.
set -eu
cd -- "$(dirname -- "$0")/.."

nvcc=""
for candidate in "${CUDACXX:-}" nvcc "${CUDA_PATH:-/usr/local/cuda}/bin/nvcc" /usr/local/cuda/bin/nvcc; do
    if [ -n "$candidate" ] && command -v "$candidate" >/dev/null; then
        nvcc=$candidate
        break
    fi
done
if [ -z "$nvcc" ]; then
    echo "no nvcc here: the CUDA sources are compiled for the emulated grid only"
    exit 0
fi
mkdir -p build-cuda
cmake -S . -B build-cuda -DTSTAR_CUDA=ON -DTSTAR_CUDA_ARCHITECTURES=90 -DTSTAR_WERROR=ON -DTSTAR_TESTS=OFF \
    >build-cuda/configure.log 2>&1 || {
    cat build-cuda/configure.log >&2
    exit 1
}
timeout 600 cmake --build build-cuda --target tstar_cuda --parallel
