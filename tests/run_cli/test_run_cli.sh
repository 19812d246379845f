#!/bin/sh
# Whole-program tests of bad input, locks, interruption and resume: test_run_cli.sh PROGRAM SOURCE_DIR
# Every mistake must end with its exit status and one line on stderr that says what was expected.
set -u
program=$1
configs=$2/configs
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
. "$2/tests/support/program.sh"

# refused STATUS TEXT ARGUMENTS...: must end with STATUS and one line that contains TEXT.
refused() {
    says "$@"
    shift 2
    [ "$(wc -l <err)" = 1 ] || fail "tstar $*: more than one line: $(cat err)"
    [ -s out ] && fail "tstar $*: prints a result all the same"
}

cat >small.yaml <<'END'
name: small
data:
  kind: mixture
  mixture: {weights: [1, 2], means: [-1, 1], stds: [0.2, 0.3], count: 256}
model: {kind: mlp, hidden: 16, blocks: 1}
train: {steps: 40, batch: 16, lr: 1e-2, warmup: 2, log_every: 10, checkpoint_every: 15}
END

# ---- help and the command line ----
works --help
works --version
for command in train fit sample elbo nll sweep quality report advise bench info; do
    works $command --help
    grep -q "^Usage: tstar $command" out || fail "tstar $command --help: no usage"
done
works info
grep -q 'oneDNN [1-9].*OpenBLAS [0-9]' out || fail "info names no libraries: $(cat out)"
grep -q '^libraries  libyaml [0-9].*, jansson [0-9].*, zlib [0-9].*, libpng [0-9]' out || fail "info: $(cat out)"
refused 2 'unknown command trian' trian
refused 2 '--stpes' train small.yaml --stpes 3
refused 2 'CONFIG' train
refused 2 '--out' train small.yaml
refused 2 '--T' elbo small.yaml --set model.kind=exact
refused 2 '--T x: should be a number' elbo small.yaml --T x
refused 2 '--start flow: should be normal' elbo small.yaml --T 0.4 --start flow
refused 2 '--threads 0' info --threads 0

# ---- configurations ----
printf 'train:\n  steps: 5\n  stepz: 6\n' >unknown.yaml
refused 2 'unknown.yaml:3: unknown key train.stepz (did you mean train.steps?)' train unknown.yaml --out none
printf 'train:\n  steps: many\n' >type.yaml
refused 2 'type.yaml:2: train.steps must be an integer, not many' train type.yaml --out none
printf 'train: {steps: [1\n' >syntax.yaml
refused 2 'syntax.yaml:2: not valid YAML' train syntax.yaml --out none
refused 2 'no_such.yaml' train no_such.yaml --out none
refused 2 '--set train.steps=0: train.steps must lie in [1, 2147483647]' train small.yaml --set train.steps=0 --out none
refused 2 'train.T must lie in [1e-06, 1], not 1.5' train small.yaml --set train.T=1.5 --out none
refused 2 'train.T must lie in (0.01, 1]' train small.yaml --set train.eps=0.01 --set train.T=0.01 --out none
refused 2 'T must lie in (1e-05, 1]' elbo small.yaml --set model.kind=exact --T 0
refused 2 'T must lie in (1e-05, 1]' elbo small.yaml --set model.kind=exact --T 1.01
refused 2 'T must lie in (0.001, 1]' sample small.yaml --set model.kind=exact --T 0.001
refused 2 'give a run directory' elbo small.yaml --T 0.4
refused 2 'model.ch_mult has 5 levels, so images must divide by 16, but these are 8x8' \
    train "$configs/bench/digits8.yaml" --set model.ch_mult=[1,1,1,1,1] --out none
refused 2 '--device gpu' train small.yaml --device gpu --out none
if ! "$program" info --json | grep -q '"cuda_available": true'; then
    refused 2 '--device cuda' train small.yaml --device cuda --out none
fi

# a CUDA device that does not load: refused where it is asked for, told where it could have been
mkdir there
cp "$program" there/tstar
echo 'no library' >there/libtstar_cuda.so
program=there/tstar
refused 2 '--device cuda: the CUDA device does not load: ' train small.yaml --device cuda --out none
works train small.yaml --threads 1 --out there/run --json
[ "$(grep -c '^tstar: running on the CPU: the CUDA device does not load: .*there/libtstar_cuda.so' err)" = 1 ] ||
    fail "auto says nothing of the CPU: $(cat err)"
