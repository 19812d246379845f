#!/usr/bin/env python3
"""tstar against PyTorch on a GPU: alternates the programs and prints every round, the ratios and their median.

    bench/compare_gpu.py [--python PYTHON] [--tstar PROGRAM] [--batch N] [--rounds R] [--float32] [--only PEER]
                         [--algorithms FILE] [--json FILE] [CONFIG]

Every round runs tstar, PyTorch eager and PyTorch under torch.compile in the mode max-autotune, one after the
other, the card to itself; the PyTorch processes are started once, wait in between and give their memory back.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def tstar(options, config):
    command = [options.tstar, "bench", "train", config, "--json", "--device", options.device, "--steps",
               str(options.steps), "--set", f"train.batch={options.batch}"]
    command += [] if options.float32 else ["--fast"]
    command += ["--algorithms", options.algorithms] if options.algorithms else []
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"compare_gpu.py: this failed: {' '.join(command)}")
    return json.loads(done.stdout)


class Peer:
    """A PyTorch process that measures when asked; it may fail, for want of memory say, without ending the rest."""

    def __init__(self, options, config, name):
        command = [options.python, os.path.join(HERE, "peer_torch.py"), config, "--json", "--serve", "--device",
                   options.device, "--batch", str(options.batch), "--seconds", str(options.seconds)]
        command += [] if options.float32 else ["--fast"]
        command += ["--compile"] if name == "compiled" else []
        self.name = name
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def answer(self, begins):
        """The next line that begins so; libraries print others.  None: the process has ended."""
        for line in self.process.stdout:
            if line.startswith(begins):
                return line
        print(f"compare_gpu.py: PyTorch {self.name} ended", file=sys.stderr)
        return None

    def ready(self):
        return self.answer("ready") is not None

    def measure(self):
        try:
            self.process.stdin.write("measure\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return None
        line = self.answer("{")
        return json.loads(line) if line else None

    def close(self):
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("config", nargs="?", default=os.path.join(HERE, "..", "configs", "bench", "cifar10.yaml"))
    parser.add_argument("--python", default=sys.executable, help="a Python that has PyTorch")
    parser.add_argument("--tstar", default=os.path.join(HERE, "..", "build", "tstar"))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--steps", type=int, default=20, help="of tstar, in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--float32", action="store_true", help="instead of bfloat16")
    parser.add_argument("--seconds", type=float, default=3.0, help="of PyTorch, in a round")
    parser.add_argument("--only", choices=["eager", "compiled"], help="one of both")
    parser.add_argument("--algorithms", metavar="FILE", help="algorithms that tstar chose (tstar bench --algorithms)")
    parser.add_argument("--json", metavar="FILE", help="write everything there")
    options = parser.parse_args()
    config = os.path.normpath(options.config)
    peers = [Peer(options, config, name) for name in ([options.only] if options.only else ["eager", "compiled"])]
    peers = [peer for peer in peers if peer.ready()]
    if not peers:
        sys.exit("compare_gpu.py: nothing to compare with")
    rounds, ratios = [], {peer.name: [] for peer in peers}
    for number in range(1, options.rounds + 1):
        results = {"tstar": tstar(options, config), **{peer.name: peer.measure() for peer in peers}}
        results = {name: result for name, result in results.items() if result}
        speed = {name: result["images_per_second"] for name, result in results.items()}
        for name, values in ratios.items():
            if name not in results:
                continue
            if results[name]["parameters"] != results["tstar"]["parameters"]:
                sys.exit(f"compare_gpu.py: {results['tstar']['parameters']} parameters here, "
                         f"{results[name]['parameters']} there")
            values.append(speed["tstar"] / speed[name])
        rounds.append(results)
        print(f"round {number}: images/s " + ", ".join(f"{name} {value:.1f}" for name, value in speed.items()) +
              "; tstar is " + ", ".join(f"{values[-1]:.2f}x {name}" for name, values in ratios.items() if values),
              flush=True)
    for peer in peers:
        peer.close()
    medians = {name: statistics.median(values) for name, values in ratios.items() if values}
    print("median of the ratios: " + ", ".join(f"{value:.2f}x {name}" for name, value in medians.items()))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"batch": options.batch, "rounds": rounds, "median_ratio": medians}, file, indent=1)
    if not medians:
        sys.exit("compare_gpu.py: no peer finished a round")


if __name__ == "__main__":
    main()
