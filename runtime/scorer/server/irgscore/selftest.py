"""Scores one image twice with each model: are the numbers finite, and equal?"""

import json
import time

from PIL import Image

from .protocol import BadRequest


def run(engine):
    image, prompt = Image.radial_gradient("L").convert("RGB"), "a dark spot that fades to white"
    passed = True
    print("revision", engine.revision)
    try:
        for _ in range(2):
            start = time.monotonic()
            scores = engine.score(image, prompt)
            print(json.dumps({"scores": scores, "seconds": round(time.monotonic() - start, 3)}))
            passed = passed and scores == engine.score(image, prompt)
    except BadRequest as e:
        print(e)
        passed = False
    print("selftest", "passed" if passed else "FAILED: equal requests have equal, finite answers")
    return 0 if passed else 1
