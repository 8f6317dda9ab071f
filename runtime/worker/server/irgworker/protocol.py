"""The requests and answers of docs/worker-protocol.md. Needs no torch."""

import base64
import binascii
import hashlib
import io
import json
import math
import warnings
from dataclasses import dataclass, field

from PIL import Image

MAX_BODY = 64 << 20  # bytes
MAX_PARTS = 64
MAX_PIXELS = 4096 * 4096  # of an image of a context
MAX_STEPS = 1000
MAX_TOKENS = 32768
SIDE_STEP = 16  # pixels of a side for each latent token
RENORMS = ("global", "channel", "text_channel")

# They would end a segment and begin another, so no part may hold them.
CONTROL = ("<|im_start|>", "<|im_end|>")


class BadRequest(Exception):
    """The request is at fault, and no model worked on it."""

    def __init__(self, message, status=400):
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Text:
    text: str

    def digest(self):
        return hashlib.sha256(b"text\0" + self.text.encode("utf-8", "surrogatepass")).digest()


@dataclass(frozen=True)
class Picture:
    """An RGB image. Its identity is its pixels, whatever encoded them."""

    image: Image.Image

    def digest(self):
        head = f"image\0{self.image.width}x{self.image.height}\0".encode()
        return hashlib.sha256(head + self.image.tobytes()).digest()


@dataclass(frozen=True)
class Guidance:
    scale: float  # at most 1: none
    context: tuple  # of Text and Picture


@dataclass(frozen=True)
class Request:
    context: tuple
    want: str
    seed: int
    temperature: float = 0.3  # 0: greedy
    max_tokens: int = 4096
    width: int = 1024
    height: int = 1024
    steps: int = 50  # timesteps; one update fewer is made
    shift: float = 3.0
    cfg_text: Guidance = field(default_factory=lambda: Guidance(4.0, ()))
    cfg_image: Guidance = field(default_factory=lambda: Guidance(1.0, ()))
    cfg_interval: tuple = (0.4, 1.0)
    cfg_renorm: str = "global"
    cfg_renorm_min: float = 0.0


@dataclass
class Answer:
    finish: str  # "stop" or "length"
    tokens_in: int
    tokens_out: int
    tokens_cached: int
    text: str | None = None
    image: Image.Image | None = None

    def body(self, seconds):
        out = {
            "finish": self.finish,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "tokens_cached": self.tokens_cached,
            "seconds": round(seconds, 3),
        }
        if self.image is not None:
            out["image"] = base64.b64encode(png(self.image)).decode()
            out["width"], out["height"] = self.image.size
        else:
            out["text"] = self.text
        return out


def png(image):
    b = io.BytesIO()
    image.save(b, "PNG")
    return b.getvalue()


TEXT_ONLY = ("temperature", "max_tokens")
IMAGE_ONLY = ("width", "height", "steps", "shift", "cfg_text", "cfg_image", "cfg_interval", "cfg_renorm", "cfg_renorm_min")


def parse(body, max_side=1024):
    """Reads a request, or raises BadRequest with one sentence."""
    try:
        got = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as e:
        raise BadRequest(f"the body is no JSON: {e}") from None
    allowed = ("context", "want", "seed") + TEXT_ONLY + IMAGE_ONLY
    _fields(got, "the request", allowed, ("context", "want", "seed"))
    want = got["want"]
    if want not in ("text", "image"):
        raise BadRequest(f'`want` is {_show(want)}: want "text" or "image"')
    for name in IMAGE_ONLY if want == "text" else TEXT_ONLY:
        if name in got:
            raise BadRequest(f"`{name}` has no meaning where `want` is {_show(want)}: leave it out")
    context = _parts(got["context"], "context")
    if not context:
        raise BadRequest("`context` is empty: want at least one part")
    out = {"context": context, "want": want, "seed": _integer(got, "seed", 0, 2**64 - 1)}
    for name, least, most in (("max_tokens", 1, MAX_TOKENS), ("steps", 2, MAX_STEPS)):
        if name in got:
            out[name] = _integer(got, name, least, most)
    for name in ("width", "height"):
        if name in got:
            out[name] = _integer(got, name, SIDE_STEP, max_side)
            if out[name] % SIDE_STEP:
                raise BadRequest(f"`{name}` is {out[name]}: want a multiple of {SIDE_STEP} up to {max_side} pixels")
    for name, least, most in (("temperature", 0, 100), ("shift", 0.01, 100), ("cfg_renorm_min", 0, 1)):
        if name in got:
            out[name] = _number(got[name], name, least, most)
    if "cfg_interval" in got:
        pair = got["cfg_interval"]
        if not isinstance(pair, list) or len(pair) != 2:
            raise BadRequest(f"`cfg_interval` is {_show(pair)}: want two numbers from 0 to 1")
        out["cfg_interval"] = tuple(_number(v, "cfg_interval", 0, 1) for v in pair)
    if "cfg_renorm" in got:
        if got["cfg_renorm"] not in RENORMS:
            raise BadRequest(f"`cfg_renorm` is {_show(got['cfg_renorm'])}: want one of {', '.join(RENORMS)}")
        out["cfg_renorm"] = got["cfg_renorm"]
    if want == "image":
        texts = tuple(p for p in context if isinstance(p, Text))
        out["cfg_text"] = _guidance(got.get("cfg_text", {}), "cfg_text", 4.0, ())
        out["cfg_image"] = _guidance(got.get("cfg_image", {}), "cfg_image", 1.0, texts)
        if out["cfg_image"].scale > 1 and out["cfg_text"].scale <= 1:
            # The official code would leave the image's guidance out in silence.
            raise BadRequest("`cfg_image` has a scale above 1 and `cfg_text` has none: the model guides by images only together with text")
    return Request(**out)


