#!/usr/bin/env python3
"""The peer of `tstar bench train`: the same DDPM++ network, loss and optimiser in PyTorch.

    bench/peer_torch.py CONFIG [--json] [--threads N] [--seconds S] [--layout L] [--attention A]
                        [--malloc M] [--compile] [--device cpu|cuda] [--fast] [--batch N] [--serve]

One training step is what tstar's is: a batch of images, t and noise drawn, x_t, forward, mean squared error of
the predicted noise, backward, clipping at a global norm, Adam, and an exponential moving average of the
weights.  PyTorch gets its fused Adam, multi-tensor clipping and averaging, and for the memory layout and the
attention whichever variant a short trial finds fastest, unless the options fix them; the choice is part of the
output.  Written from the architecture in Song et al., "Score-Based Generative Modeling through Stochastic
Differential Equations" (2021): BigGAN residual blocks, skips scaled by sqrt(1/2).  Images are synthetic: their
values do not change the work.

On a GPU it is channels-last, with bfloat16 autocast under --fast and float32 without TF32 otherwise; --compile is
torch.compile in its mode max-autotune.  --serve builds and warms up, prints "ready", and measures once for every
line on its input, so that bench/compare.py can alternate programs without compiling again.
"""
import argparse
import ctypes
import json
import math
import os
import resource
import statistics
import sys
import time


def fail(message):
    print(f"peer_torch.py: {message}", file=sys.stderr)
    sys.exit(2)


try:
    import torch
    import torch.nn.functional as F
    from torch import nn
except ImportError:
    fail("this Python has no PyTorch; run it with one that has (for example: python3 -m venv, pip install torch)")


# ---- configuration ---------------------------------------------------------------------------------------


def scalar(text):
    """A value of the YAML subset that the configurations use."""
    text = text.strip()
    if text.startswith("[") and text.endswith("]"):
        return [scalar(part) for part in text[1:-1].split(",") if part.strip()]
    if text.startswith("{") and text.endswith("}"):
        return dict((key.strip(), scalar(value)) for key, value in
                    (part.split(":", 1) for part in text[1:-1].split(",") if part.strip()))
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text.strip("'\"")


def read_config(path):
    """Sections of `key: value`, values scalar or in brackets on one line: enough for configs/bench."""
    try:
        lines = open(path, encoding="utf-8").read().splitlines()
    except OSError as error:
        fail(f"{path}: {error.strerror}")
    try:
        import yaml
        return yaml.safe_load("\n".join(lines)) or {}
    except ImportError:
        pass
    config, section = {}, None
    for number, line in enumerate(lines, 1):
        line = line.split(" #")[0].rstrip()
        if not line or line.startswith("#"):
            continue
        key, colon, value = line.partition(":")
        if not colon or line.lstrip().startswith("-"):
            fail(f"{path}:{number}: install PyYAML (python3-yaml) to read this; without it only "
                 "'key: value' lines in sections are understood")
        if line[0] != " ":
            section = config[key] = scalar(value) if value.strip() else {}
        elif isinstance(section, dict):
            section[key.strip()] = scalar(value)
        else:
            fail(f"{path}:{number}: a key outside of any section")
    return config


SHAPES = {"digits": (8, 8, 1), "idx": (28, 28, 1), "cifar10": (32, 32, 3)}


# ---- the network -----------------------------------------------------------------------------------------


def variance_scaling(tensor, scale, fan_in, fan_out):
    """Uniform with variance scale / mean fan, as in the public networks; scale 0 means 1e-10."""
    with torch.no_grad():
        tensor.uniform_(-1, 1).mul_(math.sqrt(3 * (scale or 1e-10) / ((fan_in + fan_out) / 2)))


def conv3x3(c_in, c_out, scale=1.0):
    layer = nn.Conv2d(c_in, c_out, 3, padding=1)
    variance_scaling(layer.weight, scale, 9 * c_in, 9 * c_out)
    nn.init.zeros_(layer.bias)
    return layer


def conv1x1(c_in, c_out, scale=1.0):
    layer = nn.Conv2d(c_in, c_out, 1)
    variance_scaling(layer.weight, scale, c_in, c_out)
    nn.init.zeros_(layer.bias)
    return layer


def linear(c_in, c_out):
    layer = nn.Linear(c_in, c_out)
    variance_scaling(layer.weight, 1.0, c_in, c_out)
    nn.init.zeros_(layer.bias)
    return layer