grep -q '"device": ".*1 thread"' out || fail "train --json names no device: $(cat out)"
works train small.yaml --threads 1 --device cpu --out there/cpu
grep -q 'running on' err && fail "--device cpu excuses itself: $(cat err)"
works info
grep -q '^cuda .*not usable: the CUDA device does not load: ' out || fail "info: $(cat out)"
program=$1
[ -e none ] && fail "a refused request left the directory 'none' behind"

# ---- data files ----
refused 2 "data.path: $PWD/nowhere" train small.yaml --set data.kind=idx --set data.path=nowhere --set model.kind=ddpmpp --out none
mkdir data
printf '\000\000\010\004\000\000\000\001\000\000\000\001\000\000\000\001x' >data/train-images-idx3-ubyte
refused 2 'data/train-images-idx3-ubyte: not an IDX file of images' \
    train small.yaml --set data.kind=idx --set data.path=data --set model.kind=ddpmpp --out none
printf '\000\000\010\003\000\000\000\002\000\000\000\001\000\000\000\001x' >data/train-images-idx3-ubyte
refused 2 'data/train-images-idx3-ubyte: cut short: 17 bytes where its header of 2 images asks for 18' \
    train small.yaml --set data.kind=idx --set data.path=data --set model.kind=ddpmpp --out none
printf '\000\000\010\003\000\000\000\001\000\000\000\001\000\000\000\001xy' >data/train-images-idx3-ubyte
refused 2 'data/train-images-idx3-ubyte: too long' \
    train small.yaml --set data.kind=idx --set data.path=data --set model.kind=ddpmpp --out none

# ---- memory: a model beyond any machine's ----
refused 2 'not enough memory: ' \
    train small.yaml --set model.hidden=65536 --set model.blocks=256 --threads 1 --out none
[ -e none ] && rm -r none

# too little memory to start in: OpenBLAS's threads then never end, the program must all the same
if command -v timeout >/dev/null && (ulimit -v 180000) 2>/dev/null; then
    checks=$((checks + 1))
    (ulimit -v 180000; OPENBLAS_NUM_THREADS=2 timeout 60 "$program" train small.yaml --set model.hidden=8192 --threads 1 --out none) >out 2>err
    [ $? != 124 ] || fail "hangs where memory is short: $(cat err)"
    rm -rf none
fi

# and where no work needs them, at its end
if command -v timeout >/dev/null && (ulimit -v 180000) 2>/dev/null; then
    checks=$((checks + 1))
    (ulimit -v 180000; OPENBLAS_NUM_THREADS=2 timeout 60 "$program" info) >out 2>err
    status=$?
    # sanitizers need the address space themselves
    [ $status = 0 ] || grep -q Sanitizer err || fail "info where memory is short: $status: $(cat err)"
fi

# ---- training, the same again, resume ----
works train small.yaml --threads 1 --out whole --json
grep -q '"step": 40' out || fail "train --json: $(cat out)"
refused 2 'whole: holds a run already; continue it with --resume' train small.yaml --out whole
works train small.yaml --threads 1 --out again
same whole/checkpoint.safetensors again/checkpoint.safetensors
works train small.yaml --threads 1 --set train.steps=25 --out longer
works train small.yaml --threads 1 --out longer --resume --set train.steps=40 --json
grep -q '"loss": [0-9]' out || fail "train --resume --json: $(cat out)"
works train small.yaml --threads 1 --out longer --resume --json
for key in loss gradient_norm images_per_second; do
    grep -q "\"$key\": null" out || fail "train --resume --json with nothing to do: $(cat out)"
done
same whole/checkpoint.safetensors longer/checkpoint.safetensors
cp whole/config.yaml before.yaml
refused 2 'whole: this run has model.hidden = 16, not 24' train small.yaml --set model.hidden=24 --out whole --resume
refused 2 'whole: this run has seed = 1, not 2' train small.yaml --seed 2 --out whole --resume
refused 2 'whole: this run has sde.kind = vp, not subvp' train small.yaml --set sde.kind=subvp --out whole --resume
same whole/config.yaml before.yaml
refused 2 'whole: this run has sde.kind = vp, not subvp' elbo whole --T 0.4 --set sde.kind=subvp
refused 2 'whole: this run has model.blocks = 1, not 2' sample whole --T 0.4 --set model.blocks=2
refused 2 'whole: this run has seed = 1, not 2' fit whole --T 0.4 --seed 2
works sample whole --T 0.4 -n 4 --seed 2 --out other_seed.safetensors
works elbo whole --T 0.4 --set model.kind=exact
works elbo whole --T 1.0,0.4 --start normal,mixture --json
if command -v python3 >/dev/null; then
    python3 - <<'END' 2>/dev/null || fail "elbo --json is not as promised: $(cat out)"
