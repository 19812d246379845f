"""The golden checkpoint through the program: import, score, export, and all that works on a run.

    test_exchange.py TSTAR SOURCE_DIR [FOLDER with the larger golden files]
"""
import glob
import os
import sys
import tempfile

from files import check_outputs, fail, make_folder, numbers, read, run

tstar = os.path.abspath(sys.argv[1])
golden = os.path.join(os.path.abspath(sys.argv[2]), "tests", "golden", "small_checkpoint")
STATE_DICT = golden + "_state_dict.safetensors"


def check_export():
    """The file that the run was imported from, tensor by tensor: but for "sigmas", to the last bit."""
    run(tstar, "export", "imported", "--out", "exported.safetensors")
    exported, given = read("exported.safetensors"), read(STATE_DICT)
    if set(exported) != set(given):
        fail(f"exported: {set(exported) ^ set(given)}")
    for name, tensor in given.items():
        if name != "sigmas" and exported[name] != tensor:
            fail(f"exported: {name} is another")
    if max(abs(a / b - 1) for a, b in zip(numbers(exported["sigmas"]), numbers(given["sigmas"]))) > 1e-12:
        fail("exported: sigmas are others")


def check_commands():
    for command in ("elbo", "nll"):
        run(tstar, command, "imported", "--T", "0.4", "--threads", "1", "--json")
    run(tstar, "sample", "imported", "--T", "0.4", "-n", "2", "--threads", "1")
    run(tstar, "sweep", "imported/config.yaml", "--out", "imported", "--threads", "1")
    run(tstar, "score", "imported", "--in", "x.safetensors", status=2, says="--out FILE.safetensors is missing")
    run(tstar, "export", "imported", status=2, says="--out FILE.safetensors is missing")


with tempfile.TemporaryDirectory() as folder:
    make_folder(folder)
    run(tstar, "import", "ve.yaml", STATE_DICT, "--out", "imported")
    check_outputs(tstar, "imported", golden + ".golden.safetensors")
    check_export()
    check_commands()
    check_outputs(tstar, "imported", golden + ".golden.safetensors")  # the sweep has trained nothing
    for path in glob.glob(os.path.join(sys.argv[3], "checkpoints", "*_state_dict.safetensors")) if sys.argv[3:] else []:
        name = os.path.basename(path).removesuffix("_state_dict.safetensors")
        run(tstar, "import", "ve.yaml" if name.endswith("ve") else "vp.yaml", path, "--out", name)
        check_outputs(tstar, name, path.replace("_state_dict.", ".golden."))
