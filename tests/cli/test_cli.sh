#!/bin/sh
# What the command line says and does by itself: test_cli.sh PROGRAM SOURCE_DIR
set -u
program=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
. "$2/tests/support/program.sh"

# Waits until the file is there.
await() {
    tries=0
    while [ ! -s "$1" ] && [ $tries -lt 1000 ]; do
        sleep 0.02
        tries=$((tries + 1))
    done
}

cat >small.yaml <<'END'
name: small
data:
  kind: mixture
  mixture: {weights: [1, 2], means: [-1, 1], stds: [0.2, 0.3], count: 256}
model: {kind: mlp, hidden: 16, blocks: 1}
train: {steps: 40, batch: 16, lr: 1e-2, warmup: 2, log_every: 10, checkpoint_every: 15}
sample: {steps_per_unit: 20}
END

# ---- what was probably meant ----
says 2 'unknown command trian; did you mean train?' trian
says 2 'unknown command xyzzy (see' xyzzy
says 2 'unknown option --rsume; did you mean --resume?' train small.yaml --rsume
says 2 'unknown option --sede=3; did you mean --seed?' train small.yaml --sede=3
says 2 'unknown option --qqqqqq (see' train small.yaml --qqqqqq
says 2 '--sampler hein: should be em, heun,' sample x --T 0.4 --sampler hein
grep -q 'did you mean heun?' err || fail "no suggestion: $(cat err)"
says 2 '--start normal,glw: should be' elbo x --T 0.4 --start normal,glw
grep -q 'did you mean glow?' err || fail "no suggestion: $(cat err)"
says 2 "no benchmark 'smaple'; there are train, sample, ops; did you mean sample?" bench smaple small.yaml
says 2 '--device foo: should be auto, cpu or cuda' info --device foo
says 2 '--nfe 0: should be a whole number from 1' advise x --nfe 0
says 2 '--seconds-per-image -1: should be a number above 0, such as 0.01' advise x --seconds-per-image -1
says 2 '--hours nan: should be a number above 0' advise x --hours nan --images 3
says 2 'RUN missing; usage: tstar advise RUN' advise --nfe 20
says 2 'x holds no finished sweep (sweep.json)' advise x --nfe 20
says 2 'did you mean cuda?' info --device cdua
says 2 '--device cuda:x: should be' info --device cuda:x
works info --device cpu
grep -q 'pc  *(1 + sample.corrector_steps) N$' out || fail "no cost of a sampler's steps: $(cat out)"
says 2 'sweep.nfe: 1 is too few evaluations for a step of em, which takes 2 with denoising' sweep small.yaml --set sweep.nfe=1 --out none
[ ! -e none ] || fail "a sweep that cannot be was begun"
# keys of a configuration as before
says 2 'did you mean train.steps?' train small.yaml --set train.stepz=3 --out none

# ---- going on to the run's own target, and beyond what is asked ----
works train small.yaml --threads 1 --set train.steps=70 --out run
grep -q '^T\* from normal [01]\.[0-9][0-9] ([01]\.[0-9][0-9] to [01]\.[0-9][0-9]), from gaussian .*: 95 % over held-out data$' out ||
    fail "train names no T*: $(cat out)"
says 2 'run: holds a run already; continue it with --resume' train small.yaml --out run
works train small.yaml --threads 1 --out run --resume --json
grep -q '"step": 70' out || fail "the run's own target is lost: $(cat out)"
grep -q 'steps: 70' run/config.yaml || fail "the run's own target is lost: $(grep steps: run/config.yaml)"
works train small.yaml --threads 1 --out run --resume --set train.steps=20
grep -q '^trained for 70 steps already, more than train.steps = 20' out || fail "trained further: $(cat out)"
grep -q '70 of 20' out err && fail "70 of 20 steps: $(cat out err)"
works train small.yaml --threads 1 --out run --resume --set 'train={steps: 80}' --json
grep -q '"step": 80' out || fail "--set train={steps: 80}: $(cat out)"

# ---- a start's own score above T* ----
works elbo run --T 1,0.5 --start normal,gaussian --score hybrid --threads 1 --json
grep -q '^tstar: score of gaussian itself above T\* = [01][.0-9]*, the run.s below$' err || fail "hybrid: $(cat err)"
works sample run --T 1 --start gaussian --score hybrid --hybrid-at 0.4 --threads 1 -n 4 --json
grep -q '"nfe": 9\.0' out || fail "the start's own evaluations are the network's: $(cat out)"
[ -f run/samples_T1.0_gaussian_hybrid_em.safetensors ] || fail "no samples of the hybrid: $(ls run)"
says 2 'carries no glow from one T to another' sample run --T 1 --start glow --score hybrid --hybrid-at 0.4
says 2 "no T_star_mixture stands in the run's log.jsonl: --hybrid-at T says it" elbo run --T 1 --start mixture --score hybrid
says 2 '--hybrid-at goes with --score hybrid' elbo run --T 1 --hybrid-at 0.4

