#!/usr/bin/env python3
"""gpu_results.py LOGS RESULT CARD: what tools/gpu_check.sh measured, as RESULT.json and the tables of RESULT.md."""
import glob
import json
import os
import subprocess
import sys


def read(path):
    """The object in a file, or None: a stage that was stopped leaves half of one or nothing."""
    try:
        with open(path, encoding="utf-8") as file:
            result = json.load(file)
    except (OSError, ValueError):
        return None
    return result if isinstance(result, dict) else None


def number(result, *keys):
    """The number under a chain of keys, or None."""
    for key in keys:
        result = result.get(key) if isinstance(result, dict) else None
    return float(result) if isinstance(result, (int, float)) and not isinstance(result, bool) else None


def text(value, form, factor=1.0):
    return "" if value is None else form % (factor * value)


def table(head, rows):
    lines = ["", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


# ---- what was measured -----------------------------------------------------------------------------------


def benchmark(name, r):
    host = number(r, "host_seconds_per_step")
    host = number(r, "host_seconds_per_evaluation") if host is None else host
    return [name, str(r.get("activations", "")), str(r.get("batch", "")), text(number(r, "images_per_second"), "%.1f"),
            text(number(r, "evaluations_per_second"), "%.0f"), text(number(r, "seconds_per_step"), "%.3f", 1e3),
            text(number(r, "gflops"), "%.1f", 1e-3), text(number(r, "model_flop_utilisation"), "%.1f", 1e2),
            str(r.get("launches_per_step", "")), text(host, "%.0f", 1e6)]


BENCHMARK = ["benchmark", "activations", "batch", "images/s", "evaluations/s", "step, ms", "TFLOP/s",
             "model FLOP utilisation, %", "launches", "host, us"]
OPERATION = ["operation", "input", "calls", "ms", "% of the step", "of its ceiling, %"]
SHOWN = 25


def operation(r):
    return [str(r.get("operation", "")), "x".join(str(n) for n in r.get("shape", [])), str(r.get("calls", "")),
            text(number(r, "seconds"), "%.3f", 1e3), text(number(r, "share"), "%.1f", 1e2),
            text(number(r, "share_of_ceiling"), "%.0f", 1e2)]


def ceilings(results):
    best = {}
    for result in results.values():
        kind = result.get("activations")
        for key in ("product_gflops", "copy_gbytes_per_second"):
            value = number(result, key)
            if kind and value:
                best[kind, key] = max(value, best.get((kind, key), 0))
    parts = [f"{kind} product {value * 1e-3:.0f} TFLOP/s" if key == "product_gflops" else f"copy {value:.0f} GB/s"
             for (kind, key), value in sorted(best.items()) if key == "product_gflops" or kind == "bfloat16"]
    return ["", "Ceilings: " + ", ".join(parts) + "."] if parts else []


# ---- figures to reach ------------------------------------------------------------------------------------


def taken(results, name, batch, key):
    """A figure, if it was taken as its target says: in bfloat16, at this batch."""
    if number(results, name, "batch") != batch or results[name].get("activations") != "bfloat16":
        return None
    return number(results, name, key)


def outside(results):
    """The part of a step that goes when steps are not waited for one by one: what the host adds."""
    step, stream = (taken(results, "train_128", 128, key) for key in ("seconds_per_step", "seconds_per_step_unwaited"))
    return None if step is None or stream is None else max(0.0, 1 - stream / step)


def cost(results):
    one, less = (number(results, name, "images_per_second") for name in ("sample_T1.0", "sample_T0.4"))
    return one / less if one and less else None


def figures(results):
    """Name, target in words, measured value, form and factor to show it, whether it is met."""
    peer = number(results, "compiled", "median_ratio", "compiled")
    train = taken(results, "train", 512, "model_flop_utilisation")
    sample = taken(results, "sample", 512, "model_flop_utilisation")
    host, ratio, sweep = outside(results), cost(results), number(results, "sweep", "sweep_seconds")
    return [
        ("training against torch.compile, max-autotune", ">= 1.5", peer, "%.2f", 1, lambda v: v >= 1.5),
        ("training, model FLOP utilisation (bfloat16, batch 512)", ">= 55 %", train, "%.1f %%", 100,
         lambda v: v >= 0.55),
        ("network evaluations, model FLOP utilisation (bfloat16, batch 512)", ">= 60 %", sample, "%.1f %%", 100,
         lambda v: v >= 0.60),
        ("training, batch 128: time that the host adds to a step (gaps between kernels not counted)", "<= 1 %", host,
         "%.2f %%", 100, lambda v: v <= 0.01),
        ("Euler-Maruyama, time from T = 0.4 over time from T = 1", "0.40 +- 0.02", ratio, "%.3f", 1,
         lambda v: abs(v - 0.4) <= 0.02),
        ("sweep of T = 1, 0.6, 0.4, 0.2 on MNIST", "<= 600 s", sweep, "%.0f s", 1, lambda v: v <= 600),
    ]


def figure(name, target, value, form, factor, met):
    if value is None:
        return [name, target, "not measured", ""]
    return [name, target, form % (factor * value), "yes" if met(value) else "no"]


# ---- the files -------------------------------------------------------------------------------------------


def collect(logs):
    with open(os.path.join(logs, "stages.tsv"), encoding="utf-8") as file:
        stages = [line.rstrip("\n").split("\t") for line in file]
    results = {os.path.basename(path)[:-5]: read(path) for path in sorted(glob.glob(os.path.join(logs, "*.json")))}
    return [s for s in stages if len(s) == 3], {name: result for name, result in results.items() if result}


def markdown(card, stages, results):
    lines = [f"# {card}"] + table(["figure", "target", "measured", "met"], [figure(*f) for f in figures(results)])
    measured = {name: r for name, r in results.items() if number(r, "images_per_second") is not None}
    if measured:
        lines += table(BENCHMARK, [benchmark(name, r) for name, r in measured.items()]) + ceilings(measured)
    for name in ("peer", "compiled"):
        ratios = results.get(name, {}).get("median_ratio", {})
        if ratios:
            lines += ["", "tstar against PyTorch, median of the ratios: " +
                      ", ".join(f"{ratio:.2f} ({peer})" for peer, ratio in ratios.items())]
    operations = results.get("ops", {}).get("operations", [])
    if operations:
        lines += table(OPERATION, [operation(r) for r in operations[:SHOWN]])
    return lines + table(["stage", "", "s"], stages)


def commit():
    """Empty where the tree came without its history, or there is no git."""
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def main():
    logs, target, card = sys.argv[1:]
    stages, results = collect(logs)
    whole = {"card": card, "commit": commit(), "stages": [{"stage": name, "verdict": verdict, "seconds": int(seconds)}
                                                          for name, verdict, seconds in stages], **results}
    with open(target + ".json", "w", encoding="utf-8") as file:
        json.dump(whole, file, indent=1)
        file.write("\n")
    lines = markdown(card, stages, results)
    with open(target + ".md", "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
