"""One small trajectory, with the prefix cache and without."""

import json
import time

from .cache import PrefixCache
from .protocol import Guidance, Picture, Request, Text, png

SYSTEM, PROMPT = Text("You think, then you paint."), Text("a red cube on a blue floor")


def trajectory(engine, side=256, steps=4, max_tokens=64, seed=1):
    """T1, I1, T2, I2 in the official order, with the official guidance."""
    paint = dict(want="image", width=side, height=side, steps=steps)
    answers = []

    def ask(**request):
        start = time.monotonic()
        a = engine.generate(Request(seed=seed + len(answers), **request))
        answers.append((a, time.monotonic() - start))
        return a

    head = (SYSTEM, PROMPT)
    t1 = Text(ask(context=head, want="text", max_tokens=max_tokens).text)
    i1 = Picture(ask(context=head + (t1,), cfg_text=Guidance(4.0, (SYSTEM,)), **paint).image)
    seen = head + (t1, i1)
    t2 = Text(ask(context=seen, want="text", max_tokens=max_tokens).text)
    ask(
        context=seen + (t2,), cfg_text=Guidance(4.0, seen), cfg_image=Guidance(2.0, head + (t1, t2)),
        cfg_interval=(0, 1), cfg_renorm="text_channel", **paint,
    )
    return answers


def run(engine):
    limit = engine.cache.limit
    with_cache = trajectory(engine)
    engine.cache = PrefixCache(0)
    without = trajectory(engine)
    engine.cache = PrefixCache(limit)
    equal = True
    for name, (a, took), (b, took_without) in zip(("T1", "I1", "T2", "I2"), with_cache, without):
        same = a.text == b.text and (a.image is None or png(a.image) == png(b.image))
        equal = equal and same
        print(json.dumps({
            "step": name, "equal": same, "tokens_in": a.tokens_in, "tokens_out": a.tokens_out, "tokens_cached": a.tokens_cached,
            "seconds": round(took, 2), "seconds_without_cache": round(took_without, 2),
        }))
    print("selftest", "passed" if equal else "FAILED: the prefix cache changes answers")
    return 0 if equal else 1
