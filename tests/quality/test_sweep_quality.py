#!/usr/bin/env python3
"""A sweep that measures by a network's features, interrupted within the samples of a part: its numbers are those of one
that was not, and of tstar quality: test_sweep_quality.py PROGRAM SOURCE_DIR"""

import csv
import glob
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

import files

program, source = sys.argv[1], sys.argv[2]
failures = 0
os.chdir(tempfile.mkdtemp())
files.weights("mnist.safetensors")


def check(good, what):
    global failures
    if not good:
        failures += 1
        print("FAILED:", what)


def sweep(out, *more):
    keys = {"train.steps": 5, "train.batch": 16, "model.nf": 8, "model.num_res_blocks": 1, "train.eval_every": 0, "sweep.T": "1.0",
            "sweep.starts": "normal", "sweep.samplers": "em", "sample.steps": 3, "sample.batch": 32, "sweep.samples": 1100,
            "bound.count": 4, "bound.draws": 2, "sweep.projections": 8, "sweep.neighbours": "true", "sweep.weights": "mnist.safetensors",
            "sweep.quality": "sliced_wasserstein,frechet,kid,precision,recall"}
    command = [program, "sweep", os.path.join(source, "configs/digits.yaml"), "--out", out, "--threads", "1",
               "--workers", "1"]
    for key, value in keys.items():
        command += ["--set", "%s=%s" % (key, value)]
    return subprocess.Popen(command + list(more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process):
    _, err = process.communicate()
    return process.returncode, err


def row(out):
    with open(out + "/sweep.csv", newline="") as f:
        return next(csv.DictReader(f))


def refused(text, *more):
    status, err = finish(sweep("none", *more))
    check(status == 2 and text in err and not os.path.exists("none/checkpoint.safetensors"), "%s: %s" % (more, err))


check(finish(sweep("whole"))[0] == 0, "the sweep failed")
whole = row("whole")
check(whole["frechet_features"] == "mnist_cnn" and whole["images"] == "1100" and not whole["fid"], whole)
check(not glob.glob("whole/parts/piece_*"), "pieces are left behind")
with open("whole/sweep.json") as f:
    floor = json.load(f)["floor"]
check(floor["kid"] is not None and floor["fid"] is None, floor)

# the nearest training data, and the grids of them
with open("whole/report.html") as f:
    check("training datum nearest" in f.read() and glob.glob("whole/grids/T1.0*_nearest.png"), "no grid of neighbours")
check(glob.glob("whole/neighbours/T1.0*.safetensors"), "no neighbours are kept")

# the same numbers from what the sweep stored
samples = glob.glob("whole/samples/T1.0*.safetensors")
result = subprocess.run([program, "quality", os.path.join(source, "configs/digits.yaml"), "whole", "--weights",
                         "mnist.safetensors", "--json"], capture_output=True, text=True)
check(len(samples) == 1 and result.returncode == 0, result.stderr)
values = json.loads(result.stdout)
for measure in ("frechet", "kid", "precision", "recall"):
    for key in (measure, measure + "_ci95"):
        check(abs(values[key] - float(whole[key])) <= 1e-6 * abs(values[key]) + 1e-12, "%s: %s, %s" % (key, values[key], whole[key]))
check(values["n_b"] == 1100 and values["floor"]["n"] == 1100, values)

# interrupted once the first piece is there
process = sweep("halved", "--set", "sample.steps=20")
while process.poll() is None and not glob.glob("halved/parts/piece_*_0.safetensors"):
    time.sleep(0.002)
process.send_signal(signal.SIGINT)
status, err = finish(process)
check(status == 130, "not interrupted: %d, %s" % (status, err))
pieces = glob.glob("halved/parts/piece_*_0.safetensors")
check(len(pieces) == 1 and not glob.glob("halved/samples/T1.0*"), "no piece is kept")
kept = os.stat(pieces[0]).st_mtime_ns if pieces else 0
process = sweep("halved", "--set", "sample.steps=20")
made_again = False
while process.poll() is None:
    for piece in pieces:
        made_again |= os.path.exists(piece) and os.stat(piece).st_mtime_ns != kept
    time.sleep(0.002)
check(finish(process)[0] == 0 and not made_again, "the piece was made again")
check(finish(sweep("straight", "--set", "sample.steps=20"))[0] == 0, "the sweep failed")
one, other = row("halved"), row("straight")
check(all(one[k] == other[k] for k in one if "seconds" not in k), "%s, interrupted %s" % (other, one))

refused("fid is of a trained network's features: set sweep.weights", "--set", "sweep.quality=fid", "--set", "sweep.weights=")
refused("the distance is not fid; ask for frechet", "--set", "sweep.quality=fid")
refused("sweep.weights: nowhere", "--set", "sweep.weights=nowhere")

print("%d failures" % failures)
sys.exit(failures > 0)
