#!/bin/sh
# The whole program on the emulated card: test_card.sh PROGRAM FOLDER, the folder of the emulated module.  The
# same run as on the CPU but for rounding, resumed to the bit, its algorithms kept; a card without memory, a card
# that is lost.
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$1" "$work/tstar" || exit 1 # away from a module of a real card
cd "$work" || exit 1
export LD_LIBRARY_PATH="$2${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
program=./tstar
. "$(dirname -- "$0")/../support/program.sh"

# fails STATUS TEXT ARGUMENTS...: must end with STATUS and one message that contains TEXT.
fails() {
    wanted=$1 pattern=$2
    shift 2
    says "$wanted" 'tstar: ' "$@"
    grep -q "^tstar: .*$pattern" err || fail "tstar $*: \"$pattern\" is not in: $(cat err)"
    [ "$(grep -c '^tstar: ' err)" = 1 ] || fail "tstar $*: more than one message: $(cat err)"
}

# close_to TOLERANCE FIRST SECOND: relative.
close_to() {
    checks=$((checks + 1))
    awk -v t="$1" -v a="$2" -v b="$3" 'BEGIN { exit !(a != "" && (a - b)^2 <= (t * b)^2) }' ||
        fail "$2 is not within $1 of $3"
}

last_loss() {
    sed -n 's/.*"loss": \([^,]*\),.*/\1/p' "$1/log.jsonl" | tail -n 1
}

cat >points.yaml <<'END'
name: points
data:
  kind: mixture
  mixture: {weights: [1, 2], means: [-1, 1], stds: [0.2, 0.3], count: 256}
model: {kind: mlp, hidden: 16, blocks: 1}
train: {steps: 20, batch: 16, lr: 1e-2, warmup: 2, log_every: 5, checkpoint_every: 10}
bound: {draws: 64, batch: 64}
END
cat >images.yaml <<'END'
name: images
data: {kind: digits, limit: 32}
model: {kind: ddpmpp, nf: 8, ch_mult: [1, 2], num_res_blocks: 1, attn_resolutions: [4], dropout: 0.1}
train: {steps: 6, batch: 4, warmup: 2, log_every: 1, checkpoint_every: 3}
glow: {levels: 2, steps_per_level: 1, hidden: 8, steps: 4, batch: 4}
sample: {steps_per_unit: 10, batch: 4}
END

works info
grep -q '^cuda  *Fake card' out || fail "info: $(cat out)"

# ---- the run of the CPU, but for rounding ----
for config in points images; do
    works train $config.yaml --device cpu --threads 1 --out $config.cpu
    works train $config.yaml --device cuda --out $config
    close_to 1e-5 "$(last_loss $config)" "$(last_loss $config.cpu)"
    grep -q '^product .*: ' $config/choices.txt || fail "no algorithms in $config"
done
works train images.yaml --device cuda --fast --out fast
close_to 1e-2 "$(last_loss fast)" "$(last_loss images.cpu)"
works elbo points --T 0.5 --device cpu --threads 1
on_cpu=$(awk '$1 == 0.5 { print $3 }' out)
works elbo points --T 0.5 --device cuda
close_to 1e-4 "$(awk '$1 == 0.5 { print $3 }' out)" "$on_cpu"
few="--set likelihood.count=4 --set likelihood.probes=2 --set likelihood.rtol=1e-3 --set likelihood.atol=1e-3"
# shellcheck disable=SC2086
works nll images --T 0.5 $few --device cpu --threads 1
on_cpu=$(awk '$1 == 0.5 { print $3 }' out)
# shellcheck disable=SC2086
works nll images --T 0.5 $few --device cuda
close_to 1e-3 "$(awk '$1 == 0.5 { print $3 }' out)" "$on_cpu"

# ---- resumed ----
works train images.yaml --set train.steps=3 --device cuda --out resumed
cp resumed/choices.txt before.txt
works train images.yaml --device cuda --out resumed --resume --set train.steps=6
same resumed/checkpoint.safetensors images/checkpoint.safetensors
same resumed/choices.txt before.txt

# ---- everything else that runs on a card ----
works sample images -n 4 --T 0.5 --device cuda --out em.safetensors
works sample images -n 4 --T 0.5 --sampler rk45 --device cuda --out ode.safetensors
works fit images --T 0.5 --device cuda
works bench train images.yaml --steps 2 --device cuda
works bench ops images.yaml --steps 1 --device cuda --fast
grep -q conv_backward out || fail "bench ops: $(cat out)"

# ---- a card without memory ----
cp -r points poor
FAKE_CARD_BYTES=100000 && export FAKE_CARD_BYTES
fails 2 'are needed: .*not enough memory on Fake card.* are free' train points.yaml --set model.hidden=256 \
    --device cuda --out none
fails 2 'train.batch = 60000.*not enough memory on Fake card.* are free' train points.yaml --set train.steps=30 \
    --set train.batch=60000 --device cuda --out poor --resume
unset FAKE_CARD_BYTES
same poor/checkpoint.safetensors points/checkpoint.safetensors

# ---- a card that is lost under way: the last checkpoint stays, and from there it goes on ----
cp -r points lost
cp -r points other
FAKE_CARD_LASTS=1000 && export FAKE_CARD_LASTS
fails 1 'illegal memory access.*the GPU is lost to this process' train points.yaml --set train.steps=400 \
    --device cuda --out lost --resume
unset FAKE_CARD_LASTS
checks=$((checks + 1))
cmp -s lost/checkpoint.safetensors points/checkpoint.safetensors && fail "no checkpoint before the card was lost"
works train points.yaml --set train.steps=400 --device cuda --out lost --resume
works train points.yaml --set train.steps=400 --device cuda --out other --resume
same lost/checkpoint.safetensors other/checkpoint.safetensors

echo "$checks checks, $failures failures"
[ $failures = 0 ]
