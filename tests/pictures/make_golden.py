#!/usr/bin/env python3
"""make_golden.py: the pictures of golden/ in every mode that files come in, and what Pillow makes of them, in expected.npz.

expected.npz has, by the name of the file without its end, Image.open(...).convert("RGB"); and of shapes.png, a larger one, what
crop and Image.resize make of it.  Needs NumPy and Pillow; made with Pillow 13.0 (libjpeg-turbo 3.2) and NumPy 2.
"""
import io
import os
import struct
import zlib

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 10, 12
GREY, COLOUR, PALETTE, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 3, 4, 6
folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden")
draw = np.random.default_rng(1)


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def packed(row, depth):
    """A row of values as PNG stores them."""
    if depth == 16:
        return row.astype(">u2").tobytes()
    bits = np.unpackbits(row.astype(np.uint8)[:, None], axis=1)[:, 8 - depth:]
    return np.packbits(bits.ravel()).tobytes()


def png(values, depth, kind, extra=b"", interlaced=False):
    """A PNG of values [h,w,channels]."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    rows = b""
    for y, x, down, right in passes if interlaced else [(0, 0, 1, 1)]:
        for row in values[y::down, x::right]:
            rows += b"\0" + packed(row.ravel(), depth) if row.size else b""
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], depth, kind, 0, 0, interlaced)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def noise(channels, depth):
    return draw.integers(0, 1 << depth, (HEIGHT, WIDTH, channels))


def smooth(height, width):
    """Waves of colour that go beyond black and white, where a bicubic filter is clipped."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(0.5 * x + 0.3 * y + c) + np.cos(0.2 * x * (c + 1) - 0.4 * y) for c in range(3)]
    return np.clip(128 + 90 * np.stack(waves, -1), 0, 255).astype(np.uint8)


def palette(colours, alpha=0):
    text = chunk(b"PLTE", draw.integers(0, 256, 3 * colours, dtype=np.uint8).tobytes())
    return text + (chunk(b"tRNS", bytes(range(alpha))) if alpha else b"")


def jpeg(mode, **how):
    file = io.BytesIO()
    Image.fromarray(smooth(HEIGHT, WIDTH)).convert(mode).save(file, "JPEG", **how)
    return file.getvalue()


grey_16 = np.linspace(0, 600, HEIGHT * WIDTH).astype(int).reshape(HEIGHT, WIDTH, 1)
files = {
    "grey_1.png": png(noise(1, 1), 1, GREY), "grey_2.png": png(noise(1, 2), 2, GREY), "grey_4.png": png(noise(1, 4), 4, GREY),
    "grey_8.png": png(noise(1, 8), 8, GREY), "grey_16.png": png(grey_16, 16, GREY),
    "grey_key.png": png(noise(1, 2), 2, GREY, chunk(b"tRNS", b"\0\1")),
    "grey_alpha_8.png": png(noise(2, 8), 8, GREY_ALPHA), "grey_alpha_16.png": png(noise(2, 16), 16, GREY_ALPHA),
    "palette_1.png": png(noise(1, 1), 1, PALETTE, palette(2)), "palette_2.png": png(noise(1, 2), 2, PALETTE, palette(4)),
    "palette_4.png": png(noise(1, 4), 4, PALETTE, palette(16)), "palette_8.png": png(noise(1, 8), 8, PALETTE, palette(256)),
    "palette_alpha.png": png(noise(1, 4), 4, PALETTE, palette(16, 5)),
    "palette_beyond.png": png(noise(1, 8), 8, PALETTE, palette(100)),
    "colour_8.png": png(noise(3, 8), 8, COLOUR), "colour_16.png": png(noise(3, 16), 16, COLOUR),
    "colour_gamma.png": png(noise(3, 8), 8, COLOUR, chunk(b"gAMA", struct.pack(">I", 100000))),
    "colour_alpha_8.png": png(noise(4, 8), 8, COLOUR_ALPHA), "colour_alpha_16.png": png(noise(4, 16), 16, COLOUR_ALPHA),
    "colour_interlaced.png": png(noise(3, 8), 8, COLOUR, interlaced=True),
    "grey_interlaced.png": png(noise(1, 4), 4, GREY, interlaced=True),
    "jpeg_444.jpg": jpeg("RGB", quality=90, subsampling=0), "jpeg_422.jpg": jpeg("RGB", quality=75, subsampling=1),
    "jpeg_420.jpeg": jpeg("RGB", quality=60, subsampling=2), "jpeg_progressive.JPG": jpeg("RGB", quality=80, progressive=True),
    "jpeg_grey.jpg": jpeg("L", quality=85), "jpeg_cmyk.jpg": jpeg("CMYK", quality=90),
}
expected = {}
for name, content in files.items():
    with open(os.path.join(folder, name), "wb") as out:
        out.write(content)
    image = Image.open(io.BytesIO(content))
    expected[name.partition(".")[0]] = np.asarray(image.convert("RGB"))
    if name == "colour_8.png":
        expected["grey_of_colour"] = np.asarray(image.convert("L"))

shapes = Image.fromarray(smooth(45, 31))
shapes.save(os.path.join(folder, "shapes.png"))
for side in (7, 24, 31):
    left, top = (31 - side) // 2, (45 - side) // 2
    square = shapes.crop((left, top, left + side, top + side))
    for to in (5, 16, 40):
        for filter_name, filter_kind in (("area", Image.BOX), ("bicubic", Image.BICUBIC)):
            expected[f"{filter_name}_{side}_{to}"] = np.asarray(square.resize((to, to), filter_kind))
for filter_name, filter_kind in (("area", Image.BOX), ("bicubic", Image.BICUBIC)):
    expected[f"{filter_name}_0_16"] = np.asarray(shapes.resize((16, 16), filter_kind))
np.savez_compressed(os.path.join(folder, "expected.npz"), **expected)
