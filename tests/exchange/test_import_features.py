"""tools/import_features.py on files that are made here: what it takes, what it leaves out, what it refuses.

    test_import_features.py SOURCE_DIR

What needs PyTorch or NumPy is left out, saying so, where this Python has none.
"""
import json
import os
import struct
import subprocess
import sys
import tempfile

from files import fail, numbers, read, write

tool = [sys.executable, os.path.join(os.path.abspath(sys.argv[1]), "tools", "import_features.py")]


def imports(network, path, out, status=0, says=""):
    done = subprocess.run([*tool, network, path, "--out", out], capture_output=True, text=True)
    if done.returncode != status or says not in done.stderr or done.stderr.count("\n") != (status != 0):
        fail(f"import_features {network} {path}: status {done.returncode}, {done.stderr!r}, expected {status}, {says!r}")
    if status and os.path.exists(out):
        fail(f"import_features {network} {path} was refused and left {out}")


def network_of(path):
    with open(path, "rb") as file:
        return json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))["__metadata__"]["network"]


def expect(out, network, tensors):
    found = read(out)
    if network_of(out) != network or set(found) != set(tensors):
        fail(f"{out}: {network_of(out)} with {sorted(found)}, expected {network} with {sorted(tensors)}")
    for name, (shape, values) in tensors.items():
        if list(found[name][1]) != shape or list(numbers(found[name])) != values:
            fail(f"{out}: {name} is not what went in")


def check_safetensors():
    tensors = {"conv1.weight": ([2, 1, 1, 1], [1.0, -2.0]), "bn1.running_var": ([2], [0.5, 3.0])}
    write("resnet.safetensors", {**tensors, "linear.weight": ([1, 2], [1.0, 2.0])})
    imports("resnet56_cifar10", "resnet.safetensors", "out.safetensors")
    expect("out.safetensors", "resnet56_cifar10", tensors)
    imports("inception", "resnet.safetensors", "none", status=2, says="no tensor Conv2d_1a_3x3.conv.weight")
    imports("inception", "no.pth", "none", status=2, says="no.pth: No such file")
    imports("inception", "resnet.bin", "none", status=2, says="should end in")
    with open("broken.safetensors", "wb") as file:
        file.write(b"\x07\0\0\0\0\0\0\0{broken")
    imports("inception", "broken.safetensors", "none", status=2, says="broken.safetensors: not a safetensors file")


def check_npz(numpy):
    names = {"Parameter5": (8, 1, 5, 5), "Parameter6": (8, 1, 1), "Parameter87": (16, 8, 5, 5), "Parameter88": (16, 1, 1),
             "Parameter193": (16, 4, 4, 10), "Parameter194": (1, 10)}
    arrays = {name: numpy.random.default_rng(1).normal(size=shape).astype("f4") for name, shape in names.items()}
    numpy.savez("mnist.npz", **arrays)
    imports("mnist_cnn", "mnist.npz", "mnist.safetensors")
    taken = {"Parameter5": "conv1.weight", "Parameter6": "conv1.bias", "Parameter87": "conv2.weight", "Parameter88": "conv2.bias"}
    expect("mnist.safetensors", "mnist_cnn",
           {to: ([len(arrays[name])] if to.endswith("bias") else list(arrays[name].shape), arrays[name].ravel().tolist())
            for name, to in taken.items()})
    del arrays["Parameter88"]
    numpy.savez("short.npz", **arrays)
    imports("mnist_cnn", "short.npz", "none", status=2, says="no tensor Parameter88")
    numpy.savez("object.npz", conv=numpy.array([None]))
    imports("mnist_cnn", "object.npz", "none", status=2, says="NumPy cannot read it")


class Dangerous:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def check_pth(torch):
    kept = {"Conv2d_1a_3x3.conv.weight": torch.randn(4, 3, 3, 3), "Conv2d_1a_3x3.bn.running_mean": torch.randn(4)}
    left = {"Conv2d_1a_3x3.bn.num_batches_tracked": torch.tensor(0), "fc.weight": torch.randn(2, 4), "fc.bias": torch.randn(2),
            "AuxLogits.conv0.conv.weight": torch.randn(2, 4, 1, 1)}
    wanted = {name: (list(tensor.shape), tensor.flatten().tolist()) for name, tensor in kept.items()}
    torch.save({**kept, **left}, "inception.pth")
    imports("inception", "inception.pth", "inception.safetensors")
    expect("inception.safetensors", "inception", wanted)
    torch.save({"state_dict": {f"module.{name}": tensor.double() if tensor.is_floating_point() else tensor for name, tensor in {**kept, **left}.items()}}, "wrapped.pth")
    imports("inception", "wrapped.pth", "wrapped.safetensors")
    expect("wrapped.safetensors", "inception", wanted)
    torch.save({"weights": 1}, "other.pth")
    imports("inception", "other.pth", "none", status=2, says="no state dict")
    torch.save({"weights": Dangerous()}, "dangerous.pth")
    imports("inception", "dangerous.pth", "none", status=2, says="PyTorch cannot read it")
    if os.path.exists("executed"):
        fail("a file was executed")


def optional(module, check):
    try:
        found = __import__(module)
    except ImportError:
        print(f"left out: this Python has no {module}: -D TSTAR_PYTHON names one that has")
        return
    check(found)


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    check_safetensors()
    optional("numpy", check_npz)
    optional("torch", check_pth)
    os.chdir("/")
