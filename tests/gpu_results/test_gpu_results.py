#!/usr/bin/env python3
"""tools/gpu_results.py on made-up logs: whole ones, half written ones, none."""
import json
import os
import subprocess
import sys
import tempfile

TOOL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "gpu_results.py")


def results(stages, files):
    """The JSON and the lines of the table that the tool makes of these logs."""
    with tempfile.TemporaryDirectory() as folder:
        logs = os.path.join(folder, "logs")
        os.mkdir(logs)
        for name, content in {"stages.tsv": stages, **files}.items():
            with open(os.path.join(logs, name), "w", encoding="utf-8") as file:
                file.write(content if isinstance(content, str) else json.dumps(content))
        target = os.path.join(folder, "result")
        subprocess.run([sys.executable, TOOL, logs, target, "A card"], check=True, stdout=subprocess.DEVNULL)
        with open(target + ".json", encoding="utf-8") as made, open(target + ".md", encoding="utf-8") as table:
            return json.load(made), table.read().splitlines()


def row(lines, begin):
    found = [line for line in lines if line.startswith("| " + begin)]
    assert len(found) == 1, (begin, found)
    return [cell.strip() for cell in found[0].strip("|").split("|")]


def benchmark(**more):
    return {"images_per_second": 7000.0, "activations": "bfloat16", "batch": 512, "gflops": 455000.0,
            "product_gflops": 780000.0, "copy_gbytes_per_second": 4200.0, **more}


def whole():
    made, lines = results("build\tok\t60\ntrain\tok\t70\npeer\tFAILED\t9\n", {
        "train.json": benchmark(model_flop_utilisation=0.583, seconds_per_step=0.0731, launches_per_step=700,
                                host_seconds_per_step=12e-6),
        "train_128.json": benchmark(batch=128, seconds_per_step=0.02, seconds_per_step_unwaited=0.0195),
        "sample.json": benchmark(model_flop_utilisation=0.599, evaluations_per_second=21700.0),
        "sample_T1.0.json": benchmark(images_per_second=20.0), "sample_T0.4.json": benchmark(images_per_second=48.0),
        "ops.json": {"operations": [{"operation": "conv_forward", "shape": [512, 32, 32, 128], "calls": 9,
                                     "seconds": 0.004, "share": 0.05, "share_of_ceiling": 0.61}]},
        "compiled.json": {"median_ratio": {"compiled": 1.62}}, "sweep.json": {"sweep_seconds": 601}})
    assert row(lines, "training against")[1:] == [">= 1.5", "1.62", "yes"]
    assert row(lines, "training, model")[2:] == ["58.3 %", "yes"]
    assert row(lines, "network evaluations")[2:] == ["59.9 %", "no"]
    assert row(lines, "training, batch 128")[2:] == ["2.50 %", "no"]
    assert row(lines, "Euler")[2:] == ["0.417", "yes"]
    assert row(lines, "sweep of T")[2:] == ["601 s", "no"]
    assert row(lines, "train | bfloat16")[2:] == ["512", "7000.0", "", "73.100", "455.0", "58.3", "700", "12"]
    assert row(lines, "conv_forward") == ["conv_forward", "512x32x32x128", "9", "4.000", "5.0", "61"]
    assert row(lines, "peer |") == ["peer", "FAILED", "9"]
    assert any("product 780 TFLOP/s" in line and "copy 4200 GB/s" in line for line in lines)
    assert made["train"]["launches_per_step"] == 700 and made["stages"][2]["verdict"] == "FAILED"


def broken():
    made, lines = results("build\tok\t60\nhalf\n", {"train.json": '{"images_per_second": 1', "sample.json": "",
                                                    "ops.json": "[1]", "train_128.json": {"images_per_second": None},
                                                    "peer.json": {"median_ratio": {}}})
    assert [stage["stage"] for stage in made["stages"]] == ["build"] and "train" not in made
    assert all(row(lines, name)[2:] == ["not measured", ""] for name in ("training against", "Euler", "sweep of T"))


def empty():
    made, lines = results("", {})
    assert made["stages"] == [] and row(lines, "training, model")[2] == "not measured"


if __name__ == "__main__":
    whole()
    broken()
    empty()
