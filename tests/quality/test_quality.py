#!/usr/bin/env python3
"""tstar quality: what it measures of files of every kind, and what it refuses: test_quality.py PROGRAM SOURCE_DIR

To add a case, write its files with files.py, and say what must come out."""

import json
import math
import os
import re
import subprocess
import sys
import tempfile
import zipfile

import files

program, source = sys.argv[1], sys.argv[2]
failures = 0


def run(*arguments):
    return subprocess.run([program, "quality", *arguments], capture_output=True, text=True)


def check(good, what):
    global failures
    if not good:
        failures += 1
        print("FAILED:", what)


def measured(*arguments):
    result = run(*arguments, "--json")
    check(result.returncode == 0, "%s: %s" % (arguments, result.stderr))
    return json.loads(result.stdout) if result.returncode == 0 else {}


def refused(text, *arguments):
    result = run(*arguments)
    lines = [line for line in result.stderr.splitlines() if re.match("tstar( quality)?: ", line)]
    check(result.returncode == 2 and len(lines) == 1 and text in lines[0] and not result.stdout,
          "%s: exit status %d, %s; wanted %r" % (arguments, result.returncode, result.stderr, text))


def near(a, b, tolerance):
    return a is not None and b is not None and abs(a - b) <= tolerance * max(abs(a), abs(b))




os.chdir(tempfile.mkdtemp())
N, M, SIDE = 60, 90, 8
a, b = files.pictures(N, SIDE, 1), files.pictures(M, SIDE, 2, 150, 40)
files.write("a.npy", files.array([N, SIDE, SIDE, 1], a, "|u1"))
files.write("b.npy", files.array([M, SIDE, SIDE, 1], b, "|u1"))
os.makedirs("folder/sub")
for i in range(N):
    files.png("folder/%s%03d.png" % ("sub/" if i % 3 else "", i), SIDE, a[i * SIDE * SIDE:(i + 1) * SIDE * SIDE])
files.weights("mnist.safetensors")
MEASURES = ["sliced_wasserstein", "frechet", "kid", "precision", "recall"]

# ---- the sliced distance: a folder is the array of its pictures; a shift by one level is known ----
same = measured("folder", "a.npy")
check(same["sliced_wasserstein"] == 0 and same["n_a"] == same["n_b"] == N and same["features"] is None,
      "a folder beside its own pictures: %s" % same)
grey = [min(v, 254) for v in a]
files.write("grey.npy", files.array([N, SIDE, SIDE, 1], grey, "|u1"))
files.write("shifted.npy", files.array([N, SIDE, SIDE, 1], [v + 1 for v in grey], "|u1"))
shift = measured("grey.npy", "shifted.npy")
# every direction u sees the shift (u . v); the mean of its square over the sphere is |v|^2 / d
check(near(shift["sliced_wasserstein"], 1 / 127.5, 0.2), "a shift by one level: %s" % shift)

# ---- a network's features: each measure with its interval, and what they are ----
all_of_them = measured("a.npy", "b.npy", "--weights", "mnist.safetensors", "--measures", ",".join(MEASURES))
check(all_of_them["features"] == "mnist_cnn" and all_of_them["n_a"] == N and all_of_them["n_b"] == M, all_of_them)
for measure in MEASURES:
    check(math.isfinite(all_of_them[measure]) and all_of_them[measure + "_ci95"] >= 0, "%s: %s" % (measure, all_of_them))
usual = measured("folder", "b.npy", "--weights", "mnist.safetensors")
check("fid" not in usual and all(near(usual[m], all_of_them[m], 1e-6) or usual[m] == all_of_them[m] for m in MEASURES[1:]),
      "usual measures: %s" % usual)

# ---- statistics: kept, in pytorch-fid's form, and used again ----
kept = measured("a.npy", "b.npy", "--weights", "mnist.safetensors", "--measures", "frechet", "--save-statistics", "a.npz")
with zipfile.ZipFile("a.npz") as z:
    check(sorted(z.namelist()) == ["mu.npy", "sigma.npy"], z.namelist())
again = measured("a.npz", "b.npy", "--weights", "mnist.safetensors", "--measures", "frechet")
check(near(kept["frechet"], again["frechet"], 1e-7) and again["n_a"] is None, "%s, by statistics %s" % (kept, again))
check(0 < again["frechet_ci95"] < kept["frechet_ci95"], "the noise of one side alone: %s, %s" % (again, kept))
check(run("b.npy", "--weights", "mnist.safetensors", "--save-statistics", "b.npz").returncode == 0, "B alone")
both = measured("a.npz", "b.npz", "--measures", "fid")
check(near(kept["frechet"], both["fid"], 1e-7) and both["fid_ci95"] is None, "two statistics: %s" % both)

