"""The HTTP side: some requests work at a time, and a bounded number waits."""

import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from . import PROTOCOL, protocol

log = logging.getLogger("irgscore")


class Server(ThreadingHTTPServer):
    """Answers /health at once; a set engine makes it ready.

    An engine has `revision` and score(image, prompt), which gives numbers by
    name and is called by up to `parallel` threads at a time.
    """

    daemon_threads = True  # idle connections do not hold the process; drain does
    request_queue_size = 64
    allow_reuse_address = True

    def __init__(self, address, parallel=2, queue=32, read_timeout=60.0):
        super().__init__(address, Handler)
        self.engine = None
        self.failure = None  # why there is no engine, and never will be
        self.closing = False
        self.read_timeout = read_timeout
        # A place is taken before a body is read, which bounds their memory.
        self.places = threading.BoundedSemaphore(parallel + queue)
        self.working = threading.BoundedSemaphore(parallel)
        self._posts = 0  # requests whose answers are not written yet
        self._idle = threading.Condition()

    def stop(self):
        """Ends serve_forever; what works is finished."""
        self.closing = True
        threading.Thread(target=self.shutdown).start()  # serve_forever may be this thread's

    def drain(self, timeout):
        """Waits until all answers are written; reports whether they are."""
        with self._idle:
            return self._idle.wait_for(lambda: self._posts == 0, timeout)

    def count(self, change):
        with self._idle:
            self._posts += change
            self._idle.notify_all()

    def handle_error(self, request, client_address):
        log.debug("connection of %s", client_address, exc_info=True)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "irgscore"
    sys_version = ""

    def setup(self):
        self.timeout = self.server.read_timeout
        super().setup()

    def do_GET(self):
        if self.path not in ("/health", "/v1/scorer"):
            return self._error(404, f"there is no {self.path[:100]}")
        if self._ready():
            self._json(200, {"status": "ok"} if self.path == "/health" else {"protocol": PROTOCOL, "revision": self.server.engine.revision})

    def do_POST(self):
        self.server.count(1)
        try:
            self._post()
        finally:
            self.server.count(-1)

    def _post(self):
        # Whatever goes wrong before the body is read leaves it on the wire.
        self.close_connection = True
        if self.path != "/v1/score":
            return self._error(404, f"there is no {self.path[:100]}")
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or len(length) > 18:
            return self._error(400, "the request has no Content-Length")
        if int(length) > protocol.MAX_BODY:
            return self._error(413, f"the body has {length} bytes: want at most {protocol.MAX_BODY}")
        if not self._ready():
            return
        if not self.server.places.acquire(blocking=False):
            return self._error(503, "the queue is full", retry_after=1)
        try:
            body = self.rfile.read(int(length))
            if len(body) < int(length):
                return  # the client is gone
            self.close_connection = self.server.closing
            with self.server.working:
                scores = self.server.engine.score(*protocol.parse(body))
        except protocol.BadRequest as e:
            return self._error(e.status, str(e))
        except TimeoutError:
            return
        except Exception as e:
            log.exception("a request failed")
            return self._error(500, f"the model failed: {type(e).__name__}: {e}"[:500])
        finally:
            self.server.places.release()
        self._json(200, {"scores": scores})

    def _ready(self):
        if self.server.failure:
            self._error(500, self.server.failure)
        elif self.server.closing:
            self._error(503, "the server is stopping", retry_after=5)
        elif self.server.engine is None:
            self._error(503, "the models are being loaded", retry_after=5)
        else:
            return True
        return False

    def _error(self, status, message, retry_after=None):
        self._json(status, {"error": {"message": message}}, retry_after)

    def _json(self, status, value, retry_after=None):
        body = json.dumps(value).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if retry_after is not None:
                self.send_header("Retry-After", str(retry_after))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def log_message(self, format, *args):
        log.debug("%s %s", self.address_string(), format % args)
