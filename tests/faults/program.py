"""What goes wrong inside the program is one line and an exit status, and nothing of it is kept as done.

    program.py PROGRAM
"""
import csv
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time

CONFIG = """\
data: {kind: digits}
model: {nf: 8, ch_mult: [1], num_res_blocks: 1, dropout: 0}
train: {batch: 4, steps: 2, warmup: 1, log_every: 1, checkpoint_every: 2}
glow: {levels: 1, steps_per_level: 1, hidden: 4, steps: 4, batch: 4, warmup: 1}
bound: {draws: 1, prior_draws: 1, count: 8, batch: 8}
sample: {batch: 4, steps: 2, rtol: 0.1, atol: 0.1}
sweep: {T: [0.4], samples: 4, projections: 8}
"""
PROGRAM = os.path.abspath(sys.argv[1])
failures = []


def expect(true, what):
    if not true:
        failures.append(what)
        print("FAILED: " + what, flush=True)


def start(*arguments):
    return subprocess.Popen([PROGRAM, *arguments, "--threads", "1"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env=dict(os.environ, PATH="/nonexistent", OMP_NUM_THREADS="1"))


def finish(process, limit=60):
    out, err = process.communicate(timeout=limit)
    return process.returncode, out.decode(), err.decode(errors="replace")


def works(*arguments):
    status, _, err = finish(start(*arguments))
    expect(status == 0, "tstar %s: %d: %s" % (" ".join(arguments), status, err))


def refused(words, *arguments, limit=60):
    status, _, err = finish(start(*arguments), limit)
    said = [line for line in err.splitlines() if line.startswith("tstar: ")]
    expect(status == 2 and len(said) == 1 and re.search(words, said[0]),
           "tstar %s: %d: %s" % (" ".join(arguments)[:200], status, err[:2000]))


def edit_checkpoint(path, change):
    """Lets `change` have header and data."""
    with open(path, "rb") as file:
        data = file.read()
    length = struct.unpack("<Q", data[:8])[0]
    header, tensors = change(json.loads(data[8:8 + length]), bytearray(data[8 + length:]))
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + tensors)


def to_nan(header, tensors):
    for name, tensor in header.items():
        if name != "__metadata__" and tensor["dtype"] == "F32":
            begin, end = tensor["data_offsets"]
            tensors[begin:end] = struct.pack("<f", float("nan")) * ((end - begin) // 4)
    return header, tensors


def samplers_do_not_write_nan():
    shutil.copytree("run", "poisoned")
    edit_checkpoint("poisoned/checkpoint.safetensors", to_nan)
    for sampler, words in (("em", "Euler-Maruyama from T = 0.4: between step 1 and step 2 of 2 "),
                           ("heun", "Heun from T = 0.4"), ("dpmpp2m", r"DPM-Solver\+\+\(2M\) from T = 0.4"),
                           ("rk45", "RK45")):
        refused(words + ".*not finite", "sample", "poisoned", "--T", "0.4", "--sampler", sampler, "-n", "4", "--set",
                "sample.steps=2")
    expect(not [name for name in os.listdir("poisoned") if name.startswith("samples_")], "samples of NaN are left")


def a_sweep_leaves_out_what_ran_away():
    works("sweep", "tiny.yaml", "--out", "swept")
    edit_checkpoint("swept/checkpoint.safetensors", to_nan)
    shutil.rmtree("swept/samples")
    works("sweep", "tiny.yaml", "--out", "swept")
    with open("swept/samples.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    expect(len(rows) > 1 and all(row["frechet"] == row["sliced_wasserstein"] == "" for row in rows),
           "rows of samplers that ran away: %s" % rows)
    expect(os.listdir("swept/samples") == ["data.safetensors"], "samples are kept: %s" % os.listdir("swept/samples"))


def a_fit_that_diverges_is_none():
    refused("the .* diverges", "fit", "run", "--T", "0.4", "--set", "glow.lr=1e6", "--set",
            "glow.steps=33", "--set", "train.log_every=100")
    expect(not os.path.exists("run/glow_T0.4.safetensors"), "a fit is left that did not fit")
    with open("run/glow_T0.4.jsonl") as file:
        for line in file:
            json.loads(line, parse_constant=lambda word: expect(False, "%s in the log" % word))


def deep_yaml_is_refused_at_once():
    with open("deep.yaml", "w") as file:
        file.write("data: " + "[" * 200000)
    refused("nested more than 32 deep", "train", "deep.yaml", "--out", "none", limit=10)
    refused("nested more than 32 deep", "train", "tiny.yaml", "--set", "data=" + "{a: " * 20000, "--out", "none",
            limit=10)

    def deepen(header, tensors):
        header["__metadata__"]["config"] = "[" * 200000
        return header, tensors
    shutil.copytree("run", "deep")
    edit_checkpoint("deep/checkpoint.safetensors", deepen)
    refused("checkpoint.safetensors.*nested more than 32 deep", "sample", "deep", "--T", "0.4", limit=10)


def a_signal_ends_sampling_between_steps():
    for number in (signal.SIGINT, signal.SIGTERM):
        process = start("sample", "run", "--T", "0.4", "-n", "4", "--set", "sample.steps=1000000")
        time.sleep(1)
        process.send_signal(number)
        status, _, err = finish(process, 20)
        expect(status == 130 and "sampling interrupted after 0 of 4 images" in err, "interrupted: %d: %s" % (status, err))
    expect(not [name for name in os.listdir("run") if name.startswith("samples_")], "half drawn samples are left")


shutil.rmtree("program_faults", ignore_errors=True)
os.mkdir("program_faults")
os.chdir("program_faults")
with open("tiny.yaml", "w") as config:
    config.write(CONFIG)
works("train", "tiny.yaml", "--out", "run")
samplers_do_not_write_nan()
a_sweep_leaves_out_what_ran_away()
a_fit_that_diverges_is_none()
deep_yaml_is_refused_at_once()
a_signal_ends_sampling_between_steps()
print("%d failures" % len(failures))
sys.exit(len(failures) > 0)
