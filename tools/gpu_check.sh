#!/bin/bash
# Everything that needs a card, in one call: builds, tests on the card, measures, writes bench/results/CARD/DATE.json
# and .md.  Goes on after a failure; exit status 1 if any stage failed.
#
#   tools/gpu_check.sh [--deps FOLDER] [--data FOLDER] [--golden FOLDER] [--out FOLDER] [--seconds N] [--python PYTHON]
#                      [--build FOLDER] [--device NAME] [STAGE ...]
#   tools/gpu_check.sh --fetch-deps FOLDER
#
#   --deps FOLDER    .deb files to unpack and build with, where the machine lacks packages and cannot fetch any
#   --fetch-deps     download those files (on a Debian or Ubuntu machine that has the network) and end
#   --data FOLDER    holds mnist/ (tools/fetch_data.sh brings it); without it the MNIST stage trains on digits
#   --golden FOLDER  the golden files (*.safetensors, gmm_oracle.json)
#   --out FOLDER     copies of the results and the log go there too
#   --seconds N      for the whole call (default 530); stages that no longer fit fail
#   --python PYTHON  one that has PyTorch (default python3); without it the comparison is left out
#   --build FOLDER   where to build (default build-gpu)
#   --device NAME    default cuda; with cpu the script itself can be tried where there is no card
#   STAGE ...        only these; without arguments all, in this order:
#                    build device operations operations_fast tests golden golden_fast sanitizers mnist train
#                    train_128 train_float32 sample ops peer
set -u
cd -- "$(dirname -- "$0")/.."

deps="" data="" golden="${TSTAR_GOLDEN:-}" out="" seconds=530 python=python3 build=build-gpu device=cuda only=""
packages="libdnnl-dev libdnnl2 libopenblas-pthread-dev libopenblas0-pthread liblapacke-dev liblapacke libtmglib3
  libgfortran5 libquadmath0 libyaml-dev libyaml-0-2 libjansson-dev libjansson4 zlib1g-dev zlib1g libpng-dev
  libpng16-16 libcmocka-dev libcmocka0 pkgconf pkgconf-bin libpkgconf3"

usage() {
    sed -n '2,26s/^# \{0,1\}//p' "$0"
    exit "$1"
}

