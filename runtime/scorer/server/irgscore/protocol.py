"""Requests of docs/score-protocol.md, checked before any model sees them."""

import base64
import binascii
import io
import json

from PIL import Image, ImageOps

MAX_BODY = 64 << 20  # bytes of a request
MAX_PIXELS = 64 << 20  # of an image
MAX_RATIO = 32  # of an image's sides: a strip grows when its short side does
FORMATS = ("JPEG", "PNG", "WEBP", "GIF")


class BadRequest(Exception):
    """The caller's mistake (400), or an image that cannot be scored (422)."""

    def __init__(self, message, status=400):
        super().__init__(message)
        self.status = status


def parse(body):
    """Returns the image, in RGB and upright, and the prompt, which may be empty."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest("the body is not JSON") from None
    if not isinstance(fields, dict):
        raise BadRequest("the body is no JSON object")
    image, prompt = fields.get("image"), fields.get("prompt", "")
    if not isinstance(image, str):
        raise BadRequest("`image` is missing: want the encoded image in base64")
    if not isinstance(prompt, str):
        raise BadRequest("`prompt` is no text")
    try:
        prompt.encode()
    except UnicodeEncodeError:  # half a surrogate pair
        raise BadRequest("`prompt` has characters that are none in Unicode") from None
    try:
        data = base64.b64decode(image, validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest("`image` is not base64") from None
    return decode(data), prompt


def decode(data):
    """Decodes an image whose header promises no more than fits the bounds."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            w, h = image.size
            if w * h > MAX_PIXELS:
                raise BadRequest(f"the image has {w}x{h} pixels: want at most {MAX_PIXELS} in all", 422)
            if max(w, h) > MAX_RATIO * min(w, h):
                raise BadRequest(f"the image has {w}x{h} pixels: want no side more than {MAX_RATIO} times the other", 422)
            image = ImageOps.exif_transpose(image)
            if image.has_transparency_data:  # over white, as most viewers show it
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            return image.convert("RGB")
    except BadRequest:
        raise
    except Exception as e:  # whatever a decoder makes of broken bytes
        raise BadRequest(f"the image cannot be decoded: {e}"[:300], 422) from None
