"""python -m irgworker: see README.md."""

import argparse
import json
import logging
import signal
import sys
import threading

from . import PROTOCOL
from .server import Worker

log = logging.getLogger("irgworker")


def arguments(argv=None):
    p = argparse.ArgumentParser(prog="irgworker", description="Serves one IRG or BAGEL checkpoint on one device, with the official modelling code.")
    p.add_argument("--code", required=True, help="checkout of the official code (Interleaving-Reasoning-Generation or Bagel)")
    p.add_argument("--checkpoint", required=True, help="folder of a checkpoint in BAGEL's layout")
    p.add_argument("--host", default="127.0.0.1", help="address to listen on; there is no password, so keep it off open networks")
    p.add_argument("--port", type=int, default=8095)
    p.add_argument("--device", default="cuda:0", help="cuda:N or cpu")
    p.add_argument("--dtype", choices=("bf16", "fp32"), default="bf16", help="of the weights; attention computes in bf16 either way")
    p.add_argument("--queue", type=int, default=8, help="requests that may wait; further ones get 503")
    p.add_argument("--cache-mib", type=int, default=4096, help="device memory for the prefix cache; 0: none")
    p.add_argument("--max-context", type=int, default=32768, help="tokens of a context with its answer")
    p.add_argument("--selftest", action="store_true", help="make one small trajectory with and without the prefix cache, compare, and end")
    return p.parse_args(argv)


def build(o):
    """Loads all that is slow; its errors are the user's to read."""
    import torch

    from . import official
    from .engine import Engine

    device = torch.device(o.device)
    dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[o.dtype]
    identity = {
        "name": official.checkpoint_name(o.checkpoint),
        "protocol": PROTOCOL,
        "checkpoint": official.checkpoint_digest(o.checkpoint),
        "code": official.commit_of(o.code),
        "device": o.device,
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "dtype": o.dtype,
        "torch": torch.__version__,
    }
    loaded = official.load(o.code, o.checkpoint, device, dtype)
    identity["max_side"] = official.MAX_LATENT_SIZE * 16
    return Engine(loaded, device, dtype, identity, o.cache_mib << 20, o.max_context)


def serve(o):
    worker = Worker((o.host, o.port), o.queue)
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: worker.stop())

    def load():
        try:
            worker.set_engine(build(o))
            log.info("ready on %s:%d: %s", *worker.server_address[:2], json.dumps(worker.engine.identity))
        except BaseException as e:
            worker.failure = f"the checkpoint cannot be loaded: {e}"
            log.exception("loading failed")
            worker.stop()

    # Health answers 503 meanwhile. A stop does not wait for the loading.
    threading.Thread(target=load, daemon=True).start()
    worker.serve_forever(poll_interval=0.2)
    worker.drain(timeout=600)
    worker.server_close()
    return 1 if worker.failure else 0


def main():
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    o = arguments()
    if o.selftest:
        from .selftest import run

        return run(build(o))
    return serve(o)


if __name__ == "__main__":
    sys.exit(main())
