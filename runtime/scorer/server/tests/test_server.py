"""Tiny models over loopback, against numpy's own computation."""

import base64
import http.client
import io
import json
import logging
import pathlib
import tempfile
import threading
import unittest

import numpy as np
from PIL import Image

import tinymodels
from irgscore import protocol, settings
from irgscore.engine import Engine
from irgscore.server import Server

logging.disable(logging.CRITICAL)  # the failures here are meant


def encoded(image, kind="PNG"):
    b = io.BytesIO()
    image.save(b, kind)
    return base64.b64encode(b.getvalue()).decode()


def noise(w=tinymodels.SIZE, h=tinymodels.SIZE):
    return Image.fromarray(np.random.default_rng(7).integers(0, 256, (h, w, 3), np.uint8))


class Served(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.weights = tinymodels.write(cls.folder)
        cls.models = settings.read(cls.folder / "models.json")
        cls.engine = Engine(cls.models, threads=1)

    def setUp(self):
        self.server = Server(("127.0.0.1", 0), read_timeout=10)
        self.server.engine = self.engine
        thread = threading.Thread(target=lambda: self.server.serve_forever(poll_interval=0.01))
        thread.start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(self.server.stop)

    def call(self, method, path, body=None, headers={}):
        c = http.client.HTTPConnection(*self.server.server_address, timeout=10)
        self.addCleanup(c.close)
        c.request(method, path, body, headers)
        r = c.getresponse()
        return r.status, json.loads(r.read())

    def ask(self, **request):
        return self.call("POST", "/v1/score", json.dumps(request))

    def test_scores_are_those_of_numpy(self):
        image = noise()  # of the models' size, so that nothing is resized
        status, body = self.ask(image=encoded(image), prompt="a red cube")
        self.assertEqual(status, 200, body)
        x = np.asarray(image, np.float64) / 255
        chw = lambda v: v.transpose(2, 0, 1).ravel()
        logits = chw((x - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]) @ self.weights["watermark"]
        nsfw = (x[:, :, ::-1] - [0.1, 0.2, 0.3]).ravel() @ self.weights["nsfw"]
        clip = self.models[3]
        picture, table = self.weights["clip"]
        i, t = chw((x - clip.mean) / clip.std) @ picture, table[[1, 2, 3]].sum(0)
        want = {
            "aesthetic": (chw(x) @ self.weights["aesthetic"])[0],
            "watermark": np.exp(logits[1]) / np.exp(logits).sum(),
            "nsfw": 1 / (1 + np.exp(-nsfw[2])),
            "clip": 100 * i @ t / np.sqrt((i @ i) * (t @ t)),
        }
        self.assertEqual(body["scores"].keys(), want.keys())
        for name in want:
            self.assertAlmostEqual(body["scores"][name], want[name], delta=1e-4, msg=name)
        self.assertEqual(self.ask(image=encoded(image), prompt="a red cube")[1], body)
        other = self.ask(image=encoded(image), prompt="blue")[1]["scores"]
        self.assertNotEqual(other.pop("clip"), body["scores"].pop("clip"))
        self.assertEqual(other, body["scores"])

    def test_crop_takes_the_middle(self):
        wide = Image.new("RGB", (3 * tinymodels.SIZE, tinymodels.SIZE))
        wide.paste(noise(), (tinymodels.SIZE, 0))
        a, b = (self.ask(image=encoded(i), prompt="a")[1]["scores"] for i in (wide, noise()))
        self.assertEqual(a["watermark"], b["watermark"])
        self.assertNotEqual(a["aesthetic"], b["aesthetic"])

    def test_long_prompts_are_cut(self):
        a = self.ask(image=encoded(noise()), prompt="a red cube a red" + " blue" * 5000)
        self.assertEqual(a, self.ask(image=encoded(noise()), prompt="a red cube a red"))

    def test_images_of_all_modes(self):
        for image, kind in ((noise(50, 30), "JPEG"), (noise().convert("L"), "PNG"), (noise().convert("P"), "GIF"),
                            (noise().convert("CMYK"), "JPEG"), (Image.new("RGBA", (9, 9)), "PNG"), (Image.new("I;16", (9, 9)), "PNG")):
            with self.subTest(kind=kind, mode=image.mode):
                self.assertEqual(self.ask(image=encoded(image, kind), prompt="a")[0], 200)

    def test_bad_requests(self):
        whole = base64.b64decode(encoded(noise(64, 64)))
        huge = io.BytesIO()
        Image.new("1", (30000, 30000)).save(huge, "PNG")
        b64 = lambda b: base64.b64encode(b).decode()
        picture = encoded(noise())
        for name, request, status in (
            ("broken image", {"image": b64(whole[:300]), "prompt": "a"}, 422),
            ("no image", {"image": b64(b"hello"), "prompt": "a"}, 422),
            ("empty image", {"image": "", "prompt": "a"}, 422),
            ("huge image", {"image": b64(huge.getvalue()), "prompt": "a"}, 422),
            ("strip", {"image": encoded(Image.new("RGB", (9000, 1))), "prompt": "a"}, 422),
            ("no base64", {"image": "%%%", "prompt": "a"}, 400),
            ("image missing", {"prompt": "a"}, 400),
            ("prompt missing", {"image": picture}, 400),
            ("prompt empty", {"image": picture, "prompt": " "}, 400),
            ("prompt no text", {"image": picture, "prompt": 3}, 400),
            ("prompt with half a character", {"image": picture, "prompt": "\ud800"}, 400),
            ("a list", [], 400),
        ):
            with self.subTest(name):
                got, body = self.call("POST", "/v1/score", json.dumps(request))
                self.assertEqual(got, status, body)
                self.assertTrue(body["error"]["message"])
        self.assertEqual(self.call("POST", "/v1/score", "[" * 200000)[0], 400)
        self.assertEqual(self.call("POST", "/v1/score", None, {"Content-Length": str(protocol.MAX_BODY + 1)})[0], 413)
        self.assertEqual(self.call("POST", "/v1/other", "{}")[0], 404)
        self.assertEqual(self.ask(image=picture, prompt="a")[0], 200)  # it lives

    def test_readiness(self):
        self.assertEqual(self.call("GET", "/v1/scorer"), (200, {"protocol": 1, "revision": self.engine.revision}))
        self.server.engine = None
        self.assertEqual(self.call("GET", "/health")[0], 503)
        self.assertEqual(self.ask(image=encoded(noise()))[0], 503)

    def test_full_queue(self):
        taken = 0
        while self.server.places.acquire(blocking=False):
            taken += 1
        self.assertEqual(self.ask(image=encoded(noise()), prompt="a")[0], 503)
        self.server.places.release(taken)
        self.assertEqual(self.ask(image=encoded(noise()), prompt="a")[0], 200)

    def test_revision_names_weights_and_settings(self):
        with tempfile.TemporaryDirectory() as other:
            tinymodels.write(other)
            path = pathlib.Path(other, "models.json")
            revision = lambda: Engine(settings.read(path), threads=1).revision
            self.assertEqual(revision(), self.engine.revision)
            path.write_text(path.read_text().replace("bilinear", "bicubic"))
            changed = revision()
            self.assertNotEqual(changed, self.engine.revision)
            tinymodels.linear(pathlib.Path(other, "nsfw.onnx"), [1, 8, 8, 3], 3, seed=9)
            self.assertNotEqual(revision(), changed)


class Settings(unittest.TestCase):
    def test_mistakes(self):
        with tempfile.TemporaryDirectory() as folder:
            tinymodels.write(folder, clip=False)
            path = pathlib.Path(folder, "settings.json")
            good = {"score": "a", "model": "aesthetic.onnx", "size": 8}
            for change, says in (
                ({"sise": 8}, "there is no `sise`"), ({"size": 0}, "`size` is 0"), ({"std": [1, 0, 1]}, "none of them 0"),
                ({"layout": "CHW"}, "NCHW, NHWC"), ({"score": "A"}, "lower-case"), ({"model": ""}, "`model` is missing"),
                ({"kind": "audio"}, "image or clip"), ({"model": "none.onnx"}, "cannot be read"),
                ({"index": 1}, "gives 1 numbers"), ({"size": 9}, "does not work as set"), ({"model": "models.json"}, "does not work as set"),
            ):
                with self.subTest(change), self.assertRaisesRegex(settings.Mistake, says):
                    path.write_text(json.dumps([good | change]))
                    Engine(settings.read(path), threads=1)
            path.write_text(json.dumps([good, good]))
            with self.assertRaisesRegex(settings.Mistake, "two models"):
                settings.read(path)


if __name__ == "__main__":
    unittest.main()
