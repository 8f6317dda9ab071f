"""The protocol over loopback, with an engine that needs no torch."""

import base64
import http.client
import io
import json
import logging
import threading
import unittest

from PIL import Image

from irgworker import protocol
from irgworker.cache import PrefixCache
from irgworker.protocol import Answer, BadRequest, Picture, Text
from irgworker.server import Cancelled, Worker


def encoded(size=(32, 16), colour=(200, 10, 30), kind="PNG", mode="RGB"):
    b = io.BytesIO()
    Image.new(mode, size, colour).save(b, kind)
    return base64.b64encode(b.getvalue()).decode()


logging.disable(logging.CRITICAL)  # the failures here are meant


class FakeEngine:
    """Says what it was asked; a gate holds it at work."""

    identity = {"name": "fake", "protocol": 1, "checkpoint": "sha256:00"}
    max_side = 1024

    def __init__(self):
        self.entered, self.gate, self.holds = threading.Event(), threading.Event(), False
        self.ended = threading.Event()

    def generate(self, request, cancelled):
        if request.context[0] == Text("fail"):
            raise ArithmeticError("the image has values that are no numbers")
        if self.holds:
            self.entered.set()
            while not self.gate.wait(0.01):
                if cancelled():
                    self.ended.set()
                    raise Cancelled()
        if request.want == "image":
            return Answer("stop", 3, 0, 1, image=Image.new("RGB", (request.width, request.height)))
        return Answer("stop" if request.max_tokens > 1 else "length", len(request.context), 5, 1, text=f" {request.seed} ")


class Served(unittest.TestCase):
    queue = 1

    def setUp(self):
        self.engine = FakeEngine()
        self.worker = Worker(("127.0.0.1", 0), queue=self.queue, read_timeout=10)
        self.thread = threading.Thread(target=lambda: self.worker.serve_forever(poll_interval=0.01))
        self.thread.start()
        self.addCleanup(self.close)

    def close(self):
        self.engine.gate.set()
        self.worker.stop()
        self.thread.join()
        self.assertTrue(self.worker.drain(10))
        self.worker.server_close()

    def connection(self):
        c = http.client.HTTPConnection(*self.worker.server_address, timeout=10)
        self.addCleanup(c.close)
        return c

    def call(self, method, path, body=None, headers={}):
        c = self.connection()
        c.request(method, path, body, headers)
        r = c.getresponse()
        return r.status, json.loads(r.read()), r.headers

    def ask(self, **request):
        return self.call("POST", "/v1/generate", json.dumps({"context": [{"text": "a"}], "want": "text", "seed": 7} | request))


class TestServer(Served):
    def test_loading(self):
        for method, path, body in (("GET", "/health", None), ("GET", "/v1/model", None), ("POST", "/v1/generate", "{}")):
            status, got, headers = self.call(method, path, body)
            self.assertEqual((status, got["error"]["type"], headers["Retry-After"]), (503, "loading", "5"))
        self.worker.set_engine(self.engine)
        self.assertEqual(self.call("GET", "/health")[:2], (200, {"status": "ok"}))
        self.assertEqual(self.call("GET", "/v1/model")[:2], (200, FakeEngine.identity))

    def test_answers(self):
        self.worker.set_engine(self.engine)
        status, got, _ = self.ask()
        self.assertGreaterEqual(got.pop("seconds"), 0)
        self.assertEqual((status, got), (200, {"finish": "stop", "text": " 7 ", "tokens_in": 1, "tokens_out": 5, "tokens_cached": 1}))
        self.assertEqual(self.ask(max_tokens=1)[1]["finish"], "length")
        status, got, _ = self.ask(want="image", width=48, height=32)
        self.assertEqual((status, got["width"], got["height"]), (200, 48, 32))
        self.assertEqual(Image.open(io.BytesIO(base64.b64decode(got["image"]))).size, (48, 32))

    def test_failures(self):
        self.worker.set_engine(self.engine)
        for status, kind, answer in (
            (400, "bad_request", self.ask(colour="red")),
            (400, "bad_request", self.call("POST", "/v1/generate", "{")),
            (404, "not_found", self.call("GET", "/")),
            (404, "not_found", self.call("POST", "/v1/chat/completions", "{}")),
            (413, "too_large", self.call("POST", "/v1/generate", headers={"Content-Length": str(protocol.MAX_BODY + 1)})),
            (500, "internal", self.ask(context=[{"text": "fail"}])),
        ):
            self.assertEqual((answer[0], answer[1]["error"]["type"]), (status, kind), answer[1])
            self.assertTrue(answer[1]["error"]["message"])
        self.assertEqual(self.ask()[0], 200)  # a failure leaves the worker whole

    def test_one_at_a_time_and_a_bounded_queue(self):
        self.worker.set_engine(self.engine)
        self.engine.holds = True
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(self.ask()[0])) for _ in range(4)]
        for t in threads:
            t.start()
        self.assertTrue(self.engine.entered.wait(10))
        # One works and one waits, so two of the four are turned away.
        for _ in range(1000):
            if answers.count(503) == 2:
                break
            threading.Event().wait(0.01)
        self.engine.gate.set()
        for t in threads:
            t.join()
        self.assertEqual(sorted(answers), [200, 200, 503, 503])

    def test_hang_up_ends_the_work(self):
        self.worker.set_engine(self.engine)
        self.engine.holds = True
        c = self.connection()
        c.request("POST", "/v1/generate", json.dumps({"context": [{"text": "a"}], "want": "text", "seed": 7}))
        self.assertTrue(self.engine.entered.wait(10))
        c.close()
        self.assertTrue(self.engine.ended.wait(10))
        self.engine.holds = False
        self.assertEqual(self.ask()[0], 200)

    def test_stop_finishes_what_works(self):
        self.worker.set_engine(self.engine)
        self.engine.holds = True
        answers = []
        working = threading.Thread(target=lambda: answers.append(self.ask()[0]))
        working.start()
        self.assertTrue(self.engine.entered.wait(10))
        self.worker.stop()
        self.thread.join()
        self.assertFalse(self.worker.drain(0))
        self.engine.gate.set()
        working.join()
        self.assertEqual(answers, [200])


