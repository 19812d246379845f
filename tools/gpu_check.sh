#!/bin/bash
# Everything that needs a card, in one call: builds, tests on the card, measures, writes bench/results/CARD/DATE.json
# and .md.  Goes on after a failure (but for one of the build); exit status 1 if any stage did not pass.
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
#   --seconds N      for the whole call (default 530); stages that no longer fit are out of time
#   --python PYTHON  one that has PyTorch (default python3); without it the comparison is left out
#   --build FOLDER   where to build (default build-gpu)
#   --device NAME    default cuda; with cpu the script itself can be tried where there is no card
#   STAGE ...        only these (build first, unless it was built before); without arguments all but the last two:
#                      build        configure and compile
#                      smoke        one training step, a first look at the card
#                      operations operations_fast tests recordings golden golden_fast sanitizers
#                                   right or wrong, side by side
#                      train train_128 sample costs ops mnist train_float32 peer
#                                   figures, one after the other, the card to each
#                      compiled     against torch.compile in its mode max-autotune, which takes minutes to start
#                      sweep        a sweep of T on MNIST, with its network and its flows
# The folder .check is there for what travels with the tree but is none of it: .check/deps, .check/data and .check/golden
# are taken where their options are not given.
set -u
cd -- "$(dirname -- "$0")/.."

deps="" data="" golden="${TSTAR_GOLDEN:-}" out="" seconds=530 python=python3 build=build-gpu device=cuda only=""
packages="libdnnl-dev libdnnl2 ocl-icd-libopencl1 libopenblas-pthread-dev libopenblas0-pthread liblapacke-dev liblapacke
  libtmglib3 libgfortran5 libquadmath0 libyaml-dev libyaml-0-2 libjansson-dev libjansson4 zlib1g-dev zlib1g libpng-dev
  libpng16-16 libzip-dev libzip4 libcmocka-dev libcmocka0 pkgconf pkgconf-bin libpkgconf3"

usage() {
    sed -n '2,/^set -u/{/^#/s/^# \{0,1\}//p}' "$0"
    exit "$1"
}

while [ $# -gt 0 ]; do
    case $1 in
    --deps) deps=${2:-} ;;
    --data) data=${2:-} ;;
    --golden) golden=${2:-} ;;
    --out) out=${2:-} ;;
    --seconds) seconds=${2:-} ;;
    --python) python=${2:-} ;;
    --build) build=${2:-} ;;
    --device) device=${2:-} ;;
    --fetch-deps)
        [ $# -ge 2 ] || usage 2 >&2
        mkdir -p "$2" && cd "$2" || exit 1
        # shellcheck disable=SC2086
        exec apt-get -q download $packages $(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts \
            --no-breaks --no-replaces libjpeg-dev | grep '^libjpeg') # its names differ between distributions
        ;;
    -h | --help) usage 0 ;;
    -*)
        echo "tools/gpu_check.sh: there is no option $1; --help lists them" >&2
        exit 2
        ;;
    *)
        case " build smoke operations operations_fast tests recordings golden golden_fast sanitizers train train_128 sample costs ops
 mnist train_float32 peer compiled sweep " in
        *[[:space:]]"$1"[[:space:]]*) ;;
        *)
            echo "tools/gpu_check.sh: there is no stage $1; --help lists them" >&2
            exit 2
            ;;
        esac
        only="$only $1 "
        shift
        continue
        ;;
    esac
    if [ $# -lt 2 ] || [ -z "$2" ]; then
        echo "tools/gpu_check.sh: $1 needs a value" >&2
        exit 2
    fi
    shift 2
done
case $seconds in
*[!0-9]*)
    echo "tools/gpu_check.sh: --seconds $seconds: a number of seconds is needed" >&2
    exit 2
    ;;
esac

# A build takes minutes; where it could prove nothing, it does not begin.
if [ "$device" != cpu ] && ! compgen -G '/dev/nvidia[0-9]*' >/dev/null && ! nvidia-smi -L >/dev/null 2>&1; then
    echo "tools/gpu_check.sh: there is no card here (no /dev/nvidia0, and nvidia-smi lists none); --device cpu tries the script itself" >&2
    exit 2
