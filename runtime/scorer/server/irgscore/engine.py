"""The models at work, in onnxruntime."""

import dataclasses
import hashlib
import json
import math

import numpy as np
import onnxruntime
from PIL import Image

from . import pixels
from .protocol import BadRequest
from .settings import FILES, Clip, Mistake

TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int64)": np.int64, "tensor(int32)": np.int32}


class Engine:
    """Scores images with all models. Safe for concurrent use."""

    def __init__(self, models, threads=0, providers=("CPUExecutionProvider",)):
        self.revision = digest(models)
        self.scorers = {}
        for m in models:
            try:
                self.scorers[m.score] = (ClipScorer if isinstance(m, Clip) else ImageScorer)(m, threads, providers)
                # A wrong size, layout or index shows before the first request.
                self.scorers[m.score](Image.new("RGB", (64, 64), "gray"), "a gray square")
            except (Mistake, ImportError):
                raise
            except Exception as e:
                raise Mistake(f"the model of {m.score} does not work as set: {e}") from e

    def score(self, image, prompt):
        """Numbers by name, all finite."""
        scores = {}
        for name, scorer in self.scorers.items():
            value = scorer(image, prompt)
            if not math.isfinite(value):
                raise BadRequest(f"the model gives no finite number for {name}", 422)
            scores[name] = value
        return scores


def digest(models):
    """Names the weights and how they are fed, wherever the files lie."""
    h = hashlib.sha256()
    for m in models:
        fields = dataclasses.asdict(m)
        for name in FILES:
            if name in fields:
                try:
                    with open(fields[name], "rb") as f:
                        fields[name] = hashlib.file_digest(f, "sha256").hexdigest()
                except OSError as e:
                    raise Mistake(f"`{name}` of {m.score} cannot be read: {e}") from None
        h.update(json.dumps([type(m).__name__, fields], sort_keys=True).encode())
    return h.hexdigest()


class Session:
    """One ONNX file, of which one output is wanted."""

    def __init__(self, path, output, fallback, threads, providers):
        o = onnxruntime.SessionOptions()
        o.intra_op_num_threads = threads
        o.use_deterministic_compute = True  # equal requests have equal answers
        self.session = onnxruntime.InferenceSession(path, o, providers=list(providers))
        self.inputs = {i.name: i for i in self.session.get_inputs()}
        names = [x.name for x in self.session.get_outputs()]
        output = output or (names[0] if len(names) == 1 else fallback)
        if output not in names:
            raise Mistake(f"{path} has the outputs {', '.join(names)}: name one of them in the settings")
        self.output = output

    def run(self, **feeds):
        """The output for inputs by name, converted to their types; flat, in float64."""
        feeds = {name: value.astype(TYPES[self.inputs[name].type]) for name, value in feeds.items()}
        return self.session.run([self.output], feeds)[0].astype(np.float64).ravel()

    def run_image(self, x):
        if len(self.inputs) != 1:
            raise Mistake(f"the model has the inputs {', '.join(self.inputs)}: want one, for the image")
        return self.run(**{next(iter(self.inputs)): x})


class ImageScorer:
    def __init__(self, m, threads, providers):
        self.m = m
        self.session = Session(m.model, m.output, "", threads, providers)

    def __call__(self, image, prompt):
        y = self.session.run_image(pixels.tensor(image, self.m))
        if self.m.index >= len(y):
            raise Mistake(f"`index` of {self.m.score} is {self.m.index}, and the model gives {len(y)} numbers")
        match self.m.activation:
            case "softmax":
                e = np.exp(y - y.max())
                return float(e[self.m.index] / e.sum())
            case "sigmoid":  # by tanh, which does not overflow
                return float((1 + np.tanh(y[self.m.index] / 2)) / 2)
        return float(y[self.m.index])


class ClipScorer:
    def __init__(self, m, threads, providers):
        try:
            import tokenizers
        except ImportError:
            raise Mistake("kind clip needs the package tokenizers: pip install -r requirements.txt") from None
        self.m = m
        self.tokenizer = tokenizers.Tokenizer.from_file(m.tokenizer)
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(m.context)
        self.image = Session(m.image_encoder, m.image_output, "image_embeds", threads, providers)
        self.text = Session(m.text_encoder, m.text_output, "text_embeds", threads, providers)
        # An encoder with a fixed length, or a pad of its own, gets full prompts.
        ids = self.text.inputs.get("input_ids") or next(iter(self.text.inputs.values()))
        self.ids = ids.name
        self.length = ids.shape[-1] if isinstance(ids.shape[-1], int) else m.context if m.pad >= 0 else 0
        if self.length:
            self.tokenizer.enable_truncation(min(m.context, self.length))

    def __call__(self, image, prompt):
        if not prompt.strip():
            raise BadRequest(f"`prompt` is missing, and {self.m.score} compares the image with it")
        ids = self.tokenizer.encode(prompt).ids
        if not ids:
            raise BadRequest("`prompt` has no token", 422)
        mask = [1] * len(ids) + [0] * (self.length - len(ids))
        ids += [ids[-1] if self.m.pad < 0 else self.m.pad] * (self.length - len(ids))
        feeds = {self.ids: np.array([ids])}
        if "attention_mask" in self.text.inputs:
            feeds["attention_mask"] = np.array([mask])
        t = self.text.run(**feeds)
        i = self.image.run_image(pixels.tensor(image, self.m))
        if t.shape != i.shape:
            raise Mistake(f"the encoders of {self.m.score} give {len(i)} and {len(t)} numbers: want as many for the image as for the prompt")
        with np.errstate(all="ignore"):  # zero vectors: no finite number
            return float(i @ t / np.linalg.norm(i) / np.linalg.norm(t) * self.m.scale)