# ---- names of samples ----
works sample run --T 0.4 -n 4 --threads 1
[ -s run/samples_T0.4_normal_em.safetensors ] || fail "no sampler in the name: $(cat out)"
cp run/samples_T0.4_normal_em.safetensors before
works sample run --T 0.4 -n 4 --threads 1 --seed 5
same before run/samples_T0.4_normal_em.safetensors
[ -s run/samples_T0.4_normal_em_2.safetensors ] || fail "no number: $(cat out)"
works sample run --T 0.4 -n 4 --threads 1 --sampler heun --start mixture --json
[ -s run/samples_T0.4_mixture_heun.safetensors ] || fail "no sampler in the name: $(cat out)"
grep -q '"start": "mixture"' out && grep -q '"sampler": "heun"' out && ! grep -q prior out || fail "sample --json: $(cat out)"
works sample run --T 0.4 -n 4 --threads 1 --out mine.safetensors
cp mine.safetensors before
says 2 'mine.safetensors: is there already; --force replaces it' sample run --T 0.4 -n 4 --seed 5 --out mine.safetensors
same before mine.safetensors
works sample run --T 0.4 -n 4 --threads 1 --seed 5 --out mine.safetensors --force
cmp -s before mine.safetensors && fail "--force replaced nothing"
works elbo run --T 0.4 --threads 1 --json
grep -q '"start": "normal"' out && grep -q '"prior_nats"' out && ! grep -q '"prior":' out || fail "elbo --json: $(cat out)"
works elbo run --T 0.4 --threads 1
grep -q '^T  *start ' out || fail "elbo: $(cat out)"

# ---- interrupted: what continues is the command's word ----
sed 's/steps: 40/steps: 400000/; s/checkpoint_every: 15/checkpoint_every: 100/' small.yaml >long.yaml
"$program" train long.yaml --threads 1 --out stopped >out 2>err &
child=$!
await stopped/checkpoint.safetensors
kill -HUP $child
wait $child
[ $? = 130 ] || fail "after SIGHUP: $(cat err)"
checks=$((checks + 1))
grep -q 'interrupted at step [0-9]* of 400000; --resume continues from here' err || fail "train: $(cat err)"
step=$(sed -n 's/.*interrupted at step \([0-9]*\) of.*/\1/p' err)
works train long.yaml --threads 1 --out stopped --resume --set train.steps="$step"
grep -q "^$step steps: trained already" out || fail "SIGHUP saved no checkpoint: $(cat out)"

cat >images.yaml <<'END'
name: images
data: {kind: digits, limit: 32}
model: {kind: ddpmpp, nf: 8, ch_mult: [1, 2], num_res_blocks: 1, attn_resolutions: []}
train: {steps: 2, batch: 4, log_every: 1}
glow: {levels: 2, steps_per_level: 1, hidden: 8, steps: 100000, batch: 4}
END
works train images.yaml --threads 1 --out images
"$program" fit images --T 0.4 --threads 1 >out 2>err &
child=$!
await images/glow_T0.4.jsonl
kill -INT $child
wait $child
checks=$((checks + 1))
grep -q 'interrupted at step .*; the same command goes on with what is missing' err || fail "fit: $(cat err)"
grep -q -e '--resume' err && fail "fit has no --resume: $(cat err)"

"$program" sweep long.yaml --out swept >out 2>err &
child=$!
await swept/checkpoint.safetensors
kill -TERM $child
wait $child
checks=$((checks + 1))
grep -q 'interrupted at step .*; the same command continues from here' err || fail "sweep: $(cat err)"
[ "$(nproc)" = 1 ] || grep -q '^tstar: [0-9]* workers, 1 thread each$' err || fail "sweep, workers: $(cat err)"

# a terminal that closes under nohup ends nothing
(trap '' HUP; exec "$program" train small.yaml --threads 1 --set train.steps=3000 --out nohup >out 2>err) &
child=$!
await nohup/log.jsonl
kill -HUP $child 2>/dev/null
wait $child || fail "SIGHUP that is ignored ends the run: $(cat err)"
checks=$((checks + 1))

# ---- standard files that are closed: nothing that is printed lands in a file of the run ----
for closed in '>&- 2>&-' '<&- >&- 2>&-' '2>&-' '<&-'; do
    checks=$((checks + 1))
    rm -rf closed
    eval "\"\$program\" train small.yaml --threads 1 --out closed $closed" >out 2>err ||
        fail "with $closed: exit status $?: $(cat out err)"
    grep -qv '^{.*}$' closed/log.jsonl && fail "with $closed: $(cat closed/log.jsonl)"
    works train small.yaml --threads 1 --out closed --resume
    same closed/checkpoint.safetensors closed/checkpoint.safetensors
done