fi

for folder in deps data golden; do
    [ -n "${!folder}" ] || [ ! -d ".check/$folder" ] || declare "$folder=.check/$folder"
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

# prepend NAME PATH...: in front of a list of folders in the environment
prepend() {
    local name=$1 all=""
    shift
    for folder in "$@"; do
        all=$all${all:+:}$folder
    done
    export "$name=$all${!name:+:${!name}}"
}

unpack() {
    if command -v dpkg-deb >/dev/null; then
        dpkg-deb -x "$1" "$root"
    else
        (cd "$root" && ar p "$1" data.tar.xz | tar xJ)
    fi
}

if [ -n "$deps" ]; then
    root=$build/deps
    mkdir -p "$root"
    for file in "$deps"/*.deb; do
        unpack "$file" || exit 1
    done
    find "$root" -type l -lname '/*' | while read -r link; do # absolute links meant another root
        ln -sf "$root$(readlink "$link")" "$link"
    done
    triple=$(basename "$(dirname "$(find "$root/usr/lib" -name 'libdnnl.so.[0-9]' | head -n 1)")")
    lib=$root/usr/lib/$triple
    export PATH=$PATH:$root/usr/bin
    export PKG_CONFIG_SYSROOT_DIR=$root PKG_CONFIG_LIBDIR=$lib/pkgconfig:$lib/openblas-pthread/pkgconfig
    prepend CMAKE_PREFIX_PATH "$root/usr"
    prepend CMAKE_LIBRARY_PATH "$lib" "$lib/openblas-pthread"
    prepend CMAKE_INCLUDE_PATH "$root/usr/include" "$root/usr/include/$triple"
    prepend CPATH "$root/usr/include" "$root/usr/include/$triple"
    prepend LIBRARY_PATH "$lib" "$lib/openblas-pthread"
    prepend LD_LIBRARY_PATH "$lib" "$lib/openblas-pthread"
fi

toolkit=""
for folder in "${CUDA_PATH:-/usr/local/cuda}" /usr/local/cuda "$(dirname "$(dirname "$(command -v nvcc || echo /none/none)")")"; do
    [ -x "$folder/bin/nvcc" ] && toolkit=$folder && break
done
[ -z "$toolkit" ] || export PATH=$PATH:$toolkit/bin

# What the toolkit lacks (cuDNN above all) as PyTorch brings it: in folders of its own, the libraries without the
# names that a linker looks for.
site=$("$python" -c 'import nvidia; print(list(nvidia.__path__)[0])' 2>/dev/null || true)
links=$build/links
rm -rf "$links"
mkdir -p "$links"
for part in cudnn cu13 cublas cuda_runtime cuda_nvrtc; do
    folder=$site/$part
    [ -n "$site" ] && [ -d "$folder/lib" ] || continue
    for library in "$folder"/lib/libcudnn.so.* "$folder"/lib/libcublasLt.so.*; do
        name=$(basename "${library%%.so.*}").so
        [ -e "$library" ] && [ ! -e "$toolkit/lib64/$name" ] && ln -sf "$library" "$links/$name"
    done
    export CMAKE_INCLUDE_PATH=${CMAKE_INCLUDE_PATH:+$CMAKE_INCLUDE_PATH:}$folder/include
    export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder/lib
done
prepend CMAKE_LIBRARY_PATH "$links"
prepend LD_LIBRARY_PATH "$build"

# ---- stages ----------------------------------------------------------------------------------------------

begun=$SECONDS
report=$logs/stages.tsv
: >"$report"

wanted() {
    case $only in
    "") [ "$1" != compiled ] && [ "$1" != sweep ] ;;
    *) [[ "$only" == *" $1 "* ]] ;;
    esac
}

# stage NAME SECONDS COMMAND...: output goes to NAME.log; what it prints last is shown.
stage() {
    local name=$1 limit=$2 start=$SECONDS left status verdict
    shift 2
    wanted "$name" || return 0
    left=$((seconds - (SECONDS - begun)))
    [ "$limit" -le $left ] || limit=$left
    if [ "$limit" -lt 5 ]; then
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
    printf '%s\t%s\t%d\n' "$name" "$verdict" $((SECONDS - start)) >>"$report"
    printf '%-16s %-12s %4d s   %s\n' "$name" "$verdict" $((SECONDS - start)) "$(tail -n 1 "$logs/$name.log" | cut -c1-100)"
    [ $status = 0 ] || sed 's/^/    | /' "$logs/$name.log" | grep -v '^    | ok' | tail -n 12
    return $status
}

build_all() {
    local cuda=ON
    [ "$device" != cpu ] || cuda=OFF
    command -v cmake >/dev/null || {
        echo "cmake is missing"
        return 1
    }
    # shellcheck disable=SC2046
    cmake -S . -B "$build" $(command -v ninja >/dev/null && echo -G Ninja) -DCMAKE_BUILD_TYPE=Release -DTSTAR_CUDA=$cuda \
        -DTSTAR_TESTS=ON ${golden:+-DTSTAR_GOLDEN="$golden"} ${data:+-DTSTAR_DATA="$data"} &&
        cmake --build "$build" --parallel "$(nproc)" --target $targets
}
targets="tstar test_operations test_golden test_parity test_training test_sampler test_oracle test_params test_recording
  test_glow"
[ "$device" = cpu ] || targets="$targets tstar_cuda"

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

# Own kernels under every tool; the libraries' under memcheck alone, for they read memory that they never wrote.
sanitizers() {
    local libraries="conv_forward conv_backward dense_forward dense_backward attention_forward attention_backward"
    local job rows worst=0 jobs=""
    command -v compute-sanitizer >/dev/null || {
        echo "compute-sanitizer is missing"
        return 77
    }
    for job in memcheck racecheck initcheck libraries; do
        rows="--except $libraries"
        [ $job != libraries ] || rows="--only $libraries"
        # shellcheck disable=SC2086
        compute-sanitizer --tool "${job/libraries/memcheck}" --error-exitcode 3 "$build/tests/test_operations" "$device" \
            fast $rows >"$logs/$job.log" 2>&1 &
        jobs="$jobs $job:$!"
    done
    for job in $jobs; do
        if wait "${job#*:}"; then
            echo "${job%:*}: nothing found"
        else
            echo "${job%:*}: failed"
            grep -v '^ok' "$logs/${job%:*}.log" | tail -n 15
            worst=1
        fi
    done
    return $worst
}

config_of_mnist() {
    if [ -d "$data/mnist" ]; then
        echo "configs/mnist.yaml --set data.path=$data/mnist"
    else
        echo "configs/digits.yaml"
    fi
}

mnist() {
    rm -rf "$logs/run"
    # shellcheck disable=SC2046
    "$build/tstar" train $(config_of_mnist) --set train.steps=1000 --set train.warmup=200 --set train.log_every=100 \
        --out "$logs/run" --device "$device" --fast &&
        "$build/tstar" sample "$logs/run" --T 1.0 -n 64 --device "$device" --fast &&
        "$python" - "$logs/run" <<'PY'
import glob, json, sys
rows = [json.loads(line) for name in glob.glob(sys.argv[1] + "/*.jsonl") for line in open(name)]
losses = [row["loss"] for row in rows if "loss" in row]
print(f"{len(losses)} losses, the first {losses[0]:.4g}, the last {losses[-1]:.4g}")
sys.exit(not losses[-1] < 0.7 * losses[0])
PY
}

sweep() {
    local start=$SECONDS
    rm -rf "$logs/sweep"
    # shellcheck disable=SC2046
    "$build/tstar" sweep $(config_of_mnist) --set 'sweep.T=[1.0,0.6,0.4,0.2]' --set train.steps=20000 --set train.warmup=1000 \
        --set glow.steps=5000 --set bound.count=1000 --set sweep.samples=512 --out "$logs/sweep" --device "$device" --fast &&
        echo "{\"sweep_seconds\": $((SECONDS - start))}" >"$logs/sweep.json"
}

# A benchmark's JSON beside its log.  Algorithms are chosen once for all benchmarks of a type.
measure() {
    local name=$1 algorithms=float32
    shift
    [[ " $* " != *" --fast "* ]] || algorithms=bfloat16
    "$build/tstar" bench "$@" --device "$device" --algorithms "$logs/algorithms_$algorithms.txt" --json >"$logs/$name.json" &&
        cat "$logs/$name.json"
}

# Whole runs of the sampler from two T.
costs() {
    local T
    for T in 1.0 0.4; do
        measure "sample_T$T" sample "$@" --set train.T=$T || return 1
    done
}

export -f build_all each golden_files sanitizers config_of_mnist mnist sweep measure costs
export build golden data logs python device targets

# The sizes of the figures; on a CPU only the script is tried.
config=configs/bench/cifar10.yaml large=512 small=128 steps=30 whole=1000
[ "$device" != cpu ] || config=configs/bench/digits8.yaml large=8 small=4 steps=3 whole=4

stage build 240 bash -c build_all
[ $? = 0 ] || seconds=0
stage smoke 60 "$build/tstar" bench train configs/bench/digits8.yaml --device "$device" --steps 1

stage operations 120 "$build/tests/test_operations" "$device" &
stage operations_fast 150 "$build/tests/test_operations" "$device" fast &
stage sanitizers 180 bash -c sanitizers &
export TSTAR_TEST_DEVICE=$device
stage tests 150 bash -c 'each test_parity test_training test_sampler test_oracle test_params' &
stage recordings 150 bash -c 'each test_recording test_glow' &
if [ -n "$golden" ]; then
    stage golden 90 bash -c golden_files &
    TSTAR_TEST_FAST=1 stage golden_fast 150 bash -c golden_files &
else
    echo "golden: no golden files"
fi
unset TSTAR_TEST_DEVICE
wait

stage train 120 bash -c "measure train train $config --fast --steps $steps --set train.batch=$large"
stage train_128 90 bash -c "measure train_128 train $config --fast --steps $((2 * steps)) --set train.batch=$small"
stage sample 60 bash -c "measure sample sample $config --fast --steps $((3 * steps)) --set sample.batch=$large"
stage costs 80 bash -c "costs $config --fast --steps $whole --set sample.batch=$small"
stage ops 60 bash -c "measure ops ops $config --fast --set train.batch=$large"
stage mnist 90 bash -c mnist
stage train_float32 50 bash -c "measure train_float32 train $config --steps 10 --set train.batch=$small"

peers="$python bench/compare_gpu.py --tstar $build/tstar --device $device --algorithms $logs/algorithms_bfloat16.txt $config"
if "$python" -c "import torch, sys; sys.exit('$device' != 'cpu' and not torch.cuda.is_available())" 2>/dev/null; then
    # What PyTorch keeps of a large batch for the backward pass may be more than the card has.
    eager="$peers --only eager --rounds 2 --json $logs/peer.json"
    stage peer 140 bash -c "$eager --batch $large || $eager --batch $small"
    stage compiled 520 bash -c "$peers --only compiled --rounds 2 --batch $large --json $logs/compiled.json"
else
    echo "peer: no PyTorch that sees a card"
fi
stage sweep 600 bash -c sweep

# ---- results ---------------------------------------------------------------------------------------------

name=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -n 1)
card=$(echo "${name:-none}" | tr -c 'A-Za-z0-9\n' '-' | tr 'A-Z' 'a-z')
folder=bench/results/$card
mkdir -p "$folder"
date=$(date -u +%Y-%m-%dT%H%M%SZ)
written=0
"$python" tools/gpu_results.py "$logs" "$folder/$date" "${name:-none}" || written=1
if [ -n "$out" ]; then
    mkdir -p "$out"
    cp "$folder/$date".* "$out"
    tail -n +1 "$logs"/*.log | tail -c 8000000 >"$out/check.log"
fi
failed=$(grep -vc "$(printf '\tok\t')" "$report")
echo "$((SECONDS - begun)) s in all; $failed stages did not pass"
[ "$failed" = 0 ] && [ $written = 0 ]
