"""Writes mutants.jsonl beside it: changes to the images here, cut off or with
some bytes of the header replaced, and the size of what the official loader's
Pillow makes of each, or null where it raises. Pillow 11.1.0 wrote it."""

import io
import json
import pathlib
import random
import warnings

from PIL import Image, ImageFile, PngImagePlugin

HERE = pathlib.Path(__file__).parent
OF_EACH = 8
# As SFT/data/interleave_datasets/multi_think_interleave_t2i_dataset.py sets them.
Image.MAX_IMAGE_PIXELS = 200000000
ImageFile.LOAD_TRUNCATED_IMAGES = True
PngImagePlugin.MAX_TEXT_CHUNK = 1024 * 2**20
warnings.simplefilter("ignore")


def rgb(encoded):
    """What pil_img2rgb (SFT/data/data_utils.py) does, but for the colours."""
    image = Image.open(io.BytesIO(encoded))
    if image.size[0] * image.size[1] > 10**8:
        raise MemoryError
    image.convert("RGBA").split()
    return image.size


def header(name, encoded):
    """Where the bytes lie that a mutation changes."""
    if name.endswith(".tiff"):
        order = "little" if encoded[:2] == b"II" else "big"
        at = int.from_bytes(encoded[4:8], order)
        return range(at, at + 2 + 12 * int.from_bytes(encoded[at:at + 2], order))
    return range(4, min(len(encoded), 200))


def mutants(name, encoded):
    rng = random.Random(name)
    for i in range(OF_EACH):
        if i % 4 == 3:
            yield rng.randrange(8, len(encoded)), []
        else:
            at = rng.sample(header(name, encoded), 1 + i % 2)
            yield len(encoded), [[a, rng.choice([0, 1, 2, 3, 8, 255, rng.randrange(256)])] for a in at]


def main():
    with open(HERE / "mutants.jsonl", "w") as out:
        for image in json.load(open(HERE / "pillow.json"))["images"]:
            name = image["file"]
            original = (HERE / name).read_bytes()
            for cut, changes in mutants(name, original):
                encoded = bytearray(original[:cut])
                for at, value in changes:
                    encoded[at] = value
                try:
                    size = rgb(bytes(encoded))
                except MemoryError:
                    continue
                except Exception:
                    size = None
                out.write(json.dumps({"file": name, "cut": cut, "changes": changes, "size": size}) + "\n")


if __name__ == "__main__":
    main()
