"""tools/import_checkpoint.py on files that PyTorch writes here, and on the larger golden ones where they are.

    test_import_checkpoint.py TSTAR SOURCE_DIR [FOLDER with the larger golden files]

Exit status 77, saying so, where this Python has no PyTorch.
"""
import glob
import os
import shutil
import sys
import tempfile
from collections import OrderedDict

from files import check_outputs, make_folder, numbers, read, run

tstar, source = map(os.path.abspath, sys.argv[1:3])
golden = os.path.join(source, "tests", "golden", "small_checkpoint")
tool = [sys.executable, os.path.join(source, "tools", "import_checkpoint.py"), "--tstar", tstar, "--device", "cpu"]


def imports(path, config, out, *more, status=0, says=""):
    shutil.rmtree(out, ignore_errors=True)
    run(*tool, path, config, "--out", out, *more, status=status, says=says)


try:
    import torch
    import numpy
except ImportError as missing:
    with tempfile.TemporaryDirectory() as folder:
        make_folder(folder)
        if missing.name == "torch":
            with open("x.pth", "wb") as file:
                file.write(b"PK\x03\x04")
            imports("x.pth", "ve.yaml", "none", status=2, says="pip install torch")
    print(f"skipped: this Python has no {missing.name}: -D TSTAR_PYTHON names one that has")
    sys.exit(77)


def state_dict():
    result = OrderedDict()
    for name, tensor in read(golden + "_state_dict.safetensors").items():
        kind = torch.float64 if tensor[0] == "F64" else torch.float32
        result[name] = torch.tensor(numbers(tensor), dtype=kind).reshape(tensor[1])
    return result


def checkpoint(averages):
    """As score_sde's save_checkpoint: the weights themselves are others than their averages."""
    model = OrderedDict((f"module.{name}", tensor if name in ("sigmas", "all_modules.0.W") else tensor + 0.1)
                        for name, tensor in averages.items())
    shadow = [tensor for name, tensor in averages.items() if name not in ("sigmas", "all_modules.0.W")]
    return {"optimizer": {"state": {}, "param_groups": [{"lr": numpy.float64(1e-4), "params": [0]}]},
            "model": model, "ema": {"decay": 0.999, "num_updates": 2, "shadow_params": shadow}, "step": 2}


class Dangerous:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def check_own():
    out = golden + ".golden.safetensors"
    torch.save(state_dict(), "plain.pth")
    torch.save(checkpoint(state_dict()), "whole.pth")
    imports("plain.pth", "ve.yaml", "plain")
    check_outputs(tstar, "plain", out)
    imports("whole.pth", "ve.yaml", "whole")
    check_outputs(tstar, "whole", out)
    imports("whole.pth", "ve.yaml", "raw", "--raw-weights")
    check_outputs(tstar, "raw", out, far=True)
    imports("whole.pth", "ve.yaml", "wider", "--set", "model.nf=16", status=2, says="whole.pth: tensor all_modules.0.W")


def check_refusals():
    short = checkpoint(state_dict())
    short["ema"]["shadow_params"].pop()
    torch.save(short, "short.pth")
    imports("short.pth", "ve.yaml", "none", status=2, says="ema.shadow_params has")
    turned = checkpoint(state_dict())
    turned["ema"]["shadow_params"].reverse()
    torch.save(turned, "turned.pth")
    imports("turned.pth", "ve.yaml", "none", status=2, says="should have [")
    torch.save({"weights": 1}, "other.pth")
    imports("other.pth", "ve.yaml", "none", status=2, says="neither a state dict nor a checkpoint")
    torch.save(state_dict(), "legacy.pth", _use_new_zipfile_serialization=False)
    imports("legacy.pth", "ve.yaml", "none", status=2, says="legacy.pth: not a file of PyTorch's from 1.6 on")
    torch.save({"model": Dangerous()}, "dangerous.pth")
    imports("dangerous.pth", "ve.yaml", "none", status=2, says="PyTorch cannot read it")
    imports("no.pth", "ve.yaml", "none", status=2, says="no.pth: No such file")
    if os.path.exists("executed") or os.path.exists("none"):
        raise SystemExit("FAILED: a file was executed, or a refused one has left a run")


with tempfile.TemporaryDirectory() as folder:
    make_folder(folder)
    check_own()
    check_refusals()
    for path in glob.glob(os.path.join(sys.argv[3], "checkpoints", "*.pth")) if sys.argv[3:] else []:
        name, _, kind = os.path.basename(path).removeprefix("ckpt_").partition("_")
        config, stem = ("ve", "ckpt_ncsnpp_ve") if name == "ncsnpp" else ("vp", "ckpt_ddpmpp_vp")
        if "legacy" in kind:
            imports(path, f"{config}.yaml", "given", status=2, says="from 1.6 on")
            continue
        imports(path, f"{config}.yaml", "given")
        check_outputs(tstar, "given", os.path.join(os.path.dirname(path), f"{stem}.golden.safetensors"))