def group_norm(channels):
    return nn.GroupNorm(min(channels // 4, 32), channels, eps=1e-6)


class Block(nn.Module):
    def __init__(self, c_in, c_out, embedding, dropout, up=False, down=False):
        super().__init__()
        self.up, self.down, self.dropout = up, down, dropout
        self.norm0 = group_norm(c_in)
        self.conv0 = conv3x3(c_in, c_out)
        self.dense = linear(embedding, c_out)
        self.norm1 = group_norm(c_out)
        self.conv1 = conv3x3(c_out, c_out, 0.0)
        self.skip = conv1x1(c_in, c_out) if c_in != c_out or up or down else None

    def forward(self, x, embedded):
        h = F.silu(self.norm0(x))
        if self.up:
            h, x = (F.interpolate(v, scale_factor=2, mode="nearest") for v in (h, x))
        elif self.down:
            h, x = (F.avg_pool2d(v, 2) for v in (h, x))
        h = self.conv0(h) + self.dense(embedded)[:, :, None, None]
        h = F.dropout(F.silu(self.norm1(h)), self.dropout, self.training)
        h = self.conv1(h)
        if self.skip is not None:
            x = self.skip(x)
        return (x + h) * math.sqrt(0.5)


class Attention(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = group_norm(channels)
        self.qkv = conv1x1(channels, 3 * channels, 0.1)
        self.out = conv1x1(channels, channels, 0.0)
        variance_scaling(self.qkv.weight, 0.1, channels, channels)
        self.flash = True

    def forward(self, x):
        n, c, height, width = x.shape
        qkv = self.qkv(self.norm(x)).permute(0, 2, 3, 1).reshape(n, height * width, 3 * c)
        q, k, v = qkv.chunk(3, dim=-1)
        if self.flash:
            y = F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]
        else:
            y = torch.bmm(torch.softmax(torch.bmm(q, k.transpose(1, 2)) * c**-0.5, dim=-1), v)
        y = self.out(y.reshape(n, height, width, c).permute(0, 3, 1, 2))
        return (x + y) * math.sqrt(0.5)


class UNet(nn.Module):
    def __init__(self, shape, model):
        super().__init__()
        height, _, channels = shape
        nf, multipliers = model["nf"], model["ch_mult"]
        attention_at, blocks = model.get("attn_resolutions") or [], model["num_res_blocks"]
        self.nf = nf
        self.embed0, self.embed1 = linear(nf, 4 * nf), linear(4 * nf, 4 * nf)
        self.first = conv3x3(channels, nf)

        def block(c_in, c_out, **how):
            return Block(c_in, c_out, 4 * nf, model["dropout"], **how)

        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        c, skips = nf, [nf]
        for level, multiplier in enumerate(multipliers):
            size = height >> level
            for _ in range(blocks):
                self.down.append(nn.ModuleList([block(c, nf * multiplier)]))
                c = nf * multiplier
                if size in attention_at:
                    self.down[-1].append(Attention(c))
                skips.append(c)
            if level + 1 < len(multipliers):
                self.down.append(nn.ModuleList([block(c, c, down=True)]))
                skips.append(c)
        self.middle = nn.ModuleList([block(c, c), Attention(c), block(c, c)])
        for level in reversed(range(len(multipliers))):
            for _ in range(blocks + 1):
                self.up.append(nn.ModuleList([block(c + skips.pop(), nf * multipliers[level])]))
                c = nf * multipliers[level]
            if height >> level in attention_at:
                self.up[-1].append(Attention(c))
            if level:
                self.up[-1].append(block(c, c, up=True))
        self.norm, self.last = group_norm(c), conv3x3(c, channels, 0.0)

    def forward(self, x, t):
        half = self.nf // 2
        w = torch.exp(torch.arange(half, dtype=torch.float32, device=t.device) * (-math.log(10000) / (half - 1)))
        angles = 999 * t[:, None] * w[None]
        embedded = self.embed0(torch.cat([angles.sin(), angles.cos()], 1))
        embedded = F.silu(self.embed1(F.silu(embedded)))

        def apply(layer, h):
            return layer(h) if isinstance(layer, Attention) else layer(h, embedded)

        h = self.first(x)
        skips = [h]
        for layers in self.down:
            for layer in layers:
                h = apply(layer, h)
            skips.append(h)
        for layer in self.middle:
            h = apply(layer, h)
        for layers in self.up:
            h = torch.cat([h, skips.pop()], 1)
            for layer in layers:
                h = apply(layer, h)
        return self.last(F.silu(self.norm(h)))


def count_flops(net, batch, shape):
    """Matrix work of one training step, a multiply-add as two: forward, and the gradients of inputs and weights.

    Nothing asks for the gradient of the images or of the time embedding, so those two products are left out."""
    forward, unasked = [], []

    def conv(module, inputs, output):
        forward.append(2 * output.numel() * module.in_channels * module.kernel_size[0] ** 2)
        if module is net.first:
            unasked.append(forward[-1])

    def dense(module, inputs, output):
        forward.append(2 * output.numel() * module.in_features)
        if module is net.embed0:
            unasked.append(forward[-1])

    def attention(module, inputs, output):
        n, c, height, width = output.shape
        forward.append(4 * n * c * (height * width) ** 2)

    kinds = {nn.Conv2d: conv, nn.Linear: dense, Attention: attention}
    hooks = [m.register_forward_hook(kinds[type(m)]) for m in net.modules() if type(m) in kinds]
    with torch.no_grad():
        where = next(net.parameters()).device
        net(torch.zeros(batch, shape[2], shape[0], shape[1], device=where), torch.full((batch,), 0.5, device=where))
    for hook in hooks:
        hook.remove()
    return 3 * sum(forward) - sum(unasked)


# ---- the training step -----------------------------------------------------------------------------------


class Trainer:
    def __init__(self, net, shape, train, sde, channels_last, compiled, device="cpu", fast=False):
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.device, self.fast = torch.device(device), fast
        self.net = net.train().to(self.device).to(memory_format=self.layout)
        mode = "max-autotune" if self.device.type == "cuda" else "default"
        self.call = torch.compile(self.net, mode=mode) if compiled else self.net
        self.parameters = list(self.net.parameters())
        self.average = [p.detach().clone() for p in self.parameters]
        self.adam = torch.optim.Adam(self.parameters, lr=train.get("lr", 2e-4), fused=True,
                                     betas=(train.get("beta1", 0.9), train.get("beta2", 0.999)),
                                     eps=train.get("adam_eps", 1e-8))
        self.clip, self.decay = train.get("clip", 1.0), train.get("ema", 0.9999)
        self.warmup, self.rate = train.get("warmup", 5000), train.get("lr", 2e-4)
        self.beta = sde.get("beta_min", 0.1), sde.get("beta_max", 20.0)
        self.batch, self.steps = train["batch"], 0
        generator = torch.Generator().manual_seed(1)
        self.data = torch.randint(0, 256, (1024, shape[2], shape[0], shape[1]), generator=generator,
                                  dtype=torch.uint8).to(self.device)

    def wait(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def step(self):
        chosen = torch.randint(0, len(self.data), (self.batch,), device=self.device)
        x0 = self.data[chosen].float().mul_(2 / 255).sub_(1).contiguous(memory_format=self.layout)
        places = torch.arange(self.batch, device=self.device) / self.batch
        t = (torch.rand((), device=self.device) + places) % 1 * (1 - 1e-5) + 1e-5
        integral = self.beta[0] * t + 0.5 * (self.beta[1] - self.beta[0]) * t * t
        z = torch.randn_like(x0)
        mean, std = torch.exp(-0.5 * integral), torch.sqrt(-torch.expm1(-integral))
        xt = mean[:, None, None, None] * x0 + std[:, None, None, None] * z
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.fast):
            net = self.call(xt, t)
        loss = F.mse_loss(net.float(), z)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, self.clip, foreach=True)
        for group in self.adam.param_groups:
            group["lr"] = self.rate * min((self.steps + 1) / max(self.warmup, 1), 1.0)
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            torch._foreach_lerp_(self.average, self.parameters, 1 - decay)
        self.steps += 1
        return loss

    def rest(self):
        """Leaves the card's memory to the other programs until the next measurement."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
            torch.cuda.empty_cache()

    def measure(self, seconds, least):
        """Seconds of each of at least `least` steps, over `seconds` at most after that."""
        self.step()
        self.step()
        self.wait()
        times, start = [], time.perf_counter()
        while len(times) < least or time.perf_counter() - start < seconds:
            before = time.perf_counter()
            self.step()
            self.wait()
            times.append(time.perf_counter() - before)
        return times


def keep_memory():
    """Lets glibc reuse freed activations instead of handing their pages back to the system each step."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
        libc.mallopt(-3, 32 << 20)  # M_MMAP_THRESHOLD, at its largest


def build(shape, config, flash, channels_last, compiled, device="cpu", fast=False):
    torch.manual_seed(1)
    net = UNet(shape, config["model"])
    for module in net.modules():
        if isinstance(module, Attention):
            module.flash = flash
    return Trainer(net, shape, config["train"], config.get("sde", {}), channels_last, compiled, device, fast)


def choose(options, shape, config):
    """The fastest of the variants that the options leave open, by a short trial of each."""
    def trial(layout, attention):
        trainer = build(shape, config, attention == "flash", layout == "channels_last", False)
        return min(trainer.measure(options.seconds / 8, 3))

    layout, attention = options.layout, options.attention
    if options.device != "cpu":
        return ("channels_last" if layout == "auto" else layout, "flash" if attention == "auto" else attention)
    if layout == "auto":
        layout = min(("contiguous", "channels_last"),
                     key=lambda name: trial(name, "bmm" if attention == "auto" else attention))
    if attention == "auto":
        attention = min(("flash", "bmm"), key=lambda name: trial(layout, name))
    return layout, attention


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("config")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=8.0, help="how long to measure")
    parser.add_argument("--layout", choices=["auto", "contiguous", "channels_last"], default="auto")
    parser.add_argument("--attention", choices=["auto", "flash", "bmm"], default="auto")
    parser.add_argument("--malloc", choices=["keep", "default"], default="default",
                        help="keep: glibc holds on to freed memory, which PyTorch leaves to its users")
    parser.add_argument("--compile", action="store_true", help="torch.compile (takes minutes at the start)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda[:i]")
    parser.add_argument("--fast", action="store_true", help="bfloat16 autocast")
    parser.add_argument("--batch", type=int, help="instead of the configuration's train.batch")
    parser.add_argument("--serve", action="store_true", help="measure once for every line on the input")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.device != "cpu" and not torch.cuda.is_available():
        fail(f"--device {options.device}: PyTorch sees no GPU")
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    config = read_config(options.config)
    for section, key in (("data", "kind"), ("model", "nf"), ("model", "ch_mult"), ("model", "num_res_blocks"),
                         ("model", "dropout"), ("train", "batch")):
        if key not in (config.get(section) or {}):
            fail(f"{options.config}: needs {section}.{key}")
    if config["data"]["kind"] not in SHAPES or config["model"].get("kind", "ddpmpp") != "ddpmpp":
        fail(f"{options.config}: this benchmark trains the ddpmpp network on images")
    shape = SHAPES[config["data"]["kind"]]
    if options.batch:
        config["train"]["batch"] = options.batch
    if options.malloc == "keep":
        keep_memory()

    layout, attention = choose(options, shape, config)
    trainer = build(shape, config, attention == "flash", layout == "channels_last", options.compile,
                    options.device, options.fast)
    with torch.device("meta"):  # shapes are all that counts
        flops = count_flops(UNet(shape, config["model"]), 1, shape) * config["train"]["batch"]
    if not options.serve:
        report(options, config, trainer, layout, attention, flops)
        return
    trainer.measure(0, 3)
    trainer.rest()
    print("ready", flush=True)
    for _ in sys.stdin:
        report(options, config, trainer, layout, attention, flops)
        trainer.rest()


