"""Points the official IRG data loader at an export, and compares what it reads
with what was written and with what `irgdata export check` says it would read.

    pip install -r export/proof/requirements.txt
    python export/proof/official.py --sft CHECKOUT/SFT --irgdata bin/irgdata EXPORT 8x8 4x2 5x3

CHECKOUT is yours, of github.com/Osilly/Interleaving-Reasoning-Generation; none of
its code is here. Its own classes do all of the reading; this script stands in
for the training script alone: for each rank and each data loader worker it
builds the datasets of train_stage1.yaml by PackedDataset.build_datasets, with
the dataset_info.json of the export added to DATASET_INFO, and takes one pass.
Needs no GPU. Exits with 1 at the first difference.

`record FILE` runs the rows of rows.py through the official parse_row instead,
and writes what it makes of each, which the tests of export/loader compare with.
"""

import argparse
import ast
import base64
import collections
import contextlib
import hashlib
import importlib.machinery
import importlib.util
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import types

import pyarrow.parquet as pq
import yaml
from PIL import Image


def official(sft):
    """Imports the checkout's data package; decord reads videos, which there are
    none of."""
    sys.path.insert(0, str(sft))
    decord = types.ModuleType("decord")
    decord.__spec__ = importlib.machinery.ModuleSpec("decord", None)  # transformers asks for it
    sys.modules.setdefault("decord", decord)
    import data.dataset_base
    import data.dataset_info
    import data.interleave_datasets.interleave_t2i_dataset as reading

    return data, reading


class Bytes:
    """Counts a token for each byte of UTF-8, where no tokenizer is given."""

    def encode(self, text):
        return list(text.encode())


