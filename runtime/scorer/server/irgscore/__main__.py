"""python -m irgscore: see README.md."""

import argparse
import logging
import signal
import sys
import threading

from .server import Server
from .settings import Mistake, read

log = logging.getLogger("irgscore")


def arguments(argv=None):
    p = argparse.ArgumentParser(prog="irgscore", description="Serves scores of ONNX models over HTTP.")
    p.add_argument("models", help="JSON file that says which models there are: see README.md")
    p.add_argument("--host", default="127.0.0.1", help="address to listen on; there is no password, so keep it off open networks")
    p.add_argument("--port", type=int, default=8096)
    p.add_argument("--provider", default="CPUExecutionProvider", help="of onnxruntime, such as CUDAExecutionProvider")
    p.add_argument("--parallel", type=int, default=2, help="requests at work at a time")
    p.add_argument("--queue", type=int, default=32, help="requests that may wait; further ones get 503")
    p.add_argument("--threads", type=int, default=0, help="of onnxruntime for one model; 0: one a core")
    p.add_argument("--selftest", action="store_true", help="score one image twice, compare, print seconds and the revision, and end")
    o = p.parse_args(argv)
    if o.parallel < 1 or o.queue < 0 or o.threads < 0:
        p.error("want --parallel of at least 1, and --queue and --threads of at least 0")
    return o


def build(o):
    """Loads all that is slow; its errors are the user's to read."""
    import onnxruntime

    from .engine import Engine

    if o.provider not in onnxruntime.get_available_providers():
        raise Mistake(f"onnxruntime has no {o.provider} here: want one of {', '.join(onnxruntime.get_available_providers())}")
    return Engine(read(o.models), o.threads, (o.provider,))


def serve(o):
    server = Server((o.host, o.port), o.parallel, o.queue)
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: server.stop())

    def load():
        try:
            server.engine = build(o)
            log.info("ready on %s:%d, revision %s", *server.server_address[:2], server.engine.revision)
        except BaseException as e:
            server.failure = f"the models cannot be loaded: {e}"
            log.error("%s", server.failure, exc_info=not isinstance(e, Mistake))
            server.stop()

    # Health answers 503 meanwhile. A stop does not wait for the loading.
    threading.Thread(target=load, daemon=True).start()
    server.serve_forever(poll_interval=0.2)
    server.drain(timeout=600)
    server.server_close()
    return 1 if server.failure else 0


def main():
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    o = arguments()
    if not o.selftest:
        return serve(o)
    from .selftest import run

    try:
        return run(build(o))
    except Mistake as e:
        print(e, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
