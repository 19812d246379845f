"""Small files for the tests: NumPy arrays, PNG, weights of a network of features. The standard library alone."""

import json
import math
import random
import struct
import zipfile
import zlib


def array(shape, values, kind="<f8"):
    """The bytes of a .npy file; kind "|u1" or "<f8"."""
    header = "{'descr': '%s', 'fortran_order': False, 'shape': (%s,), }" % (kind, ", ".join(map(str, shape)))
    header += " " * (-(len(header) + 11) % 64) + "\n"
    data = bytes(values) if kind == "|u1" else struct.pack("<%dd" % len(values), *values)
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


def write(path, content):
    with open(path, "wb") as f:
        f.write(content)


def archive(path, **members):
    with zipfile.ZipFile(path, "w") as z:
        for name, content in members.items():
            z.writestr(name + ".npy", content)


def png(path, side, grey):
    """A grey picture [side,side]."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + bytes(grey[i * side:(i + 1) * side]) for i in range(side))
    write(path, b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)) +
          chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def pictures(count, side, seed, mean=128, spread=60):
    draw = random.Random(seed)
    return [min(255, max(0, round(draw.gauss(mean, spread)))) for _ in range(count * side * side)]


def weights(path, network="mnist_cnn"):
    """Random weights of the small classifier of MNIST."""
    draw, header, data = random.Random(3), {"__metadata__": {"network": network}}, b""
    for name, shape in (("conv1.weight", [8, 1, 5, 5]), ("conv1.bias", [8]), ("conv2.weight", [16, 8, 5, 5]),
                        ("conv2.bias", [16])):
        count = math.prod(shape)
        scale = 0.1 if len(shape) == 1 else 1 / math.sqrt(math.prod(shape[1:]))
        block = struct.pack("<%df" % count, *(draw.gauss(0, scale) for _ in range(count)))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(block)]}
        data += block
    text = json.dumps(header).encode()
    write(path, struct.pack("<Q", len(text)) + text + data)
