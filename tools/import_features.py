#!/usr/bin/env python3
"""Makes a file of weights for tstar's features of images out of those that others publish:

    tools/import_features.py inception pt_inception-2015-12-05-6726825d.pth --out inception.safetensors
    tools/import_features.py resnet56_cifar10 resnet56.safetensors --out resnet56.safetensors
    tools/import_features.py mnist_cnn mnist_cnn.npz --out mnist_cnn.safetensors

The first is pytorch-fid's, the only one whose Frechet distance is FID.  A .pth file needs PyTorch (nothing of it is
executed), an .npz file NumPy.  The other two networks are stand-ins where Inception is not at hand.
"""
import argparse
import ctypes
import json
import os
import struct
import sys

NETWORKS = ("inception", "mnist_cnn", "resnet56_cifar10")
UNUSED = ("fc.", "linear.", "AuxLogits.")  # the last layers, which come after the features
MNIST_CNN = {"Parameter5": "conv1.weight", "Parameter6": "conv1.bias", "Parameter87": "conv2.weight",
             "Parameter88": "conv2.bias"}  # names in the public ONNX file


def refuse(message):
    print(f"import_features.py: {message}", file=sys.stderr)
    sys.exit(2)


def needs(module, path):
    try:
        return __import__(module)
    except ImportError:
        refuse(f"{path}: this Python has no {module}, which reads it: pip install {module}")


def read_pth(path):
    """name -> (shape, little-endian float32 bytes)"""
    torch = needs("torch", path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever the reader meets, it is the file's
        lines = str(error).strip().splitlines()
        refuse(f"{path}: PyTorch cannot read it: {lines[0] if lines else type(error).__name__}")
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(t, torch.Tensor) for t in content.values()):
        refuse(f"{path}: no state dict: it should hold tensors by name")
    result = {}
    for name, tensor in content.items():
        if not tensor.is_floating_point():
            continue  # num_batches_tracked
        tensor = tensor.detach().to(torch.float32).contiguous()
        result[name.removeprefix("module.")] = (list(tensor.shape), ctypes.string_at(tensor.data_ptr(), 4 * tensor.numel()))
    return result


def read_npz(path):
    numpy = needs("numpy", path)
    try:
        with numpy.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except Exception as error:
        refuse(f"{path}: NumPy cannot read it: {error}")
    return {name: (list(array.shape), array.astype("<f4").tobytes()) for name, array in arrays.items()}


def read_safetensors(path):
    try:
        with open(path, "rb") as file:
            header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
            data = file.read()
        return {name: (t["shape"], data[slice(*t["data_offsets"])]) for name, t in header.items()
                if name != "__metadata__" and t["dtype"] == "F32"}
    except (ValueError, KeyError, TypeError, AttributeError, MemoryError, struct.error) as error:
        refuse(f"{path}: not a safetensors file: {error}")


READERS = {".pth": read_pth, ".pt": read_pth, ".npz": read_npz, ".safetensors": read_safetensors}


def read(path):
    reader = READERS.get(os.path.splitext(path)[1])
    if not reader:
        refuse(f"{path}: its name should end in one of {', '.join(READERS)}")
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        refuse(f"{path}: {error.strerror}")
    return reader(path)


def wanted(network, path, tensors):
    """What the network's features depend on, under the names that tstar knows."""
    if network == "mnist_cnn" and "Parameter5" in tensors:
        missing = [name for name in MNIST_CNN if name not in tensors]
        if missing:
            refuse(f"{path}: there is no tensor {missing[0]}")
        tensors = {to: tensors[name] for name, to in MNIST_CNN.items()}
        for name in ("conv1.bias", "conv2.bias"):
            shape, data = tensors[name]
            tensors[name] = ([shape[0]], data)
    tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(UNUSED)}
    first = {"inception": "Conv2d_1a_3x3.conv.weight", "mnist_cnn": "conv1.weight", "resnet56_cifar10": "conv1.weight"}
    if first[network] not in tensors:
        refuse(f"{path}: there is no tensor {first[network]}, so these are no weights of {network}")
    return tensors


def write(path, network, tensors):
    header, offset = {"__metadata__": {"network": network}}, 0
    for name, (shape, data) in tensors.items():
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    part = path + ".part"
    try:
        with open(part, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for _, data in tensors.values():
                file.write(data)
        os.replace(part, path)
    except OSError as error:
        refuse(f"{path}: {error.strerror}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=NETWORKS, help="whose weights these are")
    parser.add_argument("file", metavar="FILE", help="the published weights (.pth, .npz or .safetensors)")
    parser.add_argument("--out", metavar="FILE", required=True, help="the file for tstar (.safetensors)")
    options = parser.parse_args()
    write(options.out, options.network, wanted(options.network, options.file, read(options.file)))


if __name__ == "__main__":
    main()
