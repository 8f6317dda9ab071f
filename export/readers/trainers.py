"""Loads a llava export as LLaMA-Factory and ms-swift load it for a training.

    python -m venv llamafactory && llamafactory/bin/pip install -r export/readers/llamafactory.txt
    llamafactory/bin/python export/readers/trainers.py llamafactory EXPORT

    python -m venv swift && swift/bin/pip install -r export/readers/swift.txt
    swift/bin/python export/readers/trainers.py swift EXPORT

Each wants other versions of datasets, so each has a venv of its own. Their own
code does all of the loading, with no model and no GPU: it finds the files, turns
them into its messages, and opens the images. Rows, roles, texts and the bytes
and order of the images are compared with export.json and with the JSON. The exit
status is 1 at the first difference.
"""

import hashlib
import json
import os
import pathlib
import re
import sys
import tempfile

ROLES = {"system": "system", "human": "user", "gpt": "assistant"}


def expect(what, got, want):
    if got != want:
        sys.exit(f"{what}: got {got!r}, want {want!r}")


def by_llamafactory(root, name, entry):
    """The messages, paths of images and opened images of each row."""
    from llamafactory.data.loader import _get_merged_dataset
    from llamafactory.data.mm_plugin import get_mm_plugin
    from llamafactory.hparams import DataArguments, ModelArguments, TrainingArguments

    with tempfile.TemporaryDirectory() as cache:
        rows = _get_merged_dataset(
            [name], ModelArguments(model_name_or_path="none", cache_dir=cache), DataArguments(dataset_dir=str(root)),
            TrainingArguments(output_dir=cache, report_to="none"), stage="sft",
        )
        plugin = get_mm_plugin("qwen2_vl", "<|image_pad|>", "<|video_pad|>")
        for row in rows:
            messages = row["_prompt"] + row["_response"]
            images = row["_images"] or []
            # What it makes of messages and images before it tokenizes them.
            plugin._validate_messages(messages, images, row["_videos"] or [], row["_audios"] or [])
            opened = plugin._regularize_images(images, image_max_pixels=768 * 768, image_min_pixels=32 * 32)["images"]
            system = [{"role": "system", "content": row["_system"]}] if row["_system"] else []
            yield system + messages, images, opened


def by_swift(root, name, entry):
    """The same; paths are found as ROOT_IMAGE_DIR says."""
    os.environ["ROOT_IMAGE_DIR"] = str(root)
    with tempfile.TemporaryDirectory() as cache:
        os.environ["MODELSCOPE_CACHE"] = cache
        from swift.dataset import load_dataset
        from swift.template import StdTemplateInputs, Template
        from swift.template.vision_utils import _check_path

        rows, _ = load_dataset(str(root / entry["file_name"]))
        for row in rows:
            inputs = StdTemplateInputs.from_dict(row)
            opened = [Template._load_image(image, True) for image in inputs.images]
            system = [{"role": "system", "content": inputs.system}] if inputs.system else []
            yield system + inputs.messages, [_check_path(i["path"]) for i in inputs.images], opened


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("llamafactory", "swift"):
        sys.exit(__doc__)
    load = {"llamafactory": by_llamafactory, "swift": by_swift}[sys.argv[1]]
    root = pathlib.Path(sys.argv[2]).resolve()
    rows_of = {(m["mode"], m["split"]): m["rows"] for m in json.load(open(root / "export.json"))["modes"]}
    info = json.load(open(root / "dataset_info.json"))
    expect("entries of dataset_info.json", sorted(info), sorted(f"irgl_{mode}_{split}" for mode, split in rows_of))
    for (mode, split), count in rows_of.items():
        name = f"irgl_{mode}_{split}"
        written = json.load(open(root / info[name]["file_name"], encoding="utf-8"))
        loaded = list(load(root, name, info[name]))
        expect(f"{name}: rows", (len(loaded), len(written)), (count, count))
        images = 0
        for row, (messages, paths, opened) in zip(written, loaded):
            at = f"{name}, {row['id']}"
            expect(f"{at}: messages", [(m["role"], m["content"]) for m in messages],
                   [(ROLES[t["from"]], t["value"]) for t in row["conversations"]])
            # Not every trainer minds turns or marks that do not fit together.
            roles = [m["role"] for m in messages if m["role"] != "system"]
            expect(f"{at}: roles", roles, ["user", "assistant"] * max(1, len(roles) // 2))
            text = "".join(m["content"] for m in messages)
            expect(f"{at}: marks", re.findall("<(?:image|video|audio)>", text), ["<image>"] * len(row["images"]))
            # An image's name is the digest of its bytes.
            expect(f"{at}: images", [hashlib.sha256(open(p, "rb").read()).hexdigest() for p in paths],
                   [pathlib.Path(p).stem for p in row["images"]])
            expect(f"{at}: opened images", [i.mode for i in opened], ["RGB"] * len(row["images"]))
            images += len(opened)
        print(f"  {name}: {count} rows, {images} images, as written")
    print(f"{sys.argv[1]} reads the export as it was written.")


if __name__ == "__main__":
    main()
