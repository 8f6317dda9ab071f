"""Counts tokens with Hugging Face's tokenizers on one thread, the peer of

    IRGDATA_QWEN_TOKENIZER=DIR go test -run '^$' -bench Count ./internal/tokenizer

on the same texts. DIR is what internal/tokenizer/testdata/make.py --qwen made.

    RAYON_NUM_THREADS=1 python docs/bench/tokenizer.py DIR    # tokenizers==0.23.3
"""
import json, sys, time
from pathlib import Path
from tokenizers import Tokenizer

root = Path(__file__).parents[2]
tok = Tokenizer.from_file(sys.argv[1] + "/tokenizer.json")
tricky = "".join(json.loads(line)["text"] for line in open(root / "internal/tokenizer/testdata/vectors.jsonl"))
for name, text in {"prose": (root / "docs/ingest.md").read_text(), "tricky": tricky, "one word": "ab" * 50000}.items():
    best = float("inf")
    for _ in range(20):
        start = time.perf_counter()
        n = len(tok.encode(text).ids)
        best = min(best, time.perf_counter() - start)
    print(f"{name}: {len(text.encode()) / best / 1e6:.1f} MB/s, {n} tokens")