def tokenizer_of(sft, folder):
    if folder is None:
        return Bytes()
    path = sft / "modeling/qwen2/tokenization_qwen2.py"
    spec = importlib.util.spec_from_file_location("tokenization_qwen2", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    from data.data_utils import add_special_tokens

    return add_special_tokens(module.Qwen2Tokenizer.from_pretrained(folder))[0]


def rgb_digest(image):
    return hashlib.sha256(repr(image.size).encode() + image.tobytes()).hexdigest()


def written(conversation):
    """What a row of the export says, in the order of its parts."""
    parts = []
    for turn in json.loads(conversation):
        if turn["role"] == "user":
            parts.append(("text", turn["content"], turn["need_loss"]))
            continue
        for part in turn["content"]:
            if part["type"] == "text":
                parts.append(("text", part["content"], part["need_loss"]))
            else:
                image = Image.open(io.BytesIO(base64.b64decode(part["content"], validate=True)))
                flags = part["need_loss"], part["need_vae"], part["need_vit"]
                parts.append(("image", rgb_digest(image.convert("RGB")), *flags))
    return parts


def export_rows(folder):
    """The rows of a mode by (file, row group, row)."""
    rows = {}
    for path in sorted(folder.glob("*.parquet")):
        file = pq.ParquetFile(path)
        for group in range(file.num_row_groups):
            column = file.read_row_group(group).column("conversation").to_pylist()
            for i, conversation in enumerate(column):
                rows[str(path), group, i] = conversation
    return rows


class PassEnded(Exception):
    """The loader begins its files anew."""


def one_pass(dataset, reading, worker, workers):
    """What one data loader worker yields before it begins anew, with the parts
    that it took of each row. None if it has nothing to read and would spin."""
    import torch.utils.data._utils.worker as torch_worker

    torch_worker._worker_info = torch_worker.WorkerInfo(id=worker, num_workers=workers, seed=0, dataset=dataset)
    groups, _ = dataset.get_data_paths_per_worker()
    if not groups:
        return None
    opened = 0
    open_fs = reading.init_arrow_pf_fs

    def counted(path):
        nonlocal opened
        opened += 1
        if opened > len(groups):
            raise PassEnded
        return open_fs(path)

    taken = []
    add_text, add_image = dataset._add_text, dataset._add_image

    def text(data, text, need_loss, **kwargs):
        data = add_text(data, text, need_loss=need_loss, **kwargs)
        taken.append(("text", text, need_loss))
        return data

    def image(data, image, need_loss, need_vae, need_vit, **kwargs):
        data = add_image(data, image, need_loss=need_loss, need_vae=need_vae, need_vit=need_vit, **kwargs)
        taken.append(("image", rgb_digest(image), need_loss, need_vae, need_vit))
        return data

    init = dataset._init_data

    def begin():
        taken.clear()
        return init()

    dataset._add_text, dataset._add_image, dataset._init_data = text, image, begin
    reading.init_arrow_pf_fs = counted
    samples = []
    try:
        for sample in dataset:
            group, row = sample["data_indexes"]["data_indexes"]
            path, index = groups[group]
            tokens = sample["num_tokens"] + 2 * len(sample["sequence_plan"])
            samples.append(((path, index, row), list(taken), tokens))
    except PassEnded:
        pass
    finally:
        reading.init_arrow_pf_fs = open_fs
        torch_worker._worker_info = None
    return samples


def datasets_of(data, export, config, tokenizer, rank, ranks, workers):
    """The datasets as the training script builds them (DataConfig, then
    PackedDataset)."""
    packed = data.dataset_base.PackedDataset(
        data.dataset_base.DataConfig(yaml.safe_load(config)),
        tokenizer=tokenizer, special_tokens={}, local_rank=rank, world_size=ranks, num_workers=workers,
    )
    packed.set_epoch(42)
    return packed


def compare(args, data, reading, tokenizer, ranks, workers):
    """One layout of readers: row for row with what was written, and number for
    number with what was foretold."""
    command = [args.irgdata, "export", "check", str(args.export), "--ranks", str(ranks), "--workers", str(workers), "--json", "--max-tokens", str(args.max_tokens)]
    if args.tokenizer:
        command += ["--tokenizer", str(args.tokenizer)]
    told = subprocess.run(command, capture_output=True, text=True)
    if told.returncode not in (0, 3):
        sys.exit(told.stderr)
    told = {m["mode"]: m for m in json.loads(told.stdout)["modes"]}

    config = (args.export / "train_stage1.yaml").read_text()
    names = list(yaml.safe_load(config))
    read = {name: {} for name in names}
    starved = collections.Counter()
    for rank in range(ranks):
        with contextlib.redirect_stdout(io.StringIO()):
            datasets = datasets_of(data, args.export, config, tokenizer, rank, ranks, workers).grouped_datasets
            for name, dataset in zip(names, datasets):
                for worker in range(workers):
                    samples = one_pass(fresh(dataset), reading, worker, workers)
                    kept = 0
                    for place, parts, tokens in samples or []:
                        if not parts or tokens > args.max_tokens:
                            continue
                        if place in read[name] and not args.numbers:
                            sys.exit(f"{name}: {place} is read twice")
                        read[name][place] = parts, tokens
                        kept += 1
                    starved[name] += kept == 0
    for name in names:
        rows = {} if args.numbers else export_rows(args.export / name)
        for place, (parts, _) in read[name].items():
            if not args.numbers and parts != written(rows[place]):
                sys.exit(f"{name}: {place} was read otherwise than it was written")
        images = sum(p[0] == "image" for parts, _ in read[name].values() for p in parts)
        got = {"rows": len(read[name]), "images": images}
        if args.tokenizer:
            got["tokens"] = sum(tokens for _, tokens in read[name].values())
        want = told[name]
        for key, value in got.items():
            if want["read"][key] != value:
                sys.exit(f"{name}, {ranks}x{workers}: the loader reads {value} {key}, foretold were {want['read'][key]}")
        if starved[name] != want["starved_readers"]:
            sys.exit(f"{name}, {ranks}x{workers}: {starved[name]} readers starve, foretold were {want['starved_readers']}")
        if args.numbers:
            print(f"  {ranks}x{workers} {name}: {len(read[name])} rows read, {images} images, {starved[name]} readers starve, as foretold")
            continue
        if want["rows"]["rows"] != len(rows):
            sys.exit(f"{name}: {len(rows)} rows were written, foretold were {want['rows']['rows']}")
        dealt = {(file, group) for file, group, _ in read[name]}
        written_groups = {(file, group) for file, group, _ in rows}
        unread = {(str(args.export / g["file"]), g["row_group"]) for g in want.get("unread_row_groups", [])}
        if dealt & unread or (not want["dropped"]["rows"] and written_groups - dealt != unread):
            sys.exit(f"{name}, {ranks}x{workers}: other row groups are unread than foretold")
        if want["unread"]["rows"] + want["dropped"]["rows"] != len(rows) - len(read[name]):
            sys.exit(f"{name}, {ranks}x{workers}: {len(rows) - len(read[name])} rows are lost, foretold were others")
        print(f"  {ranks}x{workers} {name}: {len(read[name])} of {len(rows)} rows as written, {images} images, {starved[name]} readers starve, as foretold")


def fresh(dataset):
    """The dataset without what one_pass put over its methods."""
    for name in ("_add_text", "_add_image", "_init_data"):
        dataset.__dict__.pop(name, None)
    return dataset


def stages(args, data, tokenizer):
    """Both dataset configurations name every row group, and no file twice."""
    for stage in ("train_stage1.yaml", "train_stage2.yaml"):
        path = args.export / stage
        if not path.exists():
            continue
        with contextlib.redirect_stdout(io.StringIO()):
            packed = datasets_of(data, args.export, path.read_text(), tokenizer, 0, 1, 1)
        for name, dataset in zip(yaml.safe_load(path.read_text()), packed.grouped_datasets):
            files = sorted((args.export / name).glob("*.parquet"))
            want = sorted((str(f), i) for f in files for i in range(pq.ParquetFile(f).num_row_groups))
            if sorted(dataset.data_paths) != want:
                sys.exit(f"{stage}: {name} names {len(dataset.data_paths)} row groups, {len(want)} are there")
        print(f"  {stage}: {len(packed.grouped_datasets)} modes, weights {packed.grouped_weights}, every row group once")


def readme(args, data):
    """What the export's README.md tells the user to do: its addition to
    dataset_info.py, and its command, which the training script's own argument
    classes parse."""
    from transformers import HfArgumentParser

    # The place where it was written, or a copy of a bucket's export, is here.
    written = next(iter(json.load(open(args.export / "dataset_info.json")).values()))["irgl"]["data_dir"]
    text = (args.export / "README.md").read_text()
    for place in ("/path/to/the/copy", written.rsplit("/", 1)[0]):
        text = text.replace(place, str(args.export))
    text = re.sub("^   ", "", text, flags=re.MULTILINE)
    blocks = dict(re.findall(r"```(python|sh)\n(.*?)```", text, re.DOTALL))
    info = {mode: {} for mode in data.dataset_info.DATASET_INFO}
    exec(blocks["python"], {"DATASET_INFO": info})
    folders = {mode: entry["irgl"]["data_dir"] for mode, entry in info.items() if entry}

    script = args.sft / "train/pretrain_unified_navit.py"
    names = ["ModelArguments", "DataArguments", "TrainingArguments"]
    classes = [n for n in ast.parse(script.read_text()).body if isinstance(n, ast.ClassDef) and n.name in names]
    scope = {}
    exec("from dataclasses import dataclass, field", scope)
    exec(compile(ast.Module(classes, []), str(script), "exec"), scope)
    said = subprocess.run(["bash", "-euc", "torchrun() { printf '%s\\0' \"$@\"; }\n" + blocks["sh"]], capture_output=True, cwd=args.sft, check=True)
    words = said.stdout.decode().split("\0")[:-1]
    at = words.index("train/pretrain_unified_navit.py")
    launch = dict(word.lstrip("-").split("=") for word in words[:at])
    model, reading, training = HfArgumentParser([scope[n] for n in names]).parse_args_into_dataclasses(words[at + 1:])

    manifest = json.load(open(args.export / "export.json"))
    want = {m["mode"]: str(args.export / m["mode"]) for m in manifest["modes"]}
    ranks = int(launch["nnodes"]) * int(launch["nproc_per_node"])
    told = folders, ranks, reading.num_workers, os.path.realpath(reading.dataset_config_file), training.num_replicate * training.num_shard
    if told != (want, manifest["ranks"], manifest["workers"], str(args.export / "train_stage1.yaml"), manifest["ranks"]):
        sys.exit(f"README.md tells to train with {told}")
    print(f"  README.md: {ranks} processes with {reading.num_workers} workers, arguments and folders as the training script takes them")


def pack(args, data, tokenizer):
    """Some packs through torch's DataLoader with two processes, as the training
    takes them."""
    import random

    from torch.utils.data import DataLoader

    random.seed(0)
    config = (args.export / "train_stage1.yaml").read_text()
    with contextlib.redirect_stdout(io.StringIO()):
        packed = datasets_of(data, args.export, config, tokenizer, 0, 1, 2)
        for name, value in {"bos_token_id": 1, "eos_token_id": 2, "start_of_image": 3, "end_of_image": 4}.items():
            setattr(packed, name, value)
        loader = iter(DataLoader(packed, batch_size=1, num_workers=2, collate_fn=data.dataset_base.collate_wrapper()))
        packs = [next(loader).to_dict() for _ in range(2)]
    for p in packs:
        lacking = [name for name in ("padded_images", "packed_vit_tokens", "ce_loss_indexes", "mse_loss_indexes") if len(p.get(name, ())) == 0]
        if lacking:
            sys.exit(f"a pack lacks {lacking}")
    print(f"  packs of {', '.join(str(p['sequence_length']) for p in packs)} tokens, each with VAE and ViT images and both losses")


def record(args, data, tokenizer):
    from rows import ROWS

    dataset = data.interleave_datasets.MultiThinkInterleaveT2IDataset.__new__(data.interleave_datasets.MultiThinkInterleaveT2IDataset)
    dataset.transform = data.transforms.ImageTransform(image_stride=16, max_image_size=1024, min_image_size=512)
    dataset.vit_transform = data.transforms.ImageTransform(image_stride=14, max_image_size=980, min_image_size=378)
    dataset.tokenizer = tokenizer
    with open(args.export, "w") as out:
        for name, conversation in ROWS.items():
            try:
                sample = dataset.parse_row({"conversation": conversation})
            except Exception as e:  # as __iter__ does
                sample = {}
            plan = sample.get("sequence_plan", [])
            line = {
                "name": name, "conversation": conversation,
                "texts": sum(p["type"] == "text" for p in plan), "plan": len(plan),
                "image_tokens": sum(t.shape[1] * t.shape[2] // (16 if p["type"] == "vae_image" else 14) ** 2
                                    for p, t in zip((p for p in plan if p["type"] != "text"), sample.get("image_tensor_list", []))),
            }
            out.write(json.dumps(line) + "\n")
    print(f"{len(ROWS)} rows recorded")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sft", type=pathlib.Path, required=True, help="SFT/ of a checkout of the official code")
    parser.add_argument("--irgdata", default="irgdata", help="the irgdata program")
    parser.add_argument("--tokenizer", type=pathlib.Path, help="folder of the checkpoint's tokenizer; without it a byte is a token, and tokens are not compared")
    parser.add_argument("--numbers", action="store_true", help="compare numbers alone, of an export that irgdata did not write, or a broken one")
    parser.add_argument("--max-tokens", type=int, default=32768)
    parser.add_argument("export", type=pathlib.Path, help="an export, or `record`")
    parser.add_argument("layouts", nargs="+", help="ranks x workers, such as 8x8; for `record` the file")
    args = parser.parse_args()
    args.sft = args.sft.resolve()
    data, reading = official(args.sft)
    tokenizer = tokenizer_of(args.sft, args.tokenizer)
    if str(args.export) == "record":
        args.export = args.layouts[0]
        return record(args, data, tokenizer)
    args.export = args.export.resolve()
    # dataset_info.json as it is, where the export lies where it was written;
    # else as the export's README has it.
    for mode, entry in json.load(open(args.export / "dataset_info.json")).items():
        if not pathlib.Path(entry["irgl"]["data_dir"]).is_dir():
            entry = {"irgl": {"data_dir": str(args.export / mode)}}
        data.dataset_info.DATASET_INFO[mode].update(entry)
    if not args.numbers:
        readme(args, data)
        stages(args, data, tokenizer)
    for layout in args.layouts:
        compare(args, data, reading, tokenizer, *map(int, layout.split("x")))
    if args.numbers:
        return
    pack(args, data, tokenizer)
    print("The official loader reads the export as it was written and as it was foretold.")


if __name__ == "__main__":
    main()
