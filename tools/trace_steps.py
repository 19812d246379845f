"""Prints what every step of a graph writes, for gdb: layer, kernel, root mean square and first values.

    gdb -q -batch -x tools/trace_steps.py --args build-debug/tstar train CONFIG --out RUN --threads 1

TRACE_STEPS says how many steps to print (2000), TRACE_TO where to (steps.txt).  Needs a build with
-DCMAKE_BUILD_TYPE=Debug, and memory that the processor can read: the CPU device, or the emulated card.  Replays
of a recording call no step: on a card only the first passes are seen.
"""
import math
import os
import struct

import gdb

WRITE, UPDATE = 1, 2  # of tape_access
left = int(os.environ.get("TRACE_STEPS", "2000"))
out = open(os.environ.get("TRACE_TO", "steps.txt"), "w", encoding="utf-8")


def numbers(address, count, bfloat16):
    if not bfloat16:
        return struct.unpack(f"{count}f", bytes(gdb.selected_inferior().read_memory(address, 4 * count)))
    words = struct.unpack(f"{count}H", bytes(gdb.selected_inferior().read_memory(address, 2 * count)))
    return struct.unpack(f"{count}f", struct.pack(f"{count}I", *(w << 16 for w in words)))


def layer_of(graph, step):
    node = int(step["node"])
    layer = int(graph["nodes"][node]["layer"]) if node >= 0 else -1
    return graph["layers"][layer].string() if layer >= 0 else "-"


def written(graph, step):
    """(address, bytes) of every buffer that the step writes."""
    arguments = int(step["arguments"].address)
    pointer = gdb.lookup_type("unsigned long").pointer()
    for i in range(int(step["operands"])):
        operand = graph["operands"][int(step["first_operand"]) + i]
        if int(operand["access"]) in (WRITE, UPDATE):
            address = int(gdb.Value(arguments + int(operand["field"])).cast(pointer).dereference())
            yield address, int(graph["buffers"][int(operand["index"])]["bytes"])


def show(graph, step):
    name = str(step["kernel"]).split()[-1].replace("KERNEL_", "")
    bfloat16 = "BF16" in str(graph["device"]["activation"])
    for address, size in written(graph, step):
        v = numbers(address, size // (2 if bfloat16 else 4), bfloat16)
        rms = math.sqrt(sum(x * x for x in v) / len(v)) if v else 0.0
        first = " ".join(f"{x:.4g}" for x in v[:3])
        print(f"{layer_of(graph, step)} {name} [{len(v)}] rms {rms:.4g} first {first}", file=out)


class End(gdb.FinishBreakpoint):
    def __init__(self, frame, graph, step):
        super().__init__(frame, internal=True)
        self.graph, self.step = graph, step

    def stop(self):
        show(self.graph, self.step)
        return False


class Begin(gdb.Breakpoint):
    def stop(self):
        global left
        frame = gdb.newest_frame()
        End(frame, frame.read_var("graph").dereference(), frame.read_var("step").dereference())
        left -= 1
        return left == 0


gdb.execute("set pagination off")
gdb.execute("set breakpoint pending on")
Begin("tape_step_run")
gdb.execute("run")
out.close()
