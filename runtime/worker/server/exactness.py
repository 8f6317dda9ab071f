"""Shows on a CPU that the worker gives what the official script gives.

    python exactness.py --code CHECKOUT --checkpoint FOLDER

It runs worker_fn of eval/multi_turn/tiif/tiif_multi_turn_gen.py, which loads
the checkpoint and makes two trajectories, and compares T1, I1, T2 and I2:

1. with the engine, in one process, from the same state of the random numbers,
   which then run on through all four answers as they do in the script;
2. with a worker over HTTP, with and without its prefix cache. Each request has
   a seed of its own, so the script's function gets the same seeds right before
   the same uses of random numbers.

The official files stay as they are. From outside come: flash_attn by torch's
attention, convolutions in fp32, "cpu" in place of "cuda", and the width of the
autoencoder, which load_ae fixes. Exit status 1 means that something differs.
"""

import argparse
import base64
import contextlib
import importlib.util
import io
import json
import os
import queue
import re
import signal
import subprocess
import sys
import time
import urllib.request

import torch
from PIL import Image

from irgworker import official
from irgworker.engine import Engine
from irgworker.protocol import Guidance, Picture, Request, Text, png

SCRIPT = os.path.join("eval", "multi_turn", "tiif", "tiif_multi_turn_gen.py")
SHORT, LONG = "a red cube on a blue floor", "a red cube on a blue floor, with a candle that throws its shadow to the left"
STEPS = ("T1", "I1", "T2", "I2")
CPU = torch.device("cpu")


def load_script(code, checkpoint):
    official.prepare(official.root_of(code), CPU)
    sys.path.insert(0, os.path.abspath(code))  # the script imports SFT.…
    spec = importlib.util.spec_from_file_location("tiif_multi_turn_gen", os.path.join(code, SCRIPT))
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)

    import accelerate
    from SFT.modeling import autoencoder

    autocast, dispatch, load_ae = torch.amp.autocast, accelerate.load_checkpoint_and_dispatch, script.load_ae
    torch.amp.autocast = lambda device, **kw: autocast("cpu", **kw)
    accelerate.load_checkpoint_and_dispatch = lambda model, **kw: dispatch(model, **kw | {"device_map": {"": "cpu"}})

    def load_ae_on_cpu(local_path):
        with official.autoencoder_width(autoencoder, local_path):
            vae, params = load_ae(local_path=local_path)
        to = vae.to
        vae.to = lambda device, dtype: to(device=CPU, dtype=dtype)
        return vae, params

    script.load_ae = load_ae_on_cpu
    script.setup_worker = lambda rank, world_size: rank  # it only picks a GPU
    return script


def run_script(script, checkpoint, side):
    """Runs worker_fn; returns its record, and how its function was called."""
    calls, function = [], script.generate_multi_turn_image_with_think

    def on_cpu(**kw):
        kw["device"] = "cpu"
        calls.append((torch.get_rng_state(), kw))
        return function(**kw)

    script.generate_multi_turn_image_with_think = on_cpu
    o = argparse.Namespace(
        model_path=checkpoint, max_latent_size=64, resolution=side,  # the rest are the defaults of its main()
        cfg_text_scale_turn1=4.0, cfg_interval_turn1=[0.4, 1.0], cfg_renorm_min_turn1=0.0, cfg_renorm_type_turn1="global", timestep_shift_turn1=3.0,
        cfg_text_scale_turn2=4.0, cfg_img_scale_turn2=2.0, cfg_interval_turn2=[0, 1.0], cfg_renorm_min_turn2=0.0,
        cfg_type_turn2="serial_text_img", cfg_renorm_type_turn2="text_channel", timestep_shift_turn2=3.0,
    )
    item = {"type": "t", "short_description": SHORT, "long_description": LONG, "file_name": "f", "line_idx": 0}
    results = queue.Queue()
    script.worker_fn(0, 1, o, [[item]], results)
    script.generate_multi_turn_image_with_think = function
    record = results.get_nowait()
    if record == "DONE":
        sys.exit("the official worker_fn made no trajectory; its output says why")
    return [flat(record["short_results"]), flat(record["long_results"])], calls