# ---- threads: how they wait, how many there are ----
# environment_of NAME: the value that the program gave itself; the training is ended.
environment_of() {
    rm -rf waiting
    "$@" "$program" train long.yaml --out waiting >out 2>err &
    child=$!
    await waiting/log.jsonl
    tr '\0' '\n' <"/proc/$child/environ" >environment
    kill -TERM $child
    wait $child
}
if [ -r /proc/self/environ ]; then
    checks=$((checks + 3))
    environment_of env -u GOMP_SPINCOUNT -u OMP_WAIT_POLICY -u OPENBLAS_NUM_THREADS
    grep -qx OMP_WAIT_POLICY=passive environment && grep -qx OPENBLAS_NUM_THREADS=1 environment ||
        fail "threads spin: $(grep -E 'OMP|BLAS' environment)"
    environment_of env -u GOMP_SPINCOUNT OMP_WAIT_POLICY=active
    grep -qx OMP_WAIT_POLICY=active environment || fail "the user's policy is not kept: $(grep OMP environment)"
    environment_of env -u OMP_WAIT_POLICY GOMP_SPINCOUNT=77
    grep -qx GOMP_SPINCOUNT=77 environment && ! grep -q OMP_WAIT_POLICY environment ||
        fail "the user's count is not kept: $(grep OMP environment)"
fi
if [ "$(nproc)" -gt 1 ]; then
    works train small.yaml --out few --json
    grep -q "^tstar: 1 of $(nproc) threads: " err || fail "too many threads for a small network: $(cat err)"
    grep -q '1 thread"' out || fail "the device has other threads: $(cat out)"
    grep -q ', 1 thread$' few/command.txt || fail "command.txt: $(cat few/command.txt)"
    works train small.yaml --threads 2 --out two --json
    grep -q 'threads: ' err && fail "--threads is not the user's: $(cat err)"
    grep -q '2 threads"' out || fail "--threads 2: $(cat out)"
    works sample few --T 0.4 -n 2
    grep -q "^tstar: 1 of $(nproc) threads: " err || fail "sample: $(cat err)"
    works fit images --T 0.4 --set glow.steps=1
    grep -q "^tstar: 1 of $(nproc) threads: " err || fail "fit: $(cat err)"
fi

# ---- before a long run: its time and memory, in one line ----
"$program" train long.yaml --threads 1 --set train.steps=2000000000 --out estimated >out 2>err &
child=$!
await estimated/log.jsonl
kill -TERM $child
wait $child
checks=$((checks + 1))
[ "$(grep -c '^tstar: train: about [0-9:]*, at most [0-9.]* MiB of memory$' err)" = 1 ] || fail "estimate: $(cat err)"
works train small.yaml --threads 1 --out short
grep -q 'of memory' err && fail "an estimate of what is over at once: $(cat err)"

# ---- manual pages and completions say what --help says ----
works --documents documents
for command in $(sed -n 's/^        '"'"'\([a-z]*\):.*/\1/p' documents/_tstar); do
    works "$command" --help
    page=documents/man1/tstar-$command.1
    for option in $(sed -n 's/^  --\([A-Za-z-]*\).*/\1/p' out); do
        checks=$((checks + 1))
        grep -qF "\\fB\\-\\-$(echo "$option" | sed 's/-/\\-/g')\\fR" "$page" || fail "$page has no --$option"
        sed -n "/^    $command) options=/p" documents/tstar.bash | grep -q -e "--$option " || fail "bash: $command --$option"
        sed -n "/^    $command)/,/;;/p" documents/_tstar | grep -q -e "--$option\\[" || fail "zsh: $command --$option"
    done
    grep -qF "tstar\\-$command" documents/man1/tstar.1 || fail "tstar.1 has no $command"
done
[ $checks -gt 100 ] || fail "the list of commands is not found"
if command -v groff >/dev/null; then
    checks=$((checks + 1))
    groff -man -Tutf8 -ww -z documents/man1/*.1 >out 2>&1
    [ -s out ] && fail "manual pages: $(cat out)"
fi
if command -v bash >/dev/null; then
    cat >complete.bash <<'END'
. documents/tstar.bash
compopt() { :; }
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_tstar
printf '%s\n' "${COMPREPLY[@]}"
END
    # completes WORDS... : EXPECTED
    completes() {
        expected=$1
        shift
        checks=$((checks + 1))
        got=$(bash complete.bash "$@" | tr '\n' ' ')
        [ "$got" = "$expected " ] || fail "completion of $*: '$got' instead of '$expected'"
    }
    completes 'sweep' tstar sw
    completes '--sampler' tstar sample run --sa
    completes 'heun' tstar sample run --sampler h
    completes 'sample' tstar bench sa
    completes 'small.yaml' tstar train sm
    completes 'train.steps=' tstar train small.yaml --set train.ste
fi
if command -v zsh >/dev/null; then
    checks=$((checks + 1))
    zsh -n documents/_tstar || fail "zsh does not read _tstar"
fi

# ---- what needs a card says so at once ----
if ! ls /dev/nvidia[0-9]* >/dev/null 2>&1 && ! command -v nvidia-smi >/dev/null; then
    checks=$((checks + 1))
    "$2/tools/gpu_check.sh" >out 2>err
    status=$?
    [ $status = 2 ] && [ "$(wc -l <err)" = 1 ] && [ ! -s out ] || fail "gpu_check.sh: exit status $status: $(cat out err)"
fi

echo "$checks checks, $failures failed"
[ $failures = 0 ]