def report(options, config, trainer, layout, attention, flops):
    batch = config["train"]["batch"]
    times = trainer.measure(options.seconds, 3)
    median = statistics.median(times)
    result = {
        "program": f"PyTorch {torch.__version__}",
        "config": options.config,
        "threads": options.threads,
        "layout": layout,
        "attention": attention,
        "malloc": options.malloc,
        "compiled": options.compile,
        "device": options.device,
        "activations": "bfloat16 autocast" if options.fast else "float32",
        "optimizer": "fused Adam, foreach clipping and EMA",
        "parameters": sum(p.numel() for p in trainer.parameters),
        "batch": batch,
        "steps_measured": len(times),
        "seconds_per_step": median,
        "seconds_per_step_min": min(times),
        "seconds_per_step_max": max(times),
        "images_per_second": batch / median,
        "flops_per_step": flops,
        "gflops": flops / median * 1e-9,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    if trainer.device.type == "cuda":
        result["card"] = torch.cuda.get_device_name(trainer.device)
        result["device_peak_bytes"] = torch.cuda.max_memory_allocated(trainer.device)
    if options.json:
        print(json.dumps(result, indent=None if options.serve else 2), flush=True)
    else:
        for key, value in result.items():
            print(f"{key:22} {value}")


if __name__ == "__main__":
    main()