def flat(results):
    """The script's result as T1, I1, T2, I2; images as PNG."""
    return [f(results[turn][kind]) for turn in ("turn_1", "turn_2") for kind, f in (("text", str), ("image", png))]


def run_script_seeded(script, kw, seeds):
    """Calls the official function with a seed before each use of random numbers."""
    model, vae, seeds, digest = kw["model"], kw["vae_model"], iter(seeds), []

    def seeded(function, seed):
        def call(*args, **kwargs):
            torch.manual_seed(seed(kwargs))
            return function(*args, **kwargs)

        return call

    def of_pixels(kwargs):
        return int.from_bytes(Picture(digest[-1]).digest()[:7])

    prepare = model.prepare_vae_images
    model.prepare_vae_images = lambda **k: (digest.append(k["images"][0]), prepare(**k))[1]
    model.generate_text = seeded(model.generate_text, lambda _: next(seeds))
    model.prepare_vae_latent = seeded(model.prepare_vae_latent, lambda _: next(seeds))
    vae.encode = seeded(vae.encode, of_pixels)
    try:
        return flat(script.generate_multi_turn_image_with_think(**kw))
    finally:
        del model.prepare_vae_images, model.generate_text, model.prepare_vae_latent, vae.encode


class OneStream(Engine):
    """Leaves the random numbers to run on, as they do in the script."""

    def reseed(self, seed):
        pass


def run_engine(engine, system, kw):
    side, ask = kw["resolution"], lambda **r: engine.generate(Request(seed=0, **r))
    paint = {"want": "image", "width": side, "height": side, "steps": kw["num_timesteps"], "shift": 3.0}
    head = (Text(system), Text(kw["prompt"]))
    t1 = ask(context=head, want="text", temperature=0.3, max_tokens=kw["max_length"]).text
    draft = ask(context=head + (Text(t1),), cfg_text=Guidance(4.0, head[:1]), **paint).image
    seen = head + (Text(t1), Picture(draft))
    t2 = ask(context=seen, want="text", temperature=0.3, max_tokens=kw["max_length"]).text
    final = ask(
        context=seen + (Text(t2),), cfg_text=Guidance(4.0, seen), cfg_image=Guidance(2.0, head + (Text(t1), Text(t2))),
        cfg_interval=(0.0, 1.0), cfg_renorm="text_channel", **paint,
    ).image
    return [t1, png(draft), t2, png(final)]


@contextlib.contextmanager
def worker(code, checkpoint, *options):
    """A worker in a process of its own, on a port that the system picks."""
    process = subprocess.Popen(
        [sys.executable, "-m", "irgworker", "--code", code, "--checkpoint", checkpoint, "--device", "cpu", "--port", "0", *options],
        cwd=os.path.dirname(os.path.abspath(__file__)), stderr=subprocess.PIPE, text=True,
    )
    try:
        for line in process.stderr:
            if ready := re.search(r"ready on (\S+):(\d+)", line):
                break
        else:
            sys.exit("the worker did not start")
        yield f"http://{ready[1]}:{ready[2]}", process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        print(f"the worker ended on SIGTERM with status {process.returncode}")


