"""Tiny ONNX models, for the tests: python tinymodels.py FOLDER."""

import json
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE, WIDTH = 8, 4


def weights(*shape, seed):
    return np.random.default_rng(seed).normal(0, 0.3, shape).astype(np.float32)


def save(path, nodes, inputs, output, constants):
    graph = helper.make_graph(nodes, "tiny", inputs, [output], [numpy_helper.from_array(v, k) for k, v in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def linear(path, shape, width, seed):
    """An image, flat, times a matrix."""
    w = weights(3 * SIZE * SIZE, width, seed=seed)
    save(
        path,
        [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["y"])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, width]),
        {"w": w},
    )
    return w


def bag(path, tokens, seed):
    """The sum of the embeddings of all tokens."""
    table = weights(tokens, WIDTH, seed=seed)
    save(
        path,
        [helper.make_node("Gather", ["table", "input_ids"], ["e"]), helper.make_node("ReduceSum", ["e", "axes"], ["text_embeds"], keepdims=0)],
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "length"])],
        helper.make_tensor_value_info("text_embeds", TensorProto.FLOAT, [1, WIDTH]),
        {"table": table, "axes": np.array([1])},
    )
    return table


def write(folder, clip=True):
    """Writes models and models.json; returns the weights by score."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    chw, hwc = [1, 3, SIZE, SIZE], [1, SIZE, SIZE, 3]
    made = {
        "aesthetic": linear(folder / "aesthetic.onnx", chw, 1, 1),
        "watermark": linear(folder / "watermark.onnx", chw, 2, 2),
        "nsfw": linear(folder / "nsfw.onnx", hwc, 3, 3),
    }
    models = [
        {"score": "aesthetic", "model": "aesthetic.onnx", "size": SIZE},
        {"score": "watermark", "model": "watermark.onnx", "size": SIZE, "index": 1, "activation": "softmax",
         "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "fit": "crop", "resample": "bilinear"},
        {"score": "nsfw", "model": "nsfw.onnx", "size": SIZE, "index": 2, "activation": "sigmoid",
         "layout": "NHWC", "channels": "BGR", "mean": [0.1, 0.2, 0.3]},
    ]
    if clip:
        words = ["[UNK]", "a", "red", "cube", "blue"]
        (folder / "tokenizer.json").write_text(json.dumps({
            "version": "1.0", "pre_tokenizer": {"type": "Whitespace"},
            "model": {"type": "WordLevel", "vocab": {w: i for i, w in enumerate(words)}, "unk_token": "[UNK]"},
            "added_tokens": [], "normalizer": None, "post_processor": None, "decoder": None, "truncation": None, "padding": None,
        }))
        made["clip"] = linear(folder / "image.onnx", chw, WIDTH, 4), bag(folder / "text.onnx", len(words), 5)
        models.append({"kind": "clip", "score": "clip", "image_encoder": "image.onnx", "text_encoder": "text.onnx",
                       "tokenizer": "tokenizer.json", "size": SIZE, "context": 5, "scale": 100})
    (folder / "models.json").write_text(json.dumps(models, indent=1))
    return made


if __name__ == "__main__":
    write(sys.argv[1])