usual = measured("a.npz", "b.npy", "--weights", "mnist.safetensors")
check(usual["frechet"] == again["frechet"] and "kid" not in usual, "usual of statistics: %s" % usual)
check(measured("a.npz", "b.npz")["fid"] == both["fid"], "usual of two statistics")

# |m1 - m2|^2 + (s1 - s2)^2 on the line, and along two axes
files.archive("one.npz", mu=files.array([2], [0, 0]), sigma=files.array([2, 2], [4, 0, 0, 1]))
files.archive("two.npz", mu=files.array([2], [3, 1]), sigma=files.array([2, 2], [1, 0, 0, 9]))
check(near(measured("one.npz", "two.npz", "--measures", "fid")["fid"], 10 + 1 + 4, 1e-12), "closed form of statistics")

# ---- a data set, with the floor beside it ----
digits = os.path.join(source, "configs/digits.yaml")
floor = measured(digits, "a.npy", "--measures", "sliced_wasserstein,frechet")
check(floor["n_a"] == 297 and floor["floor"]["n"] == N and floor["features"] == "pixels", floor)
check(floor["floor"]["sliced_wasserstein"] < floor["sliced_wasserstein"], "training data lie nearer than noise: %s" % floor)
text = run(digits, "a.npy")
check("floor" in text.stdout and "sliced_wasserstein" in text.stdout, text.stdout)

# ---- what is refused ----
refused("fid is of a trained network's features: --weights FILE", "a.npy", "b.npy", "--measures", "fid")
refused("these are the weights of mnist_cnn, on whose features the distance is not fid", "a.npy", "b.npy", "--weights",
        "mnist.safetensors", "--measures", "fid")
refused("should be sliced_wasserstein, frechet, fid", "a.npy", "b.npy", "--measures", "fdi")
refused("B is missing", "a.npy")
refused("no_such: No such file", "no_such", "b.npy")
refused("kid looks at each image, and a.npz holds a mean and a covariance", "a.npz", "b.npy", "--measures", "kid",
        "--weights", "mnist.safetensors")
refused("one.npz has 2 features and b.npy", "one.npz", "b.npy", "--measures", "frechet", "--weights", "mnist.safetensors")
files.archive("wrong.npz", mu=files.array([2], [0, 0]), sigma=files.array([2, 3], [1, 0, 0, 0, 1, 0]))
refused("wrong.npz: mu is", "wrong.npz", "two.npz", "--measures", "fid")
files.archive("skew.npz", mu=files.array([2], [0, 0]), sigma=files.array([2, 2], [1, 1, 0, 1]))
refused("skew.npz: sigma is not symmetric", "skew.npz", "two.npz", "--measures", "fid")
files.archive("nan.npz", mu=files.array([2], [0, math.nan]), sigma=files.array([2, 2], [1, 0, 0, 1]))
refused("nan.npz: mu holds a number that is not finite", "nan.npz", "two.npz", "--measures", "fid")
files.archive("alone.npz", mu=files.array([2], [0, 0]))
refused("alone.npz", "alone.npz", "two.npz", "--measures", "fid")
files.write("one.npy", files.array([1, SIDE, SIDE, 1], a[:SIDE * SIDE], "|u1"))
refused("one.npy", "one.npy", "b.npy")
files.write("three.npy", files.array([3, SIDE, SIDE, 1], a[:3 * SIDE * SIDE], "|u1"))
refused("precision needs at least 4 images, and three.npy holds 3", "three.npy", "b.npy", "--measures", "precision",
        "--weights", "mnist.safetensors")
files.write("wide.npy", files.array([15, 16, 16, 1], a, "|u1"))
refused("sliced_wasserstein is between images of one size: wide.npy has 16x16x1 and b.npy 8x8x1", "wide.npy", "b.npy")
check(run("wide.npy", "b.npy", "--measures", "frechet,kid", "--weights", "mnist.safetensors").returncode == 0,
      "features of images of two sizes")
files.weights("other.safetensors", "vgg")
refused("other.safetensors", "a.npy", "b.npy", "--measures", "kid", "--weights", "other.safetensors")
os.makedirs("run/samples")
files.write("run/config.yaml", b"name: run\n")
refused("run: the run holds no samples", "run", "b.npy")

print("%d failures" % failures)
sys.exit(failures > 0)
