#!/usr/bin/env python3
"""test_picture_configs.py TSTAR: each configuration of pictures trains two steps on small data in its own format, made here and
brought by tools/fetch_data.sh where that knows them; what is wrong with pictures is one line and exit status 2.

A configuration is one more entry in CONFIGS: its name, what makes its data, and what fetch_data.sh calls them (None: nothing).
"""
import gzip
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
SMALL = ["model.nf=8", "model.num_res_blocks=1", "train.steps=2", "train.batch=2", "train.eval_every=0"]
draw = random.Random(1)


def write(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)


def png(height, width):
    """Eight-bit RGB, as ISO/IEC 15948 stores it."""
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    rows = b"".join(b"\0" + draw.randbytes(3 * width) for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


def npy(kind, shape, content):
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + content


def celeba(folder):
    for i in range(9):
        write(f"{folder}/img_align_celeba/{i + 1:06d}.png", png(218, 178))
    lines = "".join(f"{i + 1:06d}.png {i % 3}\n" for i in range(9))
    write(f"{folder}/list_eval_partition.txt", lines.encode())


def pictures(folder):
    for i in range(8):
        write(f"{folder}/{'abc'[i % 3]}/{i}.png", png(70 + i, 90 - i))


def imagenet(folder):
    for name in ("train_data_batch_1", "train_data_batch_2", "val_data"):
        os.makedirs(folder, exist_ok=True)
        with zipfile.ZipFile(f"{folder}/{name}.npz", "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("data.npy", npy("|u1", (3, 3072), draw.randbytes(3 * 3072)))
            file.writestr("labels.npy", npy("<i8", (3,), struct.pack("<3q", 1, 1000, 5)))


def fashion(folder):
    for name in ("train", "t10k"):
        images = struct.pack(">IIII", 0x803, 4, 28, 28) + draw.randbytes(4 * 784)
        write(f"{folder}/{name}-images-idx3-ubyte.gz", gzip.compress(images))
        write(f"{folder}/{name}-labels-idx1-ubyte.gz", gzip.compress(struct.pack(">II", 0x801, 4) + bytes([9, 0, 3, 4])))


# fetch_data.sh takes Fashion-MNIST by its check sums alone.
CONFIGS = [("celeba64", celeba, "celeba"), ("paper/celeba", celeba, "celeba"), ("imagenet32", imagenet, "imagenet32"),
           ("fashion_mnist", fashion, None), ("folder", pictures, None)]


def train(program, folder, config, *settings):
    words = [word for setting in (*SMALL, *settings) for word in ("--set", setting)]
    return subprocess.run([program, "train", f"{SOURCE}/configs/{config}.yaml", "--out", f"{folder}/run", "--device", "cpu", *words],
                          cwd=folder, capture_output=True, text=True, check=False)


def check(program, folder, config, make, fetched):
    data = f"{folder}/data/{fetched}" if fetched else f"{folder}/made"
    make(f"{folder}/made")
    if fetched:
        os.mkdir(f"{folder}/tools")
        shutil.copy(f"{SOURCE}/tools/fetch_data.sh", f"{folder}/tools")
        subprocess.run([f"{folder}/tools/fetch_data.sh", fetched, "--from", f"{folder}/made"], check=True, capture_output=True)
    done = train(program, folder, config, f"data.path={data}")
    assert done.returncode == 0 and "2 steps" in done.stdout, (config, done.stderr)


def refused(program, folder, config, text, *settings):
    done = train(program, folder, config, *settings)
    lines = done.stderr.splitlines()
    assert done.returncode == 2 and len(lines) == 1 and text in lines[0], (text, done.returncode, done.stderr)


def check_refusals(program, folder):
    path = f"data.path={folder}/pictures"
    refused(program, folder, "folder", "pictures: No such file", path)
    os.mkdir(f"{folder}/pictures")
    refused(program, folder, "folder", "holds no pictures", path)
    write(f"{folder}/pictures/one.png", png(5, 5))
    refused(program, folder, "folder", "1 picture, too few", path)
    write(f"{folder}/pictures/two.png", png(5, 6))
    refused(program, folder, "folder", "one.png has 5x5: data.crop and data.resize make one size", path, "data.crop=0",
            "data.resize=0")
    write(f"{folder}/pictures/two.jpg", png(5, 6))
    refused(program, folder, "folder", "one picture twice by its name", path)
    write(f"{folder}/x.npz", b"PK\3\4")
    refused(program, folder, "folder", "x.npz: not an .npz", f"data={{kind: array, path: {folder}/x.npz}}")


def main():
    program = os.path.abspath(sys.argv[1])
    for config in CONFIGS:
        with tempfile.TemporaryDirectory() as folder:
            check(program, folder, *config)
    with tempfile.TemporaryDirectory() as folder:
        check_refusals(program, folder)


if __name__ == "__main__":
    main()
