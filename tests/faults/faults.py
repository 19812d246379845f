"""Runs a command of the program again and again, each time with one call of it failing (see shim.c), and demands:

- it ends with 0, 1 or 2 (or was killed), with one line for the error on stderr and nothing of a sanitizer;
- the same command run again without the fault succeeds, and what it leaves is, bit for bit but for times and dates,
  what a run leaves that was never disturbed; no temporary file is left.

    faults.py PROGRAM SHIM SCENARIO [--seconds S] [--seed N] [--memory yes|no] [--one CALL:AT:HOW] [--all CALL:HOW]

Which calls fail is a seeded choice for S seconds (TSTAR_FAULT_SECONDS); --all lets each call of a kind fail in turn,
--one repeats a single fault and shows what it printed.
"""
import argparse
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import time

CONFIG = """\
data: {kind: digits}
model: {nf: 8, ch_mult: [1], num_res_blocks: 1, dropout: 0}
train: {batch: 4, steps: 6, warmup: 2, log_every: 2, checkpoint_every: 2}
glow: {levels: 1, steps_per_level: 1, hidden: 4, steps: 4, batch: 4, warmup: 1}
bound: {draws: 1, prior_draws: 1, count: 8, batch: 8}
sample: {batch: 4, steps: 2, rtol: 0.1, atol: 0.1}
sweep: {T: [0.4], samples: 4, projections: 8}
"""
TRAIN = ["train", "tiny.yaml", "--out", "run"]
# name: commands that come first, the command, and the command that goes on after a fault
SCENARIOS = {
    "train": ([], TRAIN, TRAIN + ["--resume"]),
    "resume": ([TRAIN + ["--set", "train.steps=3"]], TRAIN + ["--resume"], TRAIN + ["--resume"]),
    "fit": ([TRAIN], ["fit", "run", "--T", "0.4"], None),
    "sample": ([TRAIN], ["sample", "run", "--T", "0.4", "-n", "4", "--sampler", "heun", "--out", "run/samples.png", "--force"], None),
    "sweep": ([], ["sweep", "tiny.yaml", "--out", "run"], None),
    "report": ([["sweep", "tiny.yaml", "--out", "run"]], ["report", "run"], None),
}
FILE_FAULTS = [(call, how)
               for call in ("open", "write", "sync", "rename", "close", "fdopen")
               for how in ("EIO", "ENOSPC+", "kill")]
FILE_FAULTS += [("write", "short")] + [(call, "EINTR") for call in ("write", "sync", "close")]
MEMORY_FAULTS = [("memory", "ENOMEM"), ("memory", "ENOMEM+")]
# What differs between runs that are the same.
TIMES = re.compile("second|date|command|phases|time")


def read_safetensors(data):
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    metadata = header.pop("__metadata__", {})
    tensors = {name: (t["dtype"], t["shape"], data[8 + length + t["data_offsets"][0]:8 + length + t["data_offsets"][1]])
               for name, t in header.items() if not TIMES.search(name)}
    return {k: v for k, v in metadata.items() if not TIMES.search(k)}, tensors


def without_times(value):
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if not TIMES.search(k)}
    return [without_times(v) for v in value] if isinstance(value, list) else value


def read_csv(text):
    rows = [line.split(",") for line in text.decode().split("\r\n")]
    return [[v for v, name in zip(row, rows[0]) if not TIMES.search(name)] for row in rows]


def contents(folder, same_times):
    """What is in the files of a folder; without times where these are not the same."""
    found = {}
    for where, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(where, name)
            with open(path, "rb") as file:
                data = file.read()
            if name in ("lock", "command.txt"):
                continue
            if name.endswith(".safetensors"):
                data = read_safetensors(data)
            elif name.endswith(".jsonl"):
                data = [{k: v for k, v in json.loads(line).items() if k not in ("seconds", "images_per_second")}
                        for line in data.decode().splitlines()]
            elif name == "sweep.json":
                data = without_times(json.loads(data))
            elif name.endswith(".csv"):
                data = read_csv(data)
            elif not same_times and (name == "report.html" or "/charts/cost." in path):  # show times
                data = len(data) > 0
            found[os.path.relpath(path, folder)] = data
    return found


