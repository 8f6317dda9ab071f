"""Conversations of every kind, sound and broken, by name. `official.py record`
writes what the official loader makes of each."""

import base64
import io
import json

from PIL import Image


def picture(mode="RGB", size=(40, 30), form="PNG", **options):
    out = io.BytesIO()
    Image.new(mode, size, 128 if len(mode) < 3 else None).save(out, form, **options)
    return out.getvalue()


PNG = base64.b64encode(picture()).decode()
JPEG = base64.b64encode(picture(form="JPEG")).decode()


def text(content="<think>a</think>", **flags):
    return {"type": "text", "content": content, **flags}


def image(content=PNG, need_loss=True, need_vae=False, need_vit=False, **flags):
    return {"type": "image", "content": content, "need_loss": need_loss, "need_vae": need_vae, "need_vit": need_vit, **flags}


def turns(*parts, user="a cat"):
    return [{"role": "user", "content": user, "need_loss": False}, {"role": "assistant", "content": list(parts)}]


def sized(w, h):
    return turns(image(base64.b64encode(picture("L", (w, h))).decode(), need_vit=True))


VALUES = {
    "sound": turns(text(need_loss=True), image()),
    "all flags": turns(image(need_vae=True, need_vit=True)),
    "no flag": turns(text(), image(need_loss=False)),
    "flags missing": turns(text(), {"type": "image", "content": PNG}),
    "flags as numbers": turns(image(need_loss=0, need_vae=1, need_vit=0.5)),
    "flags as texts": turns(image(need_loss="false", need_vae="", need_vit=None)),
    "text flag null": turns(text(need_loss=None)),
    "text flag text": turns(text(need_loss="true")),
    "text flag digits": turns(text(need_loss=" 1 ")),
    "text flag list": turns(text(need_loss=[])),
    "jpeg": turns(image(JPEG, need_vit=True)),
    "data prefix": turns(text(), image("data:image/png;base64," + PNG)),
    "base64 with lines": turns(image("\n".join(PNG[i:i + 60] for i in range(0, len(PNG), 60)))),
    "base64 with signs": turns(image("!" + PNG[:10] + "-_ ." + PNG[10:])),
    "base64 with early padding": turns(image(PNG[:41] + "=" + PNG[41:])),
    "base64 with late padding": turns(image(base64.b64encode(picture(form="BMP")).decode() + "====")),
    "base64 without padding": turns(image(base64.b64encode(picture(form="BMP") + b"\0").decode().rstrip("="))),
    "base64 one sign short": turns(image(PNG.rstrip("=")[:-3])),
    "base64 with more after the padding": turns(image(base64.b64encode(picture() + b"\0").decode() + "AAAA")),
    "base64 with a letter beyond ASCII": turns(text(), image(PNG + "é")),
    "image no text": turns(text(), image(["x"])),
    "image of junk": turns(text(), image("AAAA")),
    "image of html": turns(text(), image(base64.b64encode(b"<html>").decode())),
    "image cut in the middle": turns(image(base64.b64encode(picture("RGB", (300, 300), "JPEG")[:700]).decode())),
    "image cut in the header": turns(text(), image(base64.b64encode(picture(form="PNG")[:20]).decode())),
    "image of 1 pixel": sized(1, 1),
    "image very wide": sized(3000, 2),
    "image very tall": sized(1, 2000),
    "image of odd sides": sized(521, 1033),
    "image of 1024": sized(1024, 1024),
    "image of 1500x900": sized(1500, 900),
    "image of 4000x3000": sized(4000, 3000),
    "image of 2000x1999": sized(2000, 1999),
    "webp": turns(image(base64.b64encode(picture(form="WEBP")).decode())),
    "gif": turns(image(base64.b64encode(picture("P", form="GIF")).decode())),
    "tiff": turns(image(base64.b64encode(picture(form="TIFF")).decode())),
    "bmp": turns(image(base64.b64encode(picture(form="BMP")).decode())),
    "system turn": [{"role": "system", "content": "be good"}] + turns(text()),
    "role in capitals": [{"role": "User", "content": "be good"}] + turns(text()),
    "key in capitals": [{"Role": "user", "content": "be good"}] + turns(text()),
    "user content list": [{"role": "user", "content": [text()]}] + turns(text()),
    "image in a user turn": [{"role": "user", "content": [image()]}] + turns(text()),
    "assistant content text": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
    "only a system turn": [{"role": "system", "content": "be good"}],
    "content empty": [{"role": "user", "content": ""}] + turns(text("")),
    "content missing": [{"role": "user"}] + turns({"type": "text"}),
    "part type unknown": turns(text(), {"type": "video", "content": "x"}),
    "part type missing": turns(text(), {"content": "x"}),
    "part no object": turns(text(), "b"),
    "turn no object": ["a"] + turns(text()),
    "text content number": turns({"type": "text", "content": 7}),
    "user need_loss": [{"role": "user", "content": "a", "need_loss": True}] + turns(text()),
    "user need_loss text": [{"role": "user", "content": "a", "need_loss": "no"}] + turns(text()),
    "unknown fields": [{"role": "user", "content": "a", "id": 7, "need_loss": False, "x": {"y": [None]}}],
    "empty list": [], "empty object": {}, "object": {"role": "user"}, "text": "a", "number": 7, "nothing": None, "zero": 0, "false": False,
}

ROWS = {name: json.dumps(value) for name, value in VALUES.items()} | {
    "no JSON": "{", "empty text": "", "space": " ", "two values": "[] []", "trailing comma": "[1,]",
    "single quotes": "[{'role': 'user'}]",
    "NaN in a field": '[{"role":"user","content":"a","score":NaN},{"role":"assistant","content":[{"type":"text","content":"b","need_loss":-Infinity}]}]',
    "NaN beside": '[{"role":"user","content":"a","score":NaN}]',
    "control sign in a text": '[{"role":"user","content":"a\nb"}]',
    "escapes": '[{"role":"user","content":"\\ud83d\\ude00 \\u00e9 \\/ \\n"}]',
    "half a pair": '[{"role":"user","content":"\\ud83d"}]',
    "half a pair and a sign": '[{"role":"user","content":"\\ud83d\\u0041"}]',
    "second half first": '[{"role":"user","content":"\\ude00\\ud83d"}]',
    "half a pair in another field": '[{"role":"user","content":"a","x":"\\ud83d"}]',
    "bad escape": '[{"role":"user","content":"\\x41"}]',
    "short escape": '[{"role":"user","content":"\\u00e"}]',
    "signed escape": '[{"role":"user","content":"\\u+0e9"}]',
    "key twice": '[{"role":"assistant","role":"user","content":"a"}]',
    "numbers": '[{"role":"user","content":"a","x":[0,-0,1.5,1e9,-1E-9,1e999,12345678901234567890]}]',
    "leading zero": '[{"role":"user","content":"a","x":01}]',
    "leading plus": '[{"role":"user","content":"a","x":+1}]',
    "bare point": '[{"role":"user","content":"a","x":1.}]',
    "no-break space": '[\u00a0]',
    "byte order mark": '\ufeff[{"role":"user","content":"a"}]',
    "literal in capitals": '[{"role":"user","content":"a","x":True}]',
}