def run_worker(address, system, kw, seeds, i2_scale=2.0, timings=None):
    def ask(i, **request):
        body = json.dumps({"seed": seeds[i], **request}).encode()
        start = time.monotonic()
        with urllib.request.urlopen(urllib.request.Request(f"{address}/v1/generate", body), timeout=1800) as r:
            answer = json.load(r)
        if timings is not None:
            timings.append(f"{STEPS[i]} {time.monotonic() - start:.2f} s ({answer['tokens_cached']} of {answer['tokens_in']} tokens cached)")
        return answer

    side = kw["resolution"]
    paint = {"want": "image", "width": side, "height": side, "steps": kw["num_timesteps"]}
    write = {"want": "text", "temperature": 0.3, "max_tokens": kw["max_length"]}
    head = [{"text": system}, {"text": kw["prompt"]}]
    t1 = ask(0, context=head, **write)["text"]
    i1 = ask(1, context=head + [{"text": t1}], cfg_text={"scale": 4.0, "context": head[:1]}, **paint)["image"]
    seen = head + [{"text": t1}, {"image": i1}]
    t2 = ask(2, context=seen, **write)["text"]
    i2 = ask(
        3, context=seen + [{"text": t2}], cfg_text={"scale": 4.0, "context": seen}, cfg_image={"scale": i2_scale},
        cfg_interval=[0, 1], cfg_renorm="text_channel", **paint,
    )["image"]
    return [t1, base64.b64decode(i1), t2, base64.b64decode(i2)]


def pixels(encoded):
    return Image.open(io.BytesIO(encoded)).convert("RGB").tobytes()


def compare(what, want, got):
    """Prints a line for each step; returns whether all are equal."""
    equal = True
    for name, a, b in zip(STEPS, want, got):
        same = a == b
        detail = f"{len(a)} characters" if isinstance(a, str) else f"{len(pixels(a))} bytes of pixels, {'equal' if pixels(a) == pixels(b) else 'DIFFERENT'}"
        print(f"{what}: {name} {'equal' if same else 'DIFFERENT'} ({detail})")
        equal = equal and same
    return equal


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--code", required=True)
    p.add_argument("--checkpoint", required=True)
    p.add_argument("--side", type=int, default=64, help="pixels of an image's side")
    p.add_argument("--max-tokens", type=int, default=400, help="of a text over HTTP; the script's own 4096 hold in the first part")
    o = p.parse_args()
    sys.stdout.reconfigure(line_buffering=True)
    torch.set_num_threads(2)  # sums in another order round differently: all runs have the same
    os.environ["OMP_NUM_THREADS"] = "2"
    script = load_script(o.code, o.checkpoint)
    start = time.monotonic()
    wants, calls = run_script(script, o.checkpoint, o.side)
    print(f"the official worker_fn made two trajectories in {time.monotonic() - start:.1f} s")
    system, ok = script.GEN_THINK_SYSTEM_PROMPT, True

    loaded = official.load(o.code, o.checkpoint, CPU, torch.bfloat16)
    engine = OneStream(loaded, CPU, torch.bfloat16, {})
    for name, want, (state, kw) in zip(("short", "long"), wants, calls):
        torch.set_rng_state(state)
        ok &= compare(f"engine, one stream of random numbers, {name} prompt", want, run_engine(engine, system, kw))

    kw, seeds = calls[0][1] | {"max_length": o.max_tokens}, [11, 12, 13, 14]
    want = run_script_seeded(script, kw, seeds)
    for what, options in (("with cache", ()), ("without cache", ("--cache-mib", "0"))):
        timings = []
        with worker(o.code, o.checkpoint, *options) as (address, _):
            ok &= compare(f"worker over HTTP, {what}", want, run_worker(address, system, kw, seeds, timings=timings))
            print(f"worker over HTTP, {what}: {', '.join(timings)}")
            if options:
                continue
            # The comparison must be able to fail.
            other = run_worker(address, system, kw, [21, 22, 23, 24])
            unguided = run_worker(address, system, kw, seeds, i2_scale=1.0)
        controls = {
            "other seeds give other answers": all(a != b for a, b in zip(want, other)),
            "without guidance by the image only I2 differs": [a != b for a, b in zip(want, unguided)] == [False, False, False, True],
        }
        for control, holds in controls.items():
            print(f"control: {control}: {'yes' if holds else 'NO'}")
            ok &= holds
    print("exact" if ok else "NOT EXACT")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