class Bench:
    def __init__(self, options):
        self.options = options
        self.setup, self.command, self.again = SCENARIOS[options.scenario]
        self.again = self.again or self.command
        self.folder = os.path.abspath("faults_" + options.scenario)
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder + "/bin")  # without gnuplot, which would take most of the time
        with open(self.folder + "/tiny.yaml", "w") as file:
            file.write(CONFIG)
        # with a policy of waiting, so that the program does not start itself again, without the shim
        self.environment = dict(os.environ, PATH=self.folder + "/bin", OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1",
                                OMP_WAIT_POLICY="passive")
        for command in self.setup:
            self.must(command)
        if self.setup:
            os.rename(self.folder + "/run", self.folder + "/before")
        self.restore()
        self.must(self.command)
        self.whole = self.contents()

    def contents(self):
        return contents(self.folder + "/run", same_times=self.options.scenario == "report")

    def restore(self):
        shutil.rmtree(self.folder + "/run", ignore_errors=True)
        if self.setup:
            shutil.copytree(self.folder + "/before", self.folder + "/run")

    def run(self, command, fault=None):
        environment = dict(self.environment)
        if fault:
            call, at, how = fault
            environment.update(LD_PRELOAD=os.path.abspath(self.options.shim), TSTAR_FAULT_CALL=call,
                               TSTAR_FAULT_AT=str(at), TSTAR_FAULT_HOW=how, TSTAR_FAULT_UNDER="run",
                               TSTAR_FAULT_COUNT=self.folder + "/count")
        return subprocess.run([self.options.program] + command + (["--threads", "1"] if command[0] != "report" else []),
                              cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=120)

    def must(self, command):
        result = self.run(command)
        if result.returncode:
            sys.exit("tstar %s: %d: %s" % (" ".join(command), result.returncode, result.stderr.decode()))

    def count(self, call):
        self.restore()
        self.run(self.command, (call, 0, "EIO"))
        with open(self.folder + "/count") as file:
            return int(file.read())

    def check(self, fault):
        """What is wrong after this fault; None: nothing."""
        self.restore()
        result = self.run(self.command, fault)
        errors = result.stderr.decode(errors="replace")
        if self.options.one:
            print("exit status %d\n%s%s" % (result.returncode, result.stdout.decode(), errors))
        said = [line for line in errors.splitlines() if line.startswith("tstar: ") and "gnuplot is not" not in line]
        if re.search("Sanitizer|runtime error|terminate called|Assertion", errors):
            return "a report on stderr: " + errors
        if result.returncode not in ((-9,) if fault[2] == "kill" else (0, 1, 2)):
            return "exit status %d: %s" % (result.returncode, errors)
        if result.returncode > 0 and len(said) != 1:
            return "%d lines of error with exit status %d: %s" % (len(said), result.returncode, errors)
        if result.returncode > 0 and fault[2] in ("short", "EINTR"):
            return "this is no error: " + errors
        if result.returncode > 0 and fault[0] == "memory" and "memory" not in said[0]:
            return "memory was short, and it says: " + said[0]
        if result.returncode == 0 and self.contents() != self.whole:
            return "exit status 0, but what is left is not whole: " + self.difference()
        after = self.run(self.again)
        if after.returncode:
            return "once more, without a fault: exit status %d: %s (before: %s)" % (
                after.returncode, after.stderr.decode(), errors)
        if self.contents() != self.whole:
            return "once more, without a fault, the outcome is another: %s (before: %s)" % (self.difference(), errors)
        return None

    def difference(self):
        now = self.contents()
        return ", ".join(sorted(name for name in now.keys() | self.whole.keys()
                                if now.get(name) != self.whole.get(name)))


def every(fault, counts):
    for at in range(1, counts[fault[0]] + 1):
        yield fault[0], at, fault[1]


def chosen(faults, counts, options):
    """Each kind in turn, in another order each time; at least once."""
    choice = random.Random(options.seed)
    began, tries = time.monotonic(), 0
    while time.monotonic() - began < options.seconds or tries < len(faults):
        if tries % len(faults) == 0:
            choice.shuffle(faults)
        call, how = faults[tries % len(faults)]
        yield call, choice.randint(1, counts[call]), how
        tries += 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=os.path.abspath)
    parser.add_argument("shim")
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("TSTAR_FAULT_SECONDS", 6)))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--memory", choices=("yes", "no"), default="yes")
    parser.add_argument("--one")
    parser.add_argument("--all")
    options = parser.parse_args()
    bench = Bench(options)
    if options.one:
        call, at, how = options.one.split(":")
        sys.exit(bench.check((call, int(at), how)))
    faults = FILE_FAULTS + (MEMORY_FAULTS if options.memory == "yes" else [])
    if options.all:
        faults = [tuple(options.all.split(":"))]
    counts = {call: bench.count(call) for call in sorted({call for call, _ in faults})}
    faults = [fault for fault in faults if counts[fault[0]]]
    print("%s: calls: %s" % (options.scenario, counts), flush=True)
    tries = wrong = 0
    for fault in every(faults[0], counts) if options.all else chosen(faults, counts, options):
        problem = bench.check(fault)
        tries += 1
        if problem:
            wrong += 1
            print("FAILED: --one %s:%d:%s: %s" % (fault + (problem.strip(),)), flush=True)
    print("%d faults, %d of them end badly" % (tries, wrong))
    sys.exit(wrong > 0)


main()
