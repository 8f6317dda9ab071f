"""Writes the images that the tests decode, and pillow.json, which says what
Pillow and the trainer's pil_img2rgb see in each of them.

    pip install pillow==13.0.0 && python make.py

A picture is 24 by 16 pixels: red grows to the right, green downwards, blue is
what they leave. All eight orientations of it differ.
"""

import io
import json
import struct
import warnings
import zlib
from pathlib import Path

import PIL
from PIL import Image, ImageFile, ImageOps

warnings.simplefilter("ignore")
ImageFile.LOAD_TRUNCATED_IMAGES = True
Image.MAX_IMAGE_PIXELS = 200_000_000
W, H = 24, 16
HERE = Path(__file__).parent


def pil_img2rgb(image):
    """As data/data_utils.py of ByteDance-Seed/Bagel does it."""
    if image.mode == "RGBA" or image.info.get("transparency", None) is not None:
        image = image.convert("RGBA")
        white = Image.new(mode="RGB", size=image.size, color=(255, 255, 255))
        white.paste(image, mask=image.split()[3])
        return white
    return image.convert("RGB")


def grid(image):
    """The mean colours of 4 by 4 cells, row by row, in hexadecimal digits."""
    w, h = image.size
    cells = []
    for row in range(4):
        for column in range(4):
            cell = image.crop((column * w // 4, row * h // 4, (column + 1) * w // 4, (row + 1) * h // 4))
            n = cell.width * cell.height
            cells += [round(sum(band.get_flattened_data()) / n) for band in cell.split()]
    return bytes(cells).hex()


# --- The pictures that a person sees.

RGB = Image.new("RGB", (W, H))
for x in range(W):
    for y in range(H):
        r, g = 255 * x // (W - 1), 255 * y // (H - 1)
        RGB.putpixel((x, y), (r, g, 255 - (r + g) // 2))
GREY = RGB.split()[0].transpose(Image.Transpose.FLIP_LEFT_RIGHT)
BILEVEL = GREY.point(lambda v: 255 if v > 127 else 0).convert("1")
INDEXED = RGB.quantize(32, dither=Image.Dither.NONE)
RGBA = RGB.copy()
RGBA.putalpha(Image.linear_gradient("L").resize((W, H)))  # clear above, full below
CLEAR = Image.new("RGBA", (W, H))
CLEAR.paste(RGB.crop((0, 0, W // 2, H)), (0, 0))  # the right half is clear
SMALL = RGB.crop((0, 0, W // 2, H // 2)).resize((12, 8))


def on_white(image):
    return pil_img2rgb(image.convert("RGBA"))


def at(image, x=4, y=4):
    """The image as the only part of a white canvas."""
    canvas = Image.new("RGB", (W, H), "white")
    canvas.paste(image, (x, y))
    return canvas


# --- Ways to write what Pillow does not write.


def saved(image, form, **options):
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(depth, colour, rows, extra=b"", width=W, height=H, interlace=0):
    pixels = b"".join(b"\0" + row for row in rows)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))
        + extra
        + chunk(b"IDAT", zlib.compress(pixels, 9))
        + chunk(b"IEND", b"")
    )


def rows(image, pixel, order=">"):
    """The rows of an image, each pixel as the 16-bit samples that pixel gives."""
    for y in range(image.height):
        samples = [s for x in range(image.width) for s in pixel(image.getpixel((x, y)))]
        yield struct.pack(f"{order}{len(samples)}H", *samples)


def adam7(image):
    for x0, y0, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)):
        for y in range(y0, image.height, dy):
            yield b"".join(bytes(image.getpixel((x, y))) for x in range(x0, image.width, dx))


def packed(image, depth):
    """The rows of a grey image of 1, 2 or 4 bits."""
    for y in range(image.height):
        bits = "".join(format(image.getpixel((x, y)) >> (8 - depth), f"0{depth}b") for x in range(image.width))
        yield int(bits, 2).to_bytes(len(bits) // 8, "big")


def riff(*chunks):
    body = b"WEBP" + b"".join(n + struct.pack("<I", len(d)) + d + b"\0" * (len(d) & 1) for n, d in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def u24(n):
    return struct.pack("<I", n)[:3]


def webp_frame(image, x, y):
    still = saved(image, "WEBP", lossless=True, exact=True)
    return (b"ANMF", u24(x // 2) + u24(y // 2) + u24(image.width - 1) + u24(image.height - 1) + u24(100) + b"\2" + still[12:])


def webp_animation(flags, *frames):
    return riff((b"VP8X", bytes([flags, 0, 0, 0]) + u24(W - 1) + u24(H - 1)), (b"ANIM", b"\x80\x40\x20\xff\0\0"), *frames)


def gif_part(image, **options):
    """A GIF whose only frame lies at 4,4 of a larger canvas."""
    encoded = bytearray(saved(image, "GIF", interlace=0, **options))
    encoded[6:10] = struct.pack("<HH", W, H)
    descriptor = 13 + (3 << (encoded[10] & 7) + 1)
    if encoded[descriptor] == ord("!"):
        descriptor += 8
    assert encoded[descriptor] == ord(",")
    encoded[descriptor + 1 : descriptor + 5] = struct.pack("<HH", 4, 4)
    return bytes(encoded)


def tiff(data, order="<", pages=(), **tags):
    """A TIFF of one strip, from tags by number or name."""
    names = {"width": 256, "height": 257, "bits": 258, "compression": 259, "photometric": 262, "fill": 266, "offsets": 273,
             "orientation": 274, "samples": 277, "rows": 278, "counts": 279, "planar": 284, "tile_width": 322,
             "tile_height": 323, "tile_offsets": 324, "tile_counts": 325, "extra": 338, "format": 339}
    tags = {names[k]: v if isinstance(v, list) else [v] for k, v in {"width": W, "height": H, "compression": 1, **tags}.items()}
    if 324 not in tags:
        tags.update({273: [8], 278: [H], 279: [len(data)]})
    out = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8 + len(data)) + data
    directory, values = struct.pack(order + "H", len(tags)), b""
    after = len(out) + 2 + 12 * len(tags) + 4
    for tag in sorted(tags):
        raw = struct.pack(f"{order}{len(tags[tag])}I", *tags[tag])
        if len(raw) > 4:
            raw, values = struct.pack(order + "I", after + len(values)), values + raw
        directory += struct.pack(order + "HHI", tag, 4, len(tags[tag])) + raw
    return out + directory + b"\0\0\0\0" + values


def bmp(pixels, header, compression, bits, masks=(), height=H, palette=b""):
    info = struct.pack("<IiiHHIIiiII", header, W, height, 1, bits, compression, len(pixels), 0, 0, len(palette) // 4, 0)
    info = (info + struct.pack(f"<{len(masks)}I", *masks)).ljust(header, b"\0") + palette
    return b"BM" + struct.pack("<IHHI", 14 + len(info) + len(pixels), 0, 0, 14 + len(info)) + info + pixels


def profile(name, version):
    """An ICC profile of a description and nothing else."""
    if version == 2:
        tag = b"desc\0\0\0\0" + struct.pack(">I", len(name) + 1) + name.encode() + b"\0"
    else:
        text = name.encode("utf-16-be")
        tag = b"mluc\0\0\0\0" + struct.pack(">II4sII", 1, 12, b"enUS", len(text), 28) + text
    tag += b"\0" * (-len(tag) % 4)
    table = struct.pack(">I4sII", 1, b"desc", 144, len(tag))
    size = 128 + len(table) + len(tag)
    head = struct.pack(">I4sI4s4s4s", size, b"\0\0\0\0", version << 24, b"mntr", b"RGB ", b"XYZ ") + bytes(12) + b"acsp"
    return head.ljust(128, b"\0") + table + tag


def exif(orientation, order="<"):
    directory = struct.pack(order + "HHHIHH", 1, 274, 3, 1, orientation, 0) + b"\0\0\0\0"
    return b"Exif\0\0" + (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8) + directory


def lying(orientation):
    """The picture as a camera stores it that writes this orientation."""
    undo = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90", 7: "TRANSVERSE", 8: "ROTATE_270"}
    stored = RGB.transpose(Image.Transpose[undo[orientation]])
    stored.getexif()[274] = orientation
    assert ImageOps.exif_transpose(stored).tobytes() == RGB.tobytes()
    stored.getexif().clear()
    return stored


def without_adobe(encoded):
    start = encoded.index(b"\xff\xee")
    return encoded[:start] + encoded[start + 2 + struct.unpack(">H", encoded[start + 2 : start + 4])[0] :]


def inks(image, black=0):
    c, m, y = ImageOps.invert(image).split()
    return Image.merge("CMYK", (c, m, y, Image.new("L", image.size, black)))


def ycck(image):
    """The first three inks as YCbCr, which Adobe's transform 2 stands for."""
    y, cb, cr = (ImageOps.invert(b) for b in ImageOps.invert(image).convert("YCbCr").split())
    encoded = bytearray(saved(Image.merge("CMYK", (y, cb, cr, Image.new("L", image.size, 0))), "JPEG", quality=95))
    encoded[encoded.index(b"Adobe") + 11] = 2
    return bytes(encoded)


# --- The images: a name, the bytes, and the picture that a person sees, None
# where that is not one picture.

SRGB, P3 = profile("sRGB of a test", 2), profile("Display P3", 4)
BOMB = zlib.compress(bytes(1 << 20), 9)
DEEP = 257  # makes 16 bits of 8


def whiter(image, levels):
    """Grey, white where it lies in the levels."""
    return image.point(lambda v: 255 if v in levels else v)


def deepened(depth):
    return GREY.point(lambda v: (v >> (8 - depth)) * 255 // ((1 << depth) - 1))


# A left half that is one colour, so that the key covers something.
HALF = RGB.copy()
HALF.paste((10, 20, 30), (0, 0, W // 2, H))
HALF_CLEAR = RGB.copy()
HALF_CLEAR.paste((255, 255, 255), (0, 0, W // 2, H))
GREY_ALPHA = Image.merge("LA", (Image.new("L", (W, H), 60), Image.linear_gradient("L").resize((W, H))))

images = {
    "baseline.jpg": (saved(RGB, "JPEG", quality=95, subsampling=0), RGB),
    "subsampled.jpg": (saved(RGB, "JPEG", quality=95, subsampling=2), RGB),
    "progressive.jpg": (saved(RGB, "JPEG", quality=95, progressive=True), RGB),
    "restarts.jpg": (saved(RGB, "JPEG", quality=95, restart_marker_blocks=1), RGB),
    "components-rgb.jpg": (saved(RGB, "JPEG", quality=95, keep_rgb=True), RGB),
    "grey.jpg": (saved(GREY, "JPEG", quality=95), GREY),
    "two-pictures.jpg": (saved(RGB, "MPO", save_all=True, append_images=[GREY.convert("RGB")], quality=95), RGB),
    "cmyk.jpg": (saved(inks(RGB), "JPEG", quality=95), RGB),
    "ycck.jpg": (ycck(RGB), RGB),
    "cmyk-unmarked.jpg": (without_adobe(saved(inks(ImageOps.invert(RGB)), "JPEG", quality=95)), RGB),
    "srgb.jpg": (saved(RGB, "JPEG", quality=95, icc_profile=SRGB), RGB),
    "display-p3.jpg": (saved(RGB, "JPEG", quality=95, icc_profile=P3), None),
    "a-png.jpg": (saved(RGB, "PNG"), RGB),
    "orientation-6-big-endian.jpg": (saved(lying(6), "JPEG", quality=95, exif=exif(6, ">")), RGB),
    **{f"orientation-{o}.jpg": (saved(lying(o), "JPEG", quality=95, exif=exif(o)), RGB) for o in range(2, 9)},
    "rgb.png": (saved(RGB, "PNG"), RGB),
    "interlaced.png": (png(8, 2, adam7(RGB), interlace=1), RGB),
    "grey.png": (saved(GREY, "PNG"), GREY),
    "grey-4.png": (png(4, 0, packed(GREY, 4)), deepened(4)),
    "grey-4-key.png": (png(4, 0, packed(GREY, 4), chunk(b"tRNS", b"\0\x04")), whiter(deepened(4), [68])),
    "grey-4-wide-key.png": (png(2, 0, packed(GREY, 2), chunk(b"tRNS", b"\0\x01")), whiter(deepened(2), [85])),
    "grey-key.png": (png(8, 0, (HALF.crop((0, y, W, y + 1)).split()[0].tobytes() for y in range(H)), chunk(b"tRNS", b"\0\x0a")), whiter(HALF.split()[0], [10])),
    "bilevel.png": (saved(BILEVEL, "PNG"), BILEVEL),
    "bilevel-key.png": (png(1, 0, packed(BILEVEL.convert("L"), 1), chunk(b"tRNS", b"\0\0")), Image.new("L", (W, H), 255)),
    "grey16.png": (png(16, 0, rows(GREY, lambda v: [v * DEEP])), GREY),
    "grey16-dark.png": (png(16, 0, rows(GREY, lambda v: [v])), Image.new("L", (W, H), 0)),
    "grey16-key.png": (png(16, 0, rows(GREY, lambda v: [v * DEEP]), chunk(b"tRNS", b"\0\0")), whiter(GREY, [0])),
    "grey-alpha.png": (saved(GREY_ALPHA, "PNG"), on_white(GREY_ALPHA)),
    "grey16-alpha.png": (png(16, 4, rows(GREY_ALPHA, lambda p: [v * DEEP for v in p])), on_white(GREY_ALPHA)),
    "rgb16.png": (png(16, 2, rows(RGB, lambda p: [v * DEEP for v in p])), RGB),
    "rgb16-key.png": (png(16, 2, rows(HALF, lambda p: [v * 256 + 90 for v in p]), chunk(b"tRNS", struct.pack(">3H", *(v * 256 + 90 for v in (10, 20, 30))))), HALF_CLEAR),
    "rgb-key.png": (saved(HALF, "PNG", transparency=(10, 20, 30)), HALF_CLEAR),
    "rgba.png": (saved(RGBA, "PNG"), on_white(RGBA)),
    "rgba16.png": (png(16, 6, rows(RGBA, lambda p: [v * DEEP for v in p])), on_white(RGBA)),
    "palette.png": (saved(INDEXED, "PNG"), INDEXED),
    "palette-alpha.png": (saved(INDEXED, "PNG", transparency=bytes(range(0, 256, 8))), None),
    "palette-key.png": (saved(INDEXED, "PNG", transparency=3), None),
    "oriented.png": (saved(lying(6), "PNG", exif=exif(6)), RGB),
    "display-p3.png": (saved(RGB, "PNG", icc_profile=P3), None),
    "animated.png": (saved(RGB, "PNG", save_all=True, append_images=[GREY.convert("RGB")], duration=100), RGB),
    "text-bomb.png": (png(8, 2, (RGB.crop((0, y, W, y + 1)).tobytes() for y in range(H)), chunk(b"zTXt", b"Comment\0\0" + BOMB)), RGB),
    "lossy.webp": (saved(RGB, "WEBP", quality=95), RGB),
    "lossy-alpha.webp": (saved(RGBA, "WEBP", quality=95), on_white(RGBA)),
    "lossless.webp": (saved(RGB, "WEBP", lossless=True), RGB),
    "lossless-alpha.webp": (saved(RGBA, "WEBP", lossless=True), on_white(RGBA)),
    "oriented.webp": (saved(lying(8), "WEBP", quality=95, exif=exif(8)), RGB),
    "display-p3.webp": (saved(RGB, "WEBP", quality=95, icc_profile=P3), None),
    "animated.webp": (saved(RGB, "WEBP", save_all=True, append_images=[GREY.convert("RGB")], duration=100, quality=95), RGB),
    "animated-part.webp": (webp_animation(0x12, webp_frame(SMALL, 4, 4), webp_frame(RGB, 0, 0)), at(SMALL)),
    "animated-uncovered.webp": (webp_animation(0x02, webp_frame(SMALL, 4, 4), webp_frame(RGB, 0, 0)), at(SMALL)),
    "palette.gif": (saved(INDEXED, "GIF", interlace=0), INDEXED),
    "interlaced.gif": (saved(INDEXED, "GIF", interlace=1), INDEXED),
    "grey.gif": (saved(GREY, "GIF"), GREY),
    "clear.gif": (saved(CLEAR, "GIF"), None),
    "animated.gif": (saved(INDEXED, "GIF", save_all=True, append_images=[GREY], duration=100), INDEXED),
    "part.gif": (gif_part(SMALL.quantize(16), transparency=15), None),
    "uncovered.gif": (gif_part(SMALL.quantize(16)), at(SMALL.quantize(16).convert("RGB"))),
    "rgb.tiff": (saved(RGB, "TIFF"), RGB),
    "big-endian.tiff": (tiff(RGB.tobytes(), ">", bits=[8, 8, 8], photometric=2, samples=3), RGB),
    "lzw.tiff": (saved(RGB, "TIFF", compression="tiff_lzw"), RGB),
    "deflate.tiff": (saved(RGB, "TIFF", compression="tiff_adobe_deflate"), RGB),
    "packbits.tiff": (saved(RGB, "TIFF", compression="packbits"), RGB),
    "fax.tiff": (saved(BILEVEL, "TIFF", compression="group4"), BILEVEL),
    "fax-white-is-zero.tiff": (saved(BILEVEL, "TIFF", compression="group4", tiffinfo={262: 0}), BILEVEL),
    "grey.tiff": (saved(GREY, "TIFF"), GREY),
    "white-is-zero.tiff": (tiff(ImageOps.invert(GREY).tobytes(), bits=8, photometric=0, samples=1), GREY),
    "palette.tiff": (saved(INDEXED, "TIFF"), INDEXED),
    "tiled.tiff": (tiff(b"".join(RGB.crop((x, 0, x + 16, 16)).tobytes() for x in (0, 16)), bits=[8, 8, 8], photometric=2, samples=3,
                        tile_width=16, tile_height=16, tile_offsets=[8, 8 + 768], tile_counts=[768, 768]), RGB),
    "rgba.tiff": (saved(RGBA, "TIFF"), on_white(RGBA)),
    "premultiplied.tiff": (tiff(RGBA.convert("RGBa").tobytes(), bits=[8, 8, 8, 8], photometric=2, samples=4, extra=1), on_white(RGBA)),
    "grey16.tiff": (tiff(b"".join(rows(GREY, lambda v: [v * DEEP], "<")), bits=16, photometric=1, samples=1), GREY),
    "grey16-big-endian.tiff": (tiff(b"".join(rows(GREY, lambda v: [v * DEEP])), ">", bits=16, photometric=1, samples=1), GREY),
    "rgb16.tiff": (tiff(b"".join(rows(RGB, lambda p: [v * DEEP for v in p], "<")), bits=[16] * 3, photometric=2, samples=3), RGB),
    "orientation-6.tiff": (saved(lying(6), "TIFF", tiffinfo={274: 6}), RGB),
    "orientation-2.tiff": (saved(lying(2), "TIFF", tiffinfo={274: 2}), RGB),
    "display-p3.tiff": (saved(RGB, "TIFF", icc_profile=P3), None),
    "pages.tiff": (saved(RGB, "TIFF", save_all=True, append_images=[GREY.convert("RGB")], compression="tiff_adobe_deflate"), RGB),
    "float.tiff": (tiff(b"".join(struct.pack("<f", v / 255) for v in GREY.get_flattened_data()), bits=32, photometric=1, samples=1, format=3), GREY),
    "planes.tiff": (tiff(b"".join(b.tobytes() for b in RGB.split()), bits=[8, 8, 8], photometric=2, samples=3, planar=2), None),
    "cmyk.tiff": (saved(inks(RGB), "TIFF"), RGB),
    "reverse-bits.tiff": (tiff(bytes(int(f"{v:08b}"[::-1], 2) for v in GREY.tobytes()), bits=8, photometric=1, samples=1, fill=2), GREY),
    "jpeg.tiff": (saved(RGB, "TIFF", compression="jpeg", quality=95), RGB),
    "rgb.bmp": (saved(RGB, "BMP"), RGB),
    "palette.bmp": (saved(INDEXED, "BMP"), INDEXED),
    "bilevel.bmp": (saved(BILEVEL, "BMP"), BILEVEL),
    "top-down.bmp": (bmp(b"".join(bytes((b, g, r)) for r, g, b in RGB.get_flattened_data()), 40, 0, 24, height=-H), RGB),
    "padded.bmp": (bmp(b"".join(bytes((b, g, r, 0)) for r, g, b in RGB.get_flattened_data()), 40, 0, 32, height=-H), RGB),
    "version-4.bmp": (bmp(b"".join(bytes((b, g, r, 9)) for r, g, b in RGB.get_flattened_data()), 108, 0, 32, height=-H), RGB),
    "alpha.bmp": (bmp(b"".join(bytes((b, g, r, a)) for r, g, b, a in RGBA.get_flattened_data()), 108, 3, 32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000), height=-H), on_white(RGBA)),
    "runs.bmp": (bmp(b"".join(bytes((W, y, 0, 0)) for y in range(H)) + b"\0\1", 40, 1, 8, palette=bytes(v for i in range(256) for v in (i, 0, 0, 0))), None),
}

seen = []
for name, (encoded, person) in images.items():
    (HERE / name).write_bytes(encoded)
    opened = Image.open(io.BytesIO(encoded))
    mode, form = opened.mode, opened.format
    trainer = pil_img2rgb(opened)
    seen.append({
        "file": name, "format": form, "mode": mode, "width": trainer.width, "height": trainer.height,
        "trainer": grid(trainer), "person": person and grid(person.convert("RGB")),
    })
lines = ",\n  ".join(json.dumps(s) for s in seen)
(HERE / "pillow.json").write_text(f'{{"pillow": "{PIL.__version__}", "images": [\n  {lines}\n]}}\n')
