#!/usr/bin/env python3
"""paper_needs.py TSTAR CONFIG [OPTIONS of tstar sweep]: about how long the sweep will take here, its memory and its disk.

From a few training steps and a few steps of a Glow's fit, times what the configuration asks for.
"""
import json
import os
import subprocess
import sys
import tempfile

SMALL, LARGER = 2, 4  # images a training step, as short measurements can afford; memory is linear in them
FIT_STEPS, FIT_BATCH = 2, 8
EVALUATION = 0.5      # of a training step: forward alone takes a third, in small networks up to a half
ODE_NFE = 300         # of one likelihood
GRADIENT = 3          # what an evaluation of the ODE with its divergence costs, in evaluations
UNKNOWN_COUNT = 10000 # held-out data, where the configuration takes all


def tstar(program, *arguments):
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr.strip().splitlines()[-1], file=sys.stderr)
        sys.exit(done.returncode)
    result = json.loads(done.stdout)
    return result[0] if isinstance(result, list) else result


def understood(options):
    """Those of a sweep's options that the other commands know too."""
    kept, skip = [], False
    for option in options:
        if skip or option == "--json" or option.startswith("--workers="):
            skip = False
        elif option == "--workers":
            skip = True
        else:
            kept.append(option)
    return kept


def keys(path):
    """{section.key: text} of a configuration with a line a key."""
    values, section = {}, ""
    with open(path, encoding="utf-8") as file:
        for line in file:
            key, _, value = line.partition(" #")[0].strip().partition(":")
            if not line.startswith(" "):
                section = key
            elif not line.startswith("   "):
                values[f"{section}.{key}"] = value.strip()
    return values


def overrides(options):
    """{section.key: text} of --set among a command's options."""
    text = [value for option, value in zip(options, options[1:]) if option == "--set"]
    text += [option.partition("=")[2] for option in options if option.startswith("--set=")]
    return {key.strip(): value.strip() for key, _, value in (one.partition("=") for one in text)}


def words(text):
    return [word.strip() for word in text.strip("[]").split(",") if word.strip()]


def file_bytes(folder, begin):
    return sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder) if name.startswith(begin))


class Measured:
    """Seconds and bytes of a little of everything, and the whole configuration that was asked for."""

    def __init__(self, program, config, options):
        common = understood(options)
        small, larger = (tstar(program, "bench", "train", config, "--steps", "4", "--json", *common, "--set", f"train.batch={batch}")
                         for batch in (SMALL, LARGER))
        self.image = larger["seconds_per_step_min"] / LARGER  # the least: others may use the machine
        self.memory_per_image = (larger["plan_bytes"] - small["plan_bytes"]) / (LARGER - SMALL)
        self.memory = small["peak_bytes"] - SMALL * self.memory_per_image
        with tempfile.TemporaryDirectory() as folder:
            run = os.path.join(folder, "run")
            tstar(program, "train", config, "--out", run, "--json", *common, "--set", "train.steps=1", "--set", f"train.batch={SMALL}",
                  "--set", "train.eval_every=0")
            self.asked = {**keys(os.path.join(run, "config.yaml")), **keys(config), **overrides(options)}
            self.fit_image = 0.0
            if "glow" in words(self.asked["sweep.starts"]):
                fit = tstar(program, "fit", run, "--T", "0.4", "--start", "glow", "--json", *common, "--set", f"glow.steps={FIT_STEPS}",
                            "--set", f"glow.batch={FIT_BATCH}")
                self.fit_image = fit["seconds"] / (FIT_STEPS * FIT_BATCH)
            picture = os.path.join(folder, "picture.safetensors")
            tstar(program, "sample", run, "--T", "0.4", "--count", "1", "--out", picture, "--json", *common, "--set", "sample.steps=1")
            self.checkpoint, self.flow = file_bytes(run, "checkpoint"), file_bytes(run, "glow")
            self.picture = os.path.getsize(picture)

    def number(self, key):
        return float(self.asked[key])

    def count(self, key):
        return self.number(key) or UNKNOWN_COUNT

    def times(self):
        return [float(T) for T in words(self.asked["sweep.T"])]

    def drawn(self):
        """Images for each T."""
        return self.number("sweep.samples") * len(words(self.asked["sweep.starts"])) * len(words(self.asked["sweep.samplers"]))

    def seconds(self):
        evaluation, Ts = EVALUATION * self.image, self.times()
        steps = [self.number("sample.steps") or T * self.number("sample.steps_per_unit") for T in Ts]
        solutions = self.count("likelihood.count") * max(1, self.number("likelihood.probes")) * len(Ts)
        return {
            "training": self.number("train.steps") * self.number("train.batch") * self.image,
            "fits": self.number("glow.steps") * self.number("glow.batch") * self.fit_image * len(Ts),
            "bound": self.count("bound.count") * self.number("bound.draws") * evaluation,
            "likelihood": solutions * ODE_NFE * GRADIENT * evaluation if self.asked["sweep.likelihood"] == "true" else 0.0,
            "samples": self.drawn() * sum(steps) * evaluation,
        }

    def memory_bytes(self):
        return self.memory + self.memory_per_image * self.number("train.batch")

    def disk_bytes(self):
        return self.checkpoint + len(self.times()) * (self.flow + self.drawn() * self.picture)


def hours(seconds):
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"


def main():
    if len(sys.argv) < 3:
        print("usage: tools/paper_needs.py TSTAR CONFIG [OPTIONS of tstar sweep]", file=sys.stderr)
        sys.exit(2)
    measured = Measured(sys.argv[1], sys.argv[2], sys.argv[3:])
    seconds = measured.seconds()
    print(f"{sys.argv[2]} will need about {hours(sum(seconds.values()))} here ("
          f"{', '.join(f'{what} {hours(value)}' for what, value in seconds.items() if value)}), "
          f"{measured.memory_bytes() / 2**30:.1f} GiB of memory and {measured.disk_bytes() / 2**30:.1f} GiB of disk")
    print("This is from a few steps on the machine as busy as it is, within a factor of two at best, and larger batches are faster on a card; the sweep says it again, "
          "better, when it has run for a while.  It can be stopped: the same command goes on.", flush=True)


if __name__ == "__main__":
    main()