class TestParse(unittest.TestCase):
    good = {"context": [{"text": "a"}], "want": "image", "seed": 0}

    def test_defaults(self):
        r = protocol.parse(json.dumps(self.good))
        self.assertEqual((r.width, r.height, r.steps, r.shift, r.cfg_interval, r.cfg_renorm), (1024, 1024, 50, 3.0, (0.4, 1.0), "global"))
        self.assertEqual((r.cfg_text.scale, r.cfg_text.context, r.cfg_image.scale), (4.0, (), 1.0))

    def test_image_guidance_leaves_the_images_out(self):
        context = [{"text": "a"}, {"image": encoded()}, {"text": "b"}]
        r = protocol.parse(json.dumps(self.good | {"context": context, "cfg_image": {"scale": 2}}))
        self.assertEqual(r.cfg_image.context, (Text("a"), Text("b")))
        self.assertIsInstance(r.context[1], Picture)

    def test_refusals(self):
        text = {"want": "text"}
        for says, edit in (
            ("`want`", {"want": "video"}),
            ("`seed`", {"seed": -1}),
            ("`seed`", {"seed": True}),
            ("`seed`", {"seed": 2**64}),
            ("empty", {"context": []}),
            ("no list", {"context": {}}),
            ("no list", {"context": [{"text": "a"}] * 65}),
            ("no part", {"context": [{}]}),
            ("no part", {"context": [{"text": "a", "image": "b"}]}),
            ("unknown field", {"context": [{"video": "a"}]}),
            ("want a string", {"context": [{"text": 1}]}),
            ("control token", {"context": [{"text": "a<|im_end|>b"}]}),
            ("not base64", {"context": [{"image": "%%"}]}),
            ("no whole", {"context": [{"image": base64.b64encode(b"hello").decode()}]}),
            ("no whole", {"context": [{"image": encoded()[:80]}]}),
            ("no whole", {"context": [{"image": encoded(kind="GIF")}]}),
            ("5000x4000 pixels", {"context": [{"image": encoded((5000, 4000))}]}),
            ("multiple of 16", {"width": 40}),
            ("`width`", {"width": 1040}),
            ("`height`", {"height": 64.0}),
            ("`steps`", {"steps": 1}),
            ("`shift`", {"shift": 0}),
            ("`cfg_interval`", {"cfg_interval": [0, 1, 1]}),
            ("`cfg_interval`", {"cfg_interval": [0, 2]}),
            ("`cfg_renorm`", {"cfg_renorm": "sideways"}),
            ("`cfg_renorm`", {"cfg_renorm": []}),
            ("`cfg_text`", {"cfg_text": 4}),
            ("`cfg_text.scale`", {"cfg_text": {"scale": "4"}}),
            ("only together with text", {"cfg_text": {"scale": 1}, "cfg_image": {"scale": 2}}),
            ("no meaning", {"max_tokens": 5}),
            ("no meaning", text | {"width": 64}),
            ("`temperature`", text | {"temperature": -1}),
            ("`max_tokens`", text | {"max_tokens": 0}),
            ("unknown field", {"": 1}),
        ):
            with self.subTest(says=says, edit=str(edit)[:60]), self.assertRaisesRegex(BadRequest, says):
                protocol.parse(json.dumps(self.good | edit))
        for body in (b"", b"[]", b"\xff", b"[" * 100_000, b'{"seed":NaN}', b"{}"):
            with self.subTest(body=body[:20]), self.assertRaises(BadRequest):
                protocol.parse(body)

    def test_identity_of_an_image_is_its_pixels(self):
        def digest(**kw):
            context = [{"image": encoded(**kw)}]
            return protocol.parse(json.dumps(self.good | {"context": context})).context[0].digest()

        self.assertEqual(digest(), digest(mode="RGBA", colour=(200, 10, 30, 255)))
        self.assertNotEqual(digest(), digest(colour=(200, 10, 31)))
        self.assertNotEqual(digest(), digest(size=(16, 32)))


class TestCache(unittest.TestCase):
    def test_bound(self):
        c = PrefixCache(10)
        for key in "abc":
            c.put(key, key, 4)
        self.assertEqual([c.get(k) for k in "abc"], [None, "b", "c"])
        c.get("b")
        c.put("d", "d", 4)
        self.assertEqual([c.get(k) for k in "bcd"], ["b", None, "d"])
        c.put("huge", "huge", 11)
        self.assertEqual((c.get("huge"), c.size, len(c)), (None, 8, 2))


if __name__ == "__main__":
    unittest.main()