import json
rows = json.load(open("out"))
assert [(r["T"], r["start"]) for r in rows] == [(1.0, "normal"), (1.0, "mixture"), (0.4, "normal"), (0.4, "mixture")]
for r in rows:
    for key in "elbo_nats elbo_ci95_nats bpd bpd_ci95 reconstruction_nats prior_nats diffusion_nats kl_prior_nats K_nats".split():
        assert isinstance(r[key], float), key
    assert abs(r["elbo_nats"] - (r["reconstruction_nats"] - r["prior_nats"] - r["diffusion_nats"])) < 1e-9
END
fi
works nll whole --T 1.0,0.4 --start normal,mixture --set data.mixture.count=64 --json
if command -v python3 >/dev/null; then
    python3 - <<'END' 2>/dev/null || fail "nll --json is not as promised: $(cat out)"
import json, math
rows = json.load(open("out"))
assert [(r["T"], r["start"]) for r in rows] == [(1.0, "normal"), (1.0, "mixture"), (0.4, "normal"), (0.4, "mixture")]
d = 1
for r in rows:
    for key in "log_prob_nats log_prob_ci95_nats bpd bpd_ci95 nfe".split():
        assert isinstance(r[key], float), key
    assert r["nfe"] >= 14 and abs(r["bpd"] + r["log_prob_nats"] / (d * math.log(2))) < 1e-9
assert rows[0]["nfe"] == rows[1]["nfe"] and rows[2]["log_prob_nats"] != rows[3]["log_prob_nats"]
END
fi
works nll whole --T 0.4 --set data.mixture.count=8
grep -q '^T  *start  *log_prob (nats)  *bpd  *nfe$' out || fail "nll: $(cat out)"
works nll small.yaml --set model.kind=exact --set data.mixture.count=1 --T 0.4 --json
grep -q '"log_prob_ci95_nats": null' out || fail "nll --json of one datum: $(cat out)"
[ "$(head -c 1 out)" = '{' ] || fail "nll --json of one row is no object: $(cat out)"
refused 2 'nll: --T is missing' nll whole
refused 2 'T must lie in (1e-05, 1], above train.eps = 1e-05' nll small.yaml --set model.kind=exact --T 0
refused 2 'T must lie in (0.001, 1], above likelihood.eps' nll small.yaml --set model.kind=exact --set likelihood.eps=1e-3 --T 1e-4
refused 2 'tstar fit whole --T 0.4' nll whole --T 0.4 --start glow
refused 2 'likelihood.probe must be one of rademacher|normal' nll whole --T 0.4 --set likelihood.probe=uniform
works elbo whole --T 0.4 --set data.mixture.count=1 --json
grep -q '"elbo_ci95_nats": null' out || fail "elbo --json of one datum: $(cat out)"
[ "$(head -c 1 out)" = '{' ] || fail "elbo --json of one row is no object: $(cat out)"
works sample whole --T 0.4 --start mixture -n 8 --out samples.safetensors
[ -s samples.safetensors ] || fail "sample wrote nothing"
refused 2 'tstar fit whole --T 0.4' elbo whole --T 0.4 --start glow
refused 2 'mixture data start from normal, gaussian, dpmixture or mixture' fit whole --T 0.4
refused 2 'there is nothing to fit of a mixture start' fit whole --T 0.4 --start gaussian,mixture
refused 2 'fit: --T is missing' fit whole --start gaussian,glow
works fit whole --start gaussian --json
grep -q '"T": null' out && grep -q '"reused": false' out && [ -s whole/gaussian.safetensors ] ||
    fail "fit --start gaussian: $(cat out)"
works fit whole --start gaussian --T 1.0,0.4
[ "$(grep -c 'fitted already' out)" = 2 ] || fail "fit --start gaussian again: $(cat out)"
refused 2 'tstar fit whole --start dpmixture' elbo whole --T 0.4 --start dpmixture
works fit whole --start dpmixture --json --set start.components=4
grep -q '"T": null' out && grep -q '"start": "dpmixture"' out && [ -s whole/dpmixture.safetensors ] ||
    fail "fit --start dpmixture: $(cat out)"
refused 2 'start.components = 4, not 16, and would be replaced' fit whole --start dpmixture
works fit whole --start dpmixture --force
works elbo whole --T 0.4 --start normal,gaussian,dpmixture --json
works sample whole --T 0.4 --start dpmixture -n 8 --out dpmixture_samples.safetensors
works sample whole --T 0.4 --start gaussian -n 8 --out gaussian_samples.safetensors

