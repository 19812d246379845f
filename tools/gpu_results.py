#!/usr/bin/env python3
"""gpu_results.py LOGS RESULT CARD: what tools/gpu_check.sh measured, as RESULT.json and the table RESULT.md."""
import glob
import json
import os
import subprocess
import sys


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def row(name, result):
    cells = [name, result.get("activations", ""), str(result.get("batch", "")),
             f"{result['images_per_second']:.1f}", f"{result.get('evaluations_per_second', 0):.0f}",
             f"{1e3 * result.get('seconds_per_step', 0):.3f}", f"{1e-3 * result['gflops']:.1f}",
             f"{100 * result['share_of_sgemm']:.1f}", str(result.get("launches_per_step", "")),
             f"{1e6 * result.get('host_seconds_per_step', result.get('host_seconds_per_evaluation', 0)):.0f}"]
    return "| " + " | ".join(cells) + " |"


def main():
    logs, target, card = sys.argv[1:]
    stages = [line.rstrip("\n").split("\t") for line in open(os.path.join(logs, "stages.tsv"), encoding="utf-8")]
    results = {os.path.basename(path)[:-5]: read(path) for path in sorted(glob.glob(os.path.join(logs, "*.json")))}
    results = {name: result for name, result in results.items() if result}
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    whole = {"card": card, "commit": commit,
             "stages": [{"stage": name, "verdict": verdict, "seconds": int(seconds)}
                        for name, verdict, seconds in stages], **results}
    with open(target + ".json", "w", encoding="utf-8") as file:
        json.dump(whole, file, indent=1)
        file.write("\n")

    lines = [f"# {card}", "", "| stage | | s |", "|---|---|---|"]
    lines += [f"| {name} | {verdict} | {seconds} |" for name, verdict, seconds in stages]
    measured = {name: result for name, result in results.items() if "images_per_second" in result}
    if measured:
        lines += ["", "| benchmark | activations | batch | images/s | evaluations/s | step, ms | TFLOP/s |"
                  " of the ceiling, % | launches | host, us |", "|---|---|---|---|---|---|---|---|---|---|"]
        lines += [row(name, result) for name, result in measured.items()]
        some = next(iter(measured.values()))
        lines += ["", f"Ceilings: product {max(r['sgemm_gflops'] for r in measured.values()) * 1e-3:.0f} TFLOP/s, "
                  f"copy {some['copy_gbytes_per_second']:.0f} GB/s."]
    one, less = results.get("sample_T1.0"), results.get("sample_T0.4")
    if one and less:
        ratio = one["images_per_second"] / less["images_per_second"]
        lines += ["", f"A sample at T = 0.4 costs {ratio:.3f} of one at T = 1."]
    if "peer" in results:
        lines += ["", "tstar against PyTorch, median of the ratios: " +
                  ", ".join(f"{ratio:.2f} ({name})" for name, ratio in results["peer"]["median_ratio"].items())]
    with open(target + ".md", "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