def _guidance(got, name, scale, context):
    _fields(got, f"`{name}`", ("scale", "context"), ())
    if "scale" in got:
        scale = _number(got["scale"], f"{name}.scale", 0, 100)
    if "context" in got:
        context = _parts(got["context"], f"{name}.context")
    return Guidance(scale, context)


def _parts(got, name):
    if not isinstance(got, list) or len(got) > MAX_PARTS:
        raise BadRequest(f"`{name}` is no list of at most {MAX_PARTS} parts")
    return tuple(_part(p, f"{name}[{i}]") for i, p in enumerate(got))


def _part(got, name):
    _fields(got, f"`{name}`", ("text", "image"), ())
    if len(got) != 1:
        raise BadRequest(f"`{name}` is no part: want either `text` or `image`")
    ((kind, value),) = got.items()
    if not isinstance(value, str):
        raise BadRequest(f"`{name}.{kind}` is {_show(value)}: want a string")
    if kind == "image":
        return Picture(_picture(value, name))
    for token in CONTROL:
        if token in value:
            raise BadRequest(f"`{name}` holds the control token {token}, which would make another context of it")
    return Text(value)


def _picture(value, name):
    try:
        encoded = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest(f"`{name}.image` is not base64") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own of large images: the limit is ours
            image = Image.open(io.BytesIO(encoded), formats=("PNG", "JPEG", "WEBP"))
            if image.width * image.height > MAX_PIXELS:
                raise BadRequest(f"`{name}` has {image.width}x{image.height} pixels: want at most {MAX_PIXELS}")
            image.load()
            return rgb(image)
    except BadRequest:
        raise
    except Exception:  # Pillow raises many kinds on broken files
        raise BadRequest(f"`{name}` is no whole PNG, JPEG or WebP image") from None


def rgb(image):
    """As pil_img2rgb of the official data/data_utils.py: alpha on white."""
    if image.mode == "RGBA" or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, (255, 255, 255))
        white.paste(image, mask=image.split()[3])
        return white
    return image.convert("RGB")


def _fields(got, name, allowed, required):
    if not isinstance(got, dict):
        raise BadRequest(f"{name} is {_show(got)}: want an object")
    for key in got:
        if key not in allowed:
            raise BadRequest(f"{name} has an unknown field {_show(key)}: want {', '.join(allowed)}")
    for key in required:
        if key not in got:
            raise BadRequest(f"{name} lacks `{key}`")


def _integer(got, name, least, most):
    value = got[name]
    if type(value) is not int or not least <= value <= most:
        raise BadRequest(f"`{name}` is {_show(value)}: want a whole number from {least} to {most}")
    return value


def _number(value, name, least, most):
    if type(value) not in (int, float) or not math.isfinite(value) or not least <= value <= most:
        raise BadRequest(f"`{name}` is {_show(value)}: want a number from {least} to {most}")
    return float(value)


def _show(value):
    shown = json.dumps(value)
    return shown if len(shown) <= 60 else shown[:60] + "…"


def _no_constant(name):
    raise ValueError(f"{name} is no number of JSON")
