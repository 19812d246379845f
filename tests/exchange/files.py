"""What the tests of exchanged networks share: safetensors files, the program, a run of the golden checkpoint."""
import json
import math
import os
import struct
import subprocess
import sys

CONFIG = """
data: {kind: idx, path: images}
model: {kind: ncsnpp, nf: 8, ch_mult: [1, 1], num_res_blocks: 1, attn_resolutions: [4]}
likelihood: {count: 2, batch: 2, rtol: 1e-2, atol: 1e-2}
bound: {count: 2, draws: 2, prior_draws: 2}
sample: {steps: 3}
sweep: {T: [1, 0.4], starts: [normal], samplers: [em], samples: 8}
"""
VP_CONFIG = """
data: {kind: digits}
model: {kind: ddpmpp, nf: 8, ch_mult: [1, 1], num_res_blocks: 1, attn_resolutions: [4]}
"""


def fail(message):
    print(f"FAILED: {message}")
    sys.exit(1)


def read(path):
    """{name: (dtype, shape, bytes)}"""
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    return {name: (entry["dtype"], entry["shape"], data[slice(*entry["data_offsets"])])
            for name, entry in header.items() if name != "__metadata__"}


def numbers(tensor):
    kind, _, data = tensor
    return struct.unpack(f"<{len(data) // (8 if kind == 'F64' else 4)}{'d' if kind == 'F64' else 'f'}", data)


def write(path, tensors):
    """tensors: {name: (shape, numbers)}, as float32."""
    header, data = {}, b""
    for name, (shape, values) in tensors.items():
        packed = struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(packed)]}
        data += packed
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def distance(a, b):
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) / sum(y * y for y in b))


def make_folder(folder):
    """Configurations, and 8x8 images in colour for the one that needs some."""
    os.makedirs(os.path.join(folder, "images"))
    os.chdir(folder)
    for name, config in (("ve.yaml", CONFIG), ("vp.yaml", VP_CONFIG)):
        with open(name, "w", encoding="utf-8") as file:
            file.write(config)
    for part in ("train", "t10k"):
        with open(f"images/{part}-images-idx4-ubyte", "wb") as file:
            file.write(struct.pack(">BBBBIIII", 0, 0, 8, 4, 16, 8, 8, 3))
            file.write(bytes(i * i * 31 % 251 for i in range(16 * 192)))


def run(*command, status=0, says=""):
    """Ends with that exit status and says so, in one line where it is a refusal."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != status or says not in done.stderr or (status and done.stderr.count("\n") != 1):
        fail(f"{' '.join(command)}: exit status {done.returncode}, should be {status} and say '{says}': "
             f"{done.stderr or done.stdout}")
    return done.stdout


def check_outputs(tstar, run_folder, golden, far=False):
    """What the run's network gives is what the golden file says, or with `far` what other weights do not."""
    wanted = read(golden)
    write("x.safetensors", {name: (wanted[f"import.{name}"][1], numbers(wanted[f"import.{name}"]))
                            for name in ("x", "t")})
    run(tstar, "score", run_folder, "--in", "x.safetensors", "--out", "net.safetensors", "--device", "cpu")
    error = distance(numbers(read("net.safetensors")["net"]), numbers(wanted["import.out"]))
    print(f"{os.path.basename(golden)}: {run_folder}: relative error {error:.2g}")
    if (error < 0.1) if far else not error < 1e-4:
        fail(f"{run_folder}: its outputs are {error:.2g} from those of {golden}")
