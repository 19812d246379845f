#!/usr/bin/env python3
"""Makes a run of a checkpoint of score_sde's (or of a plain state dict) that PyTorch has written:

    tools/import_checkpoint.py FILE.pth CONFIG --out RUN

CONFIG describes network and data, which such a file does not; keys of network and SDE that it leaves out take
score_sde's defaults.  The averaged weights are taken where the file has them, unless --raw-weights.  Needs
PyTorch; nothing of FILE is executed (weights_only).
"""
import argparse
import ctypes
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

FROZEN = "all_modules.0.W"  # Fourier frequencies: a parameter without gradient, which has no average
BUFFER = "sigmas"


def refuse(message):
    print(f"import_checkpoint.py: {message}", file=sys.stderr)
    sys.exit(2)


def import_torch():
    try:
        import torch
    except ImportError:
        refuse("this Python has no PyTorch, which reads the file: pip install torch numpy")
    return torch


def safe_globals(torch):
    """What score_sde's optimiser state holds beside tensors: a learning rate that is a NumPy scalar."""
    import _codecs

    try:
        import numpy
    except ImportError:
        return [_codecs.encode]
    multiarray = getattr(numpy, "_core", None) or numpy.core
    scalar = multiarray.multiarray.scalar
    known = [numpy.dtype, type(numpy.dtype("float64")), _codecs.encode]
    # NumPy 2 and NumPy 1 call it differently; PyTorch before 2.6 knows it by its own name alone
    version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    if version < (2, 6):
        return known + [scalar]
    return known + [(scalar, "numpy._core.multiarray.scalar"), (scalar, "numpy.core.multiarray.scalar")]


def check_file(path):
    try:
        with open(path, "rb") as file:
            head = file.read(4)
    except OSError as error:
        refuse(f"{path}: {error.strerror}")
    if head != b"PK\x03\x04":
        refuse(f"{path}: not a file of PyTorch's from 1.6 on, which are zip archives; load it with PyTorch and "
               "save it again with torch.save")


def load(torch, path):
    try:
        with torch.serialization.safe_globals(safe_globals(torch)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever the reader meets, it is the file's
        lines = str(error).strip().splitlines()
        refuse(f"{path}: PyTorch cannot read it: {lines[0] if lines else type(error).__name__}")


def bare(name):
    """A parameter's name without what DataParallel puts in front."""
    return name[len("module."):] if name.startswith("module.") else name


def is_state_dict(torch, value):
    return isinstance(value, dict) and len(value) > 0 and all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in value.items())


def averaged(path, model, ema):
    """The list of averages under the names of what it averages: the model's parameters in their order."""
    names = [name for name in model if name not in (BUFFER, FROZEN)]
    shadow = ema.get("shadow_params") if isinstance(ema, dict) else None
    if not isinstance(shadow, (list, tuple)):
        refuse(f"{path}: its ema has no list shadow_params; --raw-weights takes the model's weights themselves")
    if len(shadow) != len(names):
        refuse(f"{path}: ema.shadow_params has {len(shadow)} tensors, should have {len(names)}, "
               "one for each parameter of model")
    result = dict(model)
    for name, tensor in zip(names, shadow):
        if getattr(tensor, "shape", None) != model[name].shape:
            refuse(f"{path}: ema.shadow_params: what belongs to {name} has shape "
                   f"{list(getattr(tensor, 'shape', []))}, should have {list(model[name].shape)}")
        result[name] = tensor
    return result


def weights_of(torch, path, content, raw):
    plain = is_state_dict(torch, content)
    model = content if plain else content.get("model") if isinstance(content, dict) else None
    if not is_state_dict(torch, model):
        what = "keys " + ", ".join(sorted(map(str, content))[:8]) if isinstance(content, dict) else type(content).__name__
        refuse(f"{path}: neither a state dict nor a checkpoint of score_sde's with model and ema: {what}")
    model = {bare(name): tensor for name, tensor in model.items()}
    if plain or raw:
        return model
    return averaged(path, model, content.get("ema"))


def write_safetensors(torch, path, tensors):
    header, offset, data = {}, 0, []
    for name, tensor in tensors.items():
        tensor = tensor.detach().to(torch.float32).contiguous()
        size = 4 * tensor.numel()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [offset, offset + size]}
        offset += size
        data.append(tensor)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in data:
            file.write(ctypes.string_at(tensor.data_ptr(), 4 * tensor.numel()))


def find_tstar(given):
    beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "build", "tstar")
    found = given or (beside if os.access(beside, os.X_OK) else shutil.which("tstar"))
    if not found:
        refuse("there is no build/tstar and no tstar in PATH: --tstar names it")
    return found


def run_import(options, weights):
    command = [find_tstar(options.tstar), "import", options.config, weights, "--out", options.out]
    for value in options.set:
        command += ["--set", value]
    if options.device:
        command += ["--device", options.device]
    if options.json:
        command.append("--json")
    try:
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace")
    except OSError as error:
        refuse(f"{command[0]}: {error.strerror}")
    sys.stderr.write(done.stderr.replace(weights, options.file))
    return done.returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", metavar="FILE", help="checkpoint of score_sde's, or a state dict (.pth)")
    parser.add_argument("config", metavar="CONFIG", help="configuration that describes network and data")
    parser.add_argument("--out", metavar="RUN", required=True, help="directory for the run")
    parser.add_argument("--raw-weights", action="store_true", help="the weights themselves, not their average")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[],
                        help="override a key of the configuration; repeatable")
    parser.add_argument("--device", help="what computes, as tstar has it")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--tstar", metavar="PROGRAM", help="the program (default: build/tstar, or that in PATH)")
    options = parser.parse_args()
    check_file(options.file)
    torch = import_torch()
    tensors = weights_of(torch, options.file, load(torch, options.file), options.raw_weights)
    tensors.pop(BUFFER, None)
    with tempfile.TemporaryDirectory() as folder:
        weights = os.path.join(folder, "weights.safetensors")
        write_safetensors(torch, weights, tensors)
        return run_import(options, weights)


if __name__ == "__main__":
    sys.exit(main())
