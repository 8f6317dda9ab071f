"""Writes vectors.json: hashes of the pictures that pdq_test.go draws, by the
C++ library of ThreatExchange, which the package pdqhash binds.

    pip install pdqhash==0.2.8 numpy && python make.py
"""

import json

import numpy as np
import pdqhash

PICTURES = [  # width, height, seed
    (4, 100, 1), (100, 4, 2), (5, 5, 3), (7, 300, 4), (63, 65, 5), (64, 64, 6), (65, 64, 7), (128, 128, 8),
    (129, 440, 9), (200, 150, 10), (256, 256, 11), (513, 257, 12), (640, 300, 13), (133, 900, 14), (1400, 90, 15),
]


def numbers(seed):
    """Knuth's linear congruential generator, its upper half."""
    while True:
        seed = (seed * 6364136223846793005 + 1442695040888963407) % 2**64
        yield seed >> 33


def draw(width, height, seed, grey):
    """Twenty rectangles over one another, the first of them all of the picture."""
    n = numbers(seed)
    picture = np.zeros((height, width, 3), np.uint8)
    for i in range(20):
        x, y = (0, 0) if i == 0 else (next(n) % width, next(n) % height)
        w, h = (width, height) if i == 0 else (next(n) % width + 1, next(n) % height + 1)
        colour = [next(n) % 256 for _ in range(3)]
        picture[y : y + h, x : x + w] = [colour[0]] * 3 if grey else colour
    return picture


vectors = []
for width, height, seed in PICTURES:
    for grey in (True, False):
        bits, quality = pdqhash.compute(draw(width, height, seed, grey))
        digits = "%064x" % int("".join(map(str, bits)), 2)
        vectors.append({"width": width, "height": height, "seed": seed, "grey": grey, "hash": digits, "quality": quality})

with open("vectors.json", "w") as out:
    out.write("[\n" + ",\n".join(json.dumps(v) for v in vectors) + "\n]\n")
