"""The JSON file that says which models there are, and what they are fed."""

import dataclasses
import json
import math
import pathlib
import re


class Mistake(Exception):
    """One sentence for the user: what was found, and what is expected."""


@dataclasses.dataclass(frozen=True)
class Pixels:
    """How an image becomes a model's input: (x/255 - mean) / std."""

    size: int = 224
    mean: tuple = (0.0, 0.0, 0.0)
    std: tuple = (1.0, 1.0, 1.0)
    layout: str = "NCHW"
    channels: str = "RGB"
    fit: str = "squash"  # to a square, or "crop" its middle
    resample: str = "bicubic"


@dataclasses.dataclass(frozen=True)
class ImageModel(Pixels):
    """One ONNX model, of whose output one number is the score."""

    score: str = ""
    model: str = ""
    output: str = ""  # empty: the model's only one
    index: int = 0  # in the flat output
    activation: str = "none"


@dataclasses.dataclass(frozen=True)
class Clip(Pixels):
    """Two encoders; the score is the cosine of what they give, times scale."""

    mean: tuple = (0.48145466, 0.4578275, 0.40821073)  # OpenAI's CLIP
    std: tuple = (0.26862954, 0.26130258, 0.27577711)
    fit: str = "crop"
    score: str = ""
    image_encoder: str = ""
    text_encoder: str = ""
    tokenizer: str = ""
    image_output: str = ""
    text_output: str = ""
    context: int = 77  # tokens of a prompt; what is beyond is cut off
    pad: int = -1  # the token that fills a prompt up; -1: the prompt's last
    scale: float = 1.0


KINDS = {"image": ImageModel, "clip": Clip}
CHOICES = {
    "layout": ("NCHW", "NHWC"),
    "channels": ("RGB", "BGR"),
    "fit": ("squash", "crop"),
    "resample": ("nearest", "bilinear", "bicubic", "lanczos"),
    "activation": ("none", "sigmoid", "softmax"),
}
FILES = ("model", "image_encoder", "text_encoder", "tokenizer")
BOUNDS = {"size": (1, 4096), "context": (2, 4096), "index": (0, 1 << 20), "pad": (-1, 1 << 31)}


def read(path):
    """Returns the models of a file; paths in it are relative to its folder."""
    path = pathlib.Path(path)
    try:
        entries = json.loads(path.read_text())
    except (OSError, ValueError) as e:
        raise Mistake(f"{path} cannot be read as JSON: {e}") from None
    if not isinstance(entries, list) or not 1 <= len(entries) <= 64:
        raise Mistake(f"{path} is no list of 1 to 64 models")
    models = [entry(e, f"{path}: model {i + 1}", path.parent) for i, e in enumerate(entries)]
    names = [m.score for m in models]
    for name in names:
        if names.count(name) > 1:
            raise Mistake(f"{path}: two models have the score {name!r}: want one for each name")
    return models


def entry(fields, where, folder):
    kind = fields.get("kind", "image") if isinstance(fields, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise Mistake(f"{where}: want an object whose `kind` is image or clip")
    known = {f.name: f for f in dataclasses.fields(KINDS[kind])}
    values = {}
    for name, value in fields.items():
        if name == "kind":
            continue
        if name not in known:
            raise Mistake(f"{where}: there is no `{name}` of kind {kind}: want of {', '.join(sorted(known))}")
        values[name] = checked(value, known[name].default, name, where)
    for name in known:
        if name in FILES or name == "score":
            if not values.get(name):
                raise Mistake(f"{where}: `{name}` is missing")
            if name in FILES:
                values[name] = str(folder / values[name])
    if not re.fullmatch("[a-z0-9_]{1,64}", values["score"]):
        raise Mistake(f"{where}: `score` is {values['score']!r}: want lower-case letters, digits and _")
    return KINDS[kind](**values)


def checked(value, default, name, where):
    number = lambda v: isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v)
    if isinstance(default, tuple):
        if not isinstance(value, list) or len(value) != 3 or not all(map(number, value)) or name == "std" and 0 in value:
            raise Mistake(f"{where}: `{name}` is {value!r}: want three numbers{', none of them 0' if name == 'std' else ''}")
        return tuple(float(v) for v in value)
    if name in CHOICES:
        if value not in CHOICES[name]:
            raise Mistake(f"{where}: `{name}` is {value!r}: want one of {', '.join(CHOICES[name])}")
        return value
    if name in BOUNDS:
        low, high = BOUNDS[name]
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise Mistake(f"{where}: `{name}` is {value!r}: want a whole number from {low} to {high}")
        return value
    if isinstance(default, float):
        if not number(value):
            raise Mistake(f"{where}: `{name}` is {value!r}: want a number")
        return float(value)
    if not isinstance(value, str):
        raise Mistake(f"{where}: `{name}` is {value!r}: want a text")
    return value
