"""The HTTP side: one request works at a time, and a bounded number waits."""

import json
import logging
import select
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from . import protocol

log = logging.getLogger("irgworker")


class Cancelled(Exception):
    """Nobody waits for the answer any more."""


class Busy(Exception):
    """There is no place in the queue."""


class Worker(ThreadingHTTPServer):
    """Answers /health at once; set_engine makes it ready.

    An engine has `identity`, a dict for GET /v1/model, `max_side` in pixels and
    generate(request, cancelled), which returns a protocol.Answer. It is called
    by one thread at a time and asks cancelled() now and then.
    """

    daemon_threads = True  # idle connections do not hold the process; drain does
    request_queue_size = 64
    allow_reuse_address = True

    def __init__(self, address, queue=8, read_timeout=60.0):
        super().__init__(address, Handler)
        self.engine = None
        self.failure = None  # why there is no engine, and never will be
        self.closing = False
        self.read_timeout = read_timeout
        self._one = threading.Lock()
        self._places = threading.BoundedSemaphore(queue + 1)
        self._posts = 0  # requests whose answers are not written yet
        self._idle = threading.Condition()

    def set_engine(self, engine):
        self.engine = engine

    def stop(self):
        """Ends serve_forever; what waits is refused, what works is finished."""
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

    def generate(self, request, gone):
        if not self._places.acquire(blocking=False):
            raise Busy("the queue is full")
        try:
            while not self._one.acquire(timeout=0.5):
                if gone():
                    raise Cancelled()
            try:
                if self.closing:
                    raise Busy("the worker is stopping")
                start = time.monotonic()
                answer = self.engine.generate(request, gone)
                return answer.body(time.monotonic() - start)
            finally:
                self._one.release()
        finally:
            self._places.release()

    def handle_error(self, request, client_address):
        log.debug("connection of %s", client_address, exc_info=True)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "irgworker"
    sys_version = ""

    def setup(self):
        self.timeout = self.server.read_timeout
        super().setup()

    def do_GET(self):
        if self.path not in ("/health", "/v1/model"):
            return self._error(404, "not_found", f"there is no {self.path[:100]}")
        if not self._ready():
            return
        self._json(200, {"status": "ok"} if self.path == "/health" else self.server.engine.identity)

    def do_POST(self):
        self.server.count(1)
        try:
            self._post()
        finally:
            self.server.count(-1)

    def _post(self):
        # Whatever goes wrong before the body is read leaves it on the wire.
        self.close_connection = True
        if self.path != "/v1/generate":
            return self._error(404, "not_found", f"there is no {self.path[:100]}")
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit():
            return self._error(400, "bad_request", "the request has no Content-Length")
        if int(length) > protocol.MAX_BODY:
            return self._error(413, "too_large", f"the body has {length} bytes: want at most {protocol.MAX_BODY}")
        if not self._ready():
            return
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            return  # the client is gone
        self.close_connection = self.server.closing
        try:
            request = protocol.parse(body, self.server.engine.max_side)
            answer = self.server.generate(request, self._gone)
        except protocol.BadRequest as e:
            return self._error(e.status, "bad_request", str(e))
        except Busy as e:
            return self._error(503, "busy", str(e), retry_after=5)
        except Cancelled:
            self.close_connection = True
            return
        except Exception as e:
            log.exception("a request failed")
            return self._error(500, "internal", f"the model failed: {type(e).__name__}: {e}"[:500])
        self._json(200, answer)

    def _ready(self):
        if self.server.failure:
            self._error(500, "internal", self.server.failure)
        elif self.server.closing:
            self._error(503, "busy", "the worker is stopping", retry_after=5)
        elif self.server.engine is None:
            self._error(503, "loading", "the checkpoint is being loaded", retry_after=5)
        else:
            return True
        return False

    def _gone(self):
        """Reports whether the client has hung up, or the worker was told to."""
        try:
            readable, _, _ = select.select([self.connection], [], [], 0)
            return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    def _error(self, status, kind, message, retry_after=None):
        self._json(status, {"error": {"message": message, "type": kind}}, retry_after)

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
        log.info("%s %s", self.address_string(), format % args)