while [ $# -gt 0 ]; do
    case $1 in
    --deps) deps=$2 ;;
    --data) data=$2 ;;
    --golden) golden=$2 ;;
    --out) out=$2 ;;
    --seconds) seconds=$2 ;;
    --python) python=$2 ;;
    --build) build=$2 ;;
    --device) device=$2 ;;
    --fetch-deps)
        mkdir -p "$2" && cd "$2" || exit 1
        # shellcheck disable=SC2086
        exec apt-get -q download $packages
        ;;
    -h | --help) usage 0 ;;
    -*) usage 2 >&2 ;;
    *)
        only="$only $1 "
        shift
        continue
        ;;
    esac
    [ $# -ge 2 ] || usage 2 >&2
    shift 2
done

absolute() {
    [ -z "$1" ] || realpath -m "$1"
}
deps=$(absolute "$deps") data=$(absolute "$data") golden=$(absolute "$golden") out=$(absolute "$out")
build=$(absolute "$build")
logs=$build/check
rm -rf "$logs"
mkdir -p "$logs"

# ---- libraries -------------------------------------------------------------------------------------------

if [ -n "$deps" ]; then
    root=$build/deps
    mkdir -p "$root"
    for file in "$deps"/*.deb; do
        dpkg -x "$file" "$root" || exit 1
    done
    triple=$root/usr/lib/$(gcc -dumpmachine)
    [ -d "$triple" ] || triple=$root/usr/lib/x86_64-linux-gnu
    blas=$triple/openblas-pthread
    export PATH=$PATH:$root/usr/bin
    export PKG_CONFIG_SYSROOT_DIR=$root PKG_CONFIG_LIBDIR=$triple/pkgconfig:$blas/pkgconfig
    export CMAKE_PREFIX_PATH=$root/usr
    export CMAKE_LIBRARY_PATH=$triple:$blas CMAKE_INCLUDE_PATH=$root/usr/include
    export LIBRARY_PATH=$triple:$blas LD_LIBRARY_PATH=$triple:$blas${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
fi

for folder in "${CUDA_PATH:-/usr/local/cuda}" /usr/local/cuda; do
    [ -x "$folder/bin/nvcc" ] && export PATH=$PATH:$folder/bin && break
done

# cuDNN (and what else the toolkit lacks) as PyTorch brings it, where the system has none.
site=$("$python" -c 'import nvidia; print(list(nvidia.__path__)[0])' 2>/dev/null || true)
for part in cudnn cu13 cublas; do
    folder=$site/$part
    [ -n "$site" ] && [ -d "$folder/lib" ] || continue
    export CMAKE_LIBRARY_PATH=${CMAKE_LIBRARY_PATH:+$CMAKE_LIBRARY_PATH:}$folder/lib
    export CMAKE_INCLUDE_PATH=${CMAKE_INCLUDE_PATH:+$CMAKE_INCLUDE_PATH:}$folder/include
    export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder/lib
done
export LD_LIBRARY_PATH=$build${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

# ---- stages ----------------------------------------------------------------------------------------------

begun=$SECONDS
failed=0
report=$logs/stages.tsv
: >"$report"

# stage NAME SECONDS COMMAND...: output goes to NAME.log; what it prints last is shown.
stage() {
    local name=$1 limit=$2 start=$SECONDS left status verdict
    shift 2
    if [ -n "$only" ] && [[ "$only" != *" $name "* ]]; then
        return 0
    fi
    left=$((seconds - (SECONDS - begun)))
    [ $limit -le $left ] || limit=$left
    if [ $limit -lt 5 ]; then
        status=124
        echo "no time left" >"$logs/$name.log"
    else
        timeout -k 5 "$limit" "$@" >"$logs/$name.log" 2>&1 </dev/null
        status=$?
    fi
    case $status in
    0) verdict=ok ;;
    124 | 137) verdict="out of time" ;;
    77) verdict=skipped ;;
    *) verdict=FAILED ;;
    esac
    [ $status = 0 ] || failed=$((failed + 1))
    printf '%s\t%s\t%d\n' "$name" "$verdict" $((SECONDS - start)) >>"$report"
    printf '%-16s %-12s %4d s   %s\n' "$name" "$verdict" $((SECONDS - start)) "$(tail -n 1 "$logs/$name.log" | cut -c1-100)"
    [ $status = 0 ] || sed 's/^/    | /' "$logs/$name.log" | grep -v '^    | ok' | tail -n 12
    return $status
}

build_all() {
    local cuda=ON
    [ "$device" != cpu ] || cuda=OFF
    cmake -S . -B "$build" $(command -v ninja >/dev/null && echo -G Ninja) -DCMAKE_BUILD_TYPE=Release -DTSTAR_CUDA=$cuda \
        -DTSTAR_TESTS=ON ${golden:+-DTSTAR_GOLDEN="$golden"} ${data:+-DTSTAR_DATA="$data"} &&
        cmake --build "$build" --parallel "$(nproc)"
}

# A device test that skips was not done.
each() {
    local test status worst=0
    for test in "$@"; do
        echo "== $test"
        (cd "$build/tests" && "./$test")
        status=$?
        [ $status = 0 ] || worst=1
    done
    return $worst
}

golden_files() {
    local file status worst=0 count=0
    for file in "$golden"/*.safetensors; do
        [ -f "$file" ] || continue
        "$build/tests/test_golden" "$file"
        status=$?
        [ $status = 0 ] && count=$((count + 1))
        [ $status = 0 ] || [ $status = 77 ] || worst=1
    done
    echo "$count golden files compared"
    [ $count -gt 0 ] && return $worst
}

# Side by side, for they leave the card idle most of the time.
sanitizers() {
    local tool worst=0 jobs=""
    for tool in memcheck racecheck initcheck; do
        compute-sanitizer --tool $tool --error-exitcode 3 "$build/tests/test_operations" "$device" \
            >"$logs/$tool.log" 2>&1 &
        jobs="$jobs $tool:$!"
    done
    for tool in $jobs; do
        if wait "${tool#*:}"; then
            echo "${tool%:*}: nothing found"
        else
            echo "${tool%:*}: failed"
            grep -v '^ok' "$logs/${tool%:*}.log" | tail -n 15
            worst=1
        fi
    done
    return $worst
}

mnist() {
    local config=configs/digits.yaml more=""
    if [ -d "$data/mnist" ]; then
        config=configs/mnist.yaml
        more="--set data.path=$data/mnist"
    fi
    rm -rf "$logs/run"
    # shellcheck disable=SC2086
    "$build/tstar" train $config $more --set train.steps=1000 --set train.warmup=200 --set train.log_every=100 \
        --out "$logs/run" --device $device --fast &&
        "$build/tstar" sample "$logs/run" -n 64 --device $device --fast &&
        "$python" - "$logs/run" <<'PY'
import glob, json, sys
rows = [json.loads(line) for name in glob.glob(sys.argv[1] + "/*.jsonl") for line in open(name)]
losses = [row["loss"] for row in rows if "loss" in row]
print(f"{len(losses)} losses, the first {losses[0]:.4g}, the last {losses[-1]:.4g}")
sys.exit(not losses[-1] < 0.7 * losses[0])
PY
}

# A benchmark's JSON beside its log.
measure() {
    local name=$1
    shift
    "$build/tstar" bench "$@" --device $device --json >"$logs/$name.json" && cat "$logs/$name.json"
}
sample_figures() {
    local T
    for T in 1.0 0.4; do
        measure "sample_T$T" sample configs/bench/cifar10.yaml --fast --steps 100 --set sample.batch=512 --set train.T=$T || return 1
    done
}

export -f build_all each golden_files sanitizers mnist measure sample_figures
export build golden data logs python device

stage build 200 bash -c build_all
stage device 30 "$build/tstar" bench train configs/bench/digits8.yaml --device $device --steps 1
stage operations 60 "$build/tests/test_operations" $device
stage operations_fast 60 "$build/tests/test_operations" $device fast
export TSTAR_TEST_DEVICE=$device
stage tests 120 bash -c 'each test_parity test_training test_sampler test_oracle test_params'
stage golden 40 bash -c golden_files
TSTAR_TEST_FAST=1 stage golden_fast 40 bash -c golden_files
unset TSTAR_TEST_DEVICE
stage sanitizers 120 bash -c sanitizers
stage mnist 60 bash -c mnist
config=configs/bench/cifar10.yaml
stage train 40 bash -c "measure train train $config --fast --steps 30 --set train.batch=512"
stage train_128 40 bash -c "measure train_128 train $config --fast --steps 50 --set train.batch=128"
stage train_float32 40 bash -c "measure train_float32 train $config --steps 10 --set train.batch=128"
stage sample 60 bash -c sample_figures
stage ops 40 bash -c "measure ops ops $config --fast --set train.batch=512"
if "$python" -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
    stage peer 150 "$python" bench/compare_gpu.py --tstar "$build/tstar" --json "$logs/peer.json"
else
    echo "peer: no PyTorch that sees a card"
fi

# ---- results ---------------------------------------------------------------------------------------------

name=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -n 1)
card=$(echo "${name:-none}" | tr -c 'A-Za-z0-9\n' '-' | tr 'A-Z' 'a-z')
folder=bench/results/$card
mkdir -p "$folder"
date=$(date -u +%Y-%m-%dT%H%M%SZ)
"$python" tools/gpu_results.py "$logs" "$folder/$date" "${name:-none}" || failed=$((failed + 1))
if [ -n "$out" ]; then
    mkdir -p "$out"
    cp "$folder/$date".* "$out"
    tail -n +1 "$logs"/*.log | tail -c 8000000 >"$out/check.log"
fi
echo "$((SECONDS - begun)) s in all; $failed stages did not pass"
[ $failed = 0 ]
