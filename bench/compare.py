#!/usr/bin/env python3
"""tstar against PyTorch: alternates the two programs and prints the ratio of each round and their median.

    bench/compare.py [--python PYTHON] [--tstar PROGRAM] [--threads N] [--rounds R] [CONFIG ...]

On a machine whose speed drifts only figures taken one after the other can be compared: every round runs tstar,
PyTorch as it comes, and PyTorch with a C library that keeps freed memory (peer_torch.py --malloc keep).
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIGS = ["digits8", "mnist28", "cifar10"]


def run(command):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    except OSError as error:
        sys.exit(f"compare.py: {command[0]}: {error.strerror}")
    if done.returncode:
        sys.exit(f"compare.py: this failed: {' '.join(command)}")
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("configs", nargs="*", metavar="CONFIG",
                        default=[os.path.join(HERE, "..", "configs", "bench", f"{name}.yaml") for name in CONFIGS])
    parser.add_argument("--python", default=sys.executable, help="a Python that has PyTorch")
    parser.add_argument("--tstar", default=os.path.join(HERE, "..", "build", "tstar"))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    print(f"{'config':10} {'round':>5} {'tstar/s':>9} {'torch/s':>9} {'tuned/s':>9} {'ratio':>6} {'tuned':>6}"
          f" {'tstar GFLOP/s':>14} {'MFU':>6}")
    for config in options.configs:
        name = os.path.splitext(os.path.basename(config))[0]
        common = [os.path.normpath(config), "--json", "--threads", str(options.threads)]
        peer = [options.python, os.path.join(HERE, "peer_torch.py"), *common]
        fixed, ratios, tuned_ratios = [], [], []
        for number in range(1, options.rounds + 1):
            ours = run([options.tstar, "bench", "train", *common])
            plain = run([*peer, *fixed])
            fixed = ["--layout", plain["layout"], "--attention", plain["attention"]]  # no second trial
            tuned = run([*peer, *fixed, "--malloc", "keep"])
            if ours["parameters"] != plain["parameters"]:
                sys.exit(f"compare.py: {config}: {ours['parameters']} parameters here, {plain['parameters']} there")
            speed = [result["images_per_second"] for result in (ours, plain, tuned)]
            ratios.append(speed[0] / speed[1])
            tuned_ratios.append(speed[0] / speed[2])
            print(f"{name:10} {number:5d} {speed[0]:9.2f} {speed[1]:9.2f} {speed[2]:9.2f} {ratios[-1]:6.2f}"
                  f" {tuned_ratios[-1]:6.2f} {ours['gflops']:14.1f} {ours['model_flop_utilisation']:6.2f}", flush=True)
        print(f"{name:10} median of the ratios: {statistics.median(ratios):.2f}, tuned PyTorch"
              f" {statistics.median(tuned_ratios):.2f}  ({plain['program']}, {plain['layout']},"
              f" {plain['attention']} attention)", flush=True)


if __name__ == "__main__":
    main()