# ---- images of more than 256 dimensions: a mixture of factor analysers in every command ----
mkdir large_data
digits=$2/src/host/data/digits/train-images-idx3-ubyte
for set in train:120 t10k:010; do # 80 and 8 images [20,20], each of a few digits
    {
        printf '\000\000\010\003\000\000\000\'"${set#*:}"'\000\000\000\024\000\000\000\024'
        tail -c +17 "$digits" | head -c $((80 * 400))
    } | head -c $((16 + 400 * 0${set#*:})) >"large_data/${set%:*}-images-idx3-ubyte"
done
cat >large.yaml <<'END'
data: {kind: idx, path: large_data}
model: {nf: 4, ch_mult: [1, 1], num_res_blocks: 1}
train: {steps: 1, batch: 4, warmup: 0}
start: {components: 3, factors: 2, floor: 1e-3}
bound: {draws: 1, prior_draws: 1}
likelihood: {rtol: 1e-2, atol: 1e-2}
sample: {steps_per_unit: 10}
sweep: {T: [0.4], starts: [gaussian, dpmixture], samplers: [em], samples: 4}
END
works train large.yaml --out large --threads 1
works fit large --start dpmixture --threads 1
grep -q '"factors"' large/dpmixture.safetensors || fail "a mixture for 400 dimensions has no factors"
works elbo large --T 0.4 --start normal,dpmixture --threads 1 --json
works nll large --T 0.4 --start dpmixture --threads 1 --json
works sample large --T 0.4 --start dpmixture -n 2 --out large.png --threads 1
works sweep large.yaml --out large_sweep --threads 1
grep -q '^0.4,dpmixture,' large_sweep/sweep.csv || fail "sweep: $(cat large_sweep/sweep.csv)"
works advise large_sweep --seconds-per-image 10 --images 50000 --json
if command -v python3 >/dev/null; then
    python3 - <<'END' 2>/dev/null || fail "advise --json is not as promised: $(cat out)"
import csv, json
a = json.load(open("out"))
rows = list(csv.DictReader(open("large_sweep/sweep.csv")))
best = min(rows, key=lambda r: float(r["sliced_wasserstein"]))
assert (a["start"], a["sampler"]) == (best["start"], best["sampler"]) and a["T"] == 0.4
assert abs(a["measured_distance"] - float(best["sliced_wasserstein"])) < 1e-6
assert a["predicted_distance"] == a["measured_distance"] and isinstance(a["steps"], int)
assert a["nfe"] == float(best["nfe"]) and a["candidates"] == len(rows)
costs = json.load(open("large_sweep/sweep.json"))["costs"]
draw = [s["seconds_per_image"] for s in costs["starts"] if s["start"] == a["start"]][0]
evaluation = [s["seconds_per_image"] for s in costs["evaluations"] if s["sampler"] == a["sampler"]][0]
assert abs(a["seconds_per_image"] - (draw + a["nfe"] * evaluation)) < 1e-9 and draw > 0 and evaluation > 0
assert abs(a["total_seconds"] - a["training_and_fit_seconds"] - 50000 * a["seconds_per_image"]) < 1e-3
assert costs["training_step_seconds"] > 0 and a["training_and_fit_seconds"] > costs["training_step_seconds"]
END
fi
works advise large_sweep --hours 100 --images 10
grep -q '^tstar sample large_sweep --T 0.4 --start [a-z]* --sampler em --set sample.steps=4$' out || fail "advise: $(cat out)"
refused 2 '3 network evaluations a sample are too few: what this sweep measured takes at least 5' advise large_sweep --nfe 3
refused 2 '--hours needs --images N' advise large_sweep --hours 2
refused 2 'are too few' advise large_sweep --seconds-per-image 1e-9
refused 2 'full covariances for at most 256 dimensions, and these data have 400' \
    fit large --start dpmixture --set start.covariance=full

# ---- a finished fit is replaced by force alone ----
works train "$configs/digits.yaml" --out pictures --threads 1 --set model.nf=4 --set model.num_res_blocks=1 \
    --set train.steps=1 --set train.batch=4 --set train.warmup=0
works fit pictures --T 0.4 --threads 1 --set glow.steps=2 --set glow.hidden=4
refused 2 'glow_T0.4.safetensors: is a finished fit with glow.steps = 2, not 3, and would be replaced; tstar fit pictures --T 0.4 --force does that' \
    fit pictures --T 0.4 --set glow.steps=3 --set glow.hidden=4
works fit pictures --T 0.4 --threads 1 --set glow.steps=3 --set glow.hidden=4 --force --json
grep -q '"steps": 3' out || fail "fit --force --json: $(cat out)"

# killed at a random place, and interrupted by a signal: resumed, both end like the whole run
sed 's/steps: 40/steps: 4000/; s/checkpoint_every: 15/checkpoint_every: 100/' small.yaml >long.yaml
works train long.yaml --threads 1 --out uninterrupted
for signal in KILL INT TERM; do
    checks=$((checks + 1))
    "$program" train long.yaml --threads 1 --out "stopped_$signal" >out 2>err &
    child=$!
    tries=0
    while [ ! -e "stopped_$signal/checkpoint.safetensors" ] && [ $tries -lt 600 ]; do
        sleep 0.02
        tries=$((tries + 1))
    done
    refused 2 "stopped_$signal: another process is writing this run" train long.yaml --out "stopped_$signal" --resume
    kill -$signal $child 2>/dev/null || fail "the run was over before it could be stopped: more steps are needed"
    wait $child
    status=$?
    case $signal in
    KILL) [ $status = 137 ] || fail "after SIGKILL: exit status $status" ;;
    *) [ $status = 130 ] || fail "after SIG$signal: exit status $status instead of 130: $(cat err)" ;;
    esac
    works train long.yaml --threads 1 --out "stopped_$signal" --resume
    same uninterrupted/checkpoint.safetensors "stopped_$signal/checkpoint.safetensors"
    if [ "$(grep -c '"step"' "stopped_$signal/log.jsonl")" -lt 400 ]; then
        fail "stopped_$signal/log.jsonl lost lines"
    fi
done

# ---- what a killed writer leaves behind goes when the run is opened again; a living one's stays ----
checks=$((checks + 1))
: >whole/checkpoint.safetensors.999999999.tmp
: >whole/checkpoint.safetensors.$$.tmp
works train small.yaml --threads 1 --out whole --resume
if [ -e whole/checkpoint.safetensors.999999999.tmp ] || [ ! -e whole/checkpoint.safetensors.$$.tmp ]; then
    fail "leftovers: $(ls whole)"
fi
rm whole/checkpoint.safetensors.$$.tmp

# ---- results that cannot be written are known before they are made, or end with an error ----
refused 2 'samples.bmp: should end in .png or .safetensors' sample whole --T 0.4 -n 8 --out samples.bmp
refused 2 'vectors have no picture' sample whole --T 0.4 -n 8 --out samples.png
refused 2 'nowhere/samples.safetensors: cannot write' sample whole --T 0.4 -n 8 --out nowhere/samples.safetensors
if [ -c /dev/full ]; then
    checks=$((checks + 1))
    "$program" info >/dev/full 2>err
    status=$?
    [ $status = 2 ] && grep -q 'standard output: cannot write' err || fail "output lost: exit status $status: $(cat err)"
fi

# ---- divergence: the last good checkpoint stays ----
cp whole/checkpoint.safetensors before.safetensors
refused 2 'is not finite; the checkpoint of step 40 stays' \
    train small.yaml --set train.steps=80 --set train.lr=1e30 --threads 1 --out whole --resume
same whole/checkpoint.safetensors before.safetensors
works train small.yaml --threads 1 --out whole --resume

# ---- a damaged checkpoint ----
for bytes in 0 7 200 5000; do
    head -c $bytes whole/checkpoint.safetensors >cut
    cp -r whole damaged
    cp cut damaged/checkpoint.safetensors
    refused 2 'damaged/checkpoint.safetensors' train small.yaml --set train.steps=50 --out damaged --resume
    same damaged/checkpoint.safetensors cut
    refused 2 'damaged/checkpoint.safetensors' elbo damaged --T 0.4
    rm -r damaged
done

# ---- a full disk: needs a small file system of its own ----
cat >full.sh <<'END'
mount -t tmpfs -o size=32k tmpfs full || exit 77
"$1" train small.yaml --set model.hidden=64 --threads 1 --out full/run >out 2>err
status=$?
umount full
exit $status
END
mkdir full
if unshare -rm sh -c 'mount -t tmpfs -o size=32k tmpfs full' 2>/dev/null; then
    checks=$((checks + 1))
    unshare -rm sh full.sh "$program"
    status=$?
    if [ $status != 2 ] || ! grep -q '^tstar: .*full/run/.*[Nn]o space' err; then
        fail "full disk: exit status $status: $(cat err)"
    fi
else
    echo "no right to mount a small file system here: a full disk is not tested"
fi

echo "$checks checks, $failures failed"
[ $failures = 0 ]
