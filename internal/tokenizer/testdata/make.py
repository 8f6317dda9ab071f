"""Makes the tokenizer's fixtures: a small tokenizer of Qwen2's form, trained on
the text below, and texts with their token ids by Hugging Face's tokenizers.

    pip install tokenizers==0.23.3
    python make.py                         # small/ and vectors.jsonl, beside this file
    python make.py --qwen qwen.tiktoken DIR  # the real vocabulary, see below

The second form turns Qwen's vocabulary in tiktoken's form, as the PyPI package
dashscope ships it, into vocab.json and merges.txt with vectors beside them, for
the test that runs when IRGDATA_QWEN_TOKENIZER names DIR.
"""
import base64, json, random, sys
from pathlib import Path
from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

HERE = Path(__file__).parent
PATTERN = r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<tool_call>", "<tool_call>>"]

TEXT = """
The picture shows a red cube on a wooden table, lit from the left, and its
shadow falls to the right. It's the second draft; they've moved the lamp, and
we'll see whether the colours hold. I'm sure that you'd want the sphere larger.
Step-by-Step Modification Guidance: 1. Cover the circle with checks. 2. Shift
the hexagon to the lower center. 3. Leave the rest as it is.
<think>The user asks for three small circles beneath a striped triangle.</think>
    def paint(width=1024, height=1024):
        return canvas.fill("#ffffff")  # white
Ein Bild zeigt einen grünen Würfel auf einem Tisch. Das Licht kommt von links.
L'image montre une sphère bleue à côté d'un carré rouge, éclairés par la lune.
La imagen muestra un círculo amarillo; el niño dibujó más sombras ¿o no?
На картинке красный куб стоит на столе, а свет падает слева.
Η εικόνα δείχνει έναν κόκκινο κύβο πάνω σε ένα τραπέζι.
图片上有一个红色的立方体放在木桌上,光线从左边照过来。第二张图更好。
テーブルの上に赤い立方体があります。光は左から当たっています。
그림에는 나무 탁자 위에 빨간 정육면체가 있습니다.
الصورة تظهر مكعبا أحمر على طاولة خشبية.
चित्र में मेज पर एक लाल घन है।
ภาพแสดงลูกบาศก์สีแดงบนโต๊ะ
""" * 3


def finish(tok, first):
    """Gives tok the steps of transformers' Qwen2Tokenizer, and control tokens from id first."""
    tok.normalizer = normalizers.NFC()
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), behavior="isolated", invert=False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.decoder = decoders.ByteLevel()
    for i, t in enumerate(CONTROL):
        tok.add_tokens([AddedToken(t, special=t.startswith("<|"), normalized=False)])
        assert tok.token_to_id(t) == first + i
    return tok


def small():
    tok = Tokenizer(BPE())
    tok.normalizer = normalizers.NFC()
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), behavior="isolated", invert=False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.train_from_iterator([TEXT], BpeTrainer(
        vocab_size=900, show_progress=False, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    model = json.loads(tok.to_str())["model"]
    return model["vocab"], [tuple(m) for m in model["merges"]]


def qwen(path):
    """Recovers the merges: a token's parts are what the tokens of lesser rank make of it."""
    ranks = {base64.b64decode(t): int(r) for t, r in (line.split() for line in open(path, "rb"))}
    letters = byte_letters()
    name = lambda b: "".join(letters[x] for x in b)
    merges = []
    for token, rank in sorted(ranks.items(), key=lambda e: e[1]):
        parts = [bytes([b]) for b in token]
        while len(parts) > 2:
            pairs = [(ranks.get(a + b, rank), i) for i, (a, b) in enumerate(zip(parts, parts[1:]))]
            least, i = min(pairs)
            if least >= rank:
                break
            parts[i:i + 2] = [parts[i] + parts[i + 1]]
        if len(parts) == 2:
            merges.append((name(parts[0]), name(parts[1])))
    return {name(t): r for t, r in ranks.items()}, merges


def byte_letters():
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters, n = {b: chr(b) for b in plain}, 0
    for b in range(256):
        if b not in letters:
            letters[b], n = chr(256 + n), n + 1
    return letters


def texts(count):
    rng = random.Random(1)
    fixed = ["", " ", "  ", "\n", "\r\n", " \n", "\n ", "a  b", "a   ", "   a", "\t\tx", "x\r\n\r\n  y", " \r\n \n  z", "\u00a0a", "a\u00a0\u00a0b",
             "\u3000全角", "\u2028x\u2029y", "\u0085a", "\u180ea", "\u200ba", "\ufeffa", "it's IT'S it'S we'LL we'Ll they'RE you'vE I'M he'd 'tis ''s 's's",
             "it'\u017f", "'\u017f", "\u2019s don\u2019t", "'", "' s", "'lx 'rx 'vx 'l", "12345", "1,234.5e-6", "٣٤٥", "Ⅷ½²①", "x²y", "…—“”!!!\n\n", "!\r\n?", " !", "  !",
             "e\u0301 \u00e9 e\u0301\u0323 e\u0323\u0301", "\u1100\u1161\u11a8 \uac01", "\u0958 \u0915\u093c", "\u212b \u00c5 \u2126", "\u0344", "\u0301a", " \u0301", "a" + "\u0301" * 29,
             "a" + "\u0301" * 40, "a" + "\u0323\u0301" * 40 + "b", "\u0301" * 100, "e" + "\u0323" * 20 + "\u0301" * 20, "\u1e69" + "\u0307" * 33, "\u034f", "a\u034f\u0301",
             "👩‍👩‍👧‍👦", "👍🏽👍", "🇩🇪🇫🇷", "❤️", "🏴\U000e0067\U000e0062\U000e007f", "\x00\x01\x7f", "\ufffd", "\U0010ffff", "𝔘𝔫𝔦", "ß ẞ ŉ ǆ",
             *CONTROL, "<|im_start|>user\nHi<|im_end|>\n", "<|im_start|", "|im_start|>", "a<|im_end|>b", " <|im_end|> ", "  <|im_end|>  x", "<tool_call>>>", "<<tool_call>", "<|im_<|im_end|>",
             "e<|im_end|>\u0301", "<|im_end|>'s", "a" * 300, "ab" * 200, "\n" * 70, " " * 70, "=" * 130, "的" * 80, TEXT[:1500]]
    words = TEXT.split()
    marks = [" ", "  ", "\n", "\r\n", "\t", "'", "'s", "'LL", ".", "!?", "—", "\u0301", "\u0323", "\u200d", "\ufe0f", "😀", "👩", "🏽", "7", "42", "٣", "é", "\u00a0", "\u3000", "_", "-", *CONTROL[:3]]
    planes = [(0x20, 0x7f), (0x80, 0x250), (0x300, 0x370), (0x370, 0x530), (0x590, 0x700), (0x900, 0xe80), (0x1100, 0x1200), (0x1e00, 0x2100), (0x2100, 0x2c00), (0x3000, 0x3100), (0x4e00, 0x5000), (0xac00, 0xad00), (0xf900, 0xfb50), (0x1f300, 0x1f6ff), (0x1d400, 0x1d7ff)]
    seen = set()
    for text in fixed:
        if text not in seen:
            seen.add(text)
            yield text
    while len(seen) < count:
        text = ""
        for _ in range(rng.randint(1, 8)):
            kind = rng.random()
            if kind < 0.35:
                text += rng.choice(words)
            elif kind < 0.75:
                text += rng.choice(marks) * rng.choice([1, 1, 1, 2, 3])
            else:
                low, high = rng.choice(planes)
                text += "".join(chr(rng.randrange(low, high)) for _ in range(rng.randint(1, 4)))
        if text not in seen:
            seen.add(text)
            yield text


def write(folder, vocab, merges, vectors, count):
    folder.mkdir(exist_ok=True, parents=True)
    tok = finish(Tokenizer(BPE(vocab=vocab, merges=merges)), len(vocab))
    dump = lambda name, v: (folder / name).write_text(json.dumps(v, ensure_ascii=False, separators=(",", ":")) + "\n")
    dump("vocab.json", vocab)
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    dump("tokenizer_config.json", {"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": {
        str(len(vocab) + i): {"content": t, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": t.startswith("<|")}
        for i, t in enumerate(CONTROL)}})
    dump("tokenizer.json", json.loads(tok.to_str()))
    with open(vectors, "w") as f:
        for text in texts(count):
            print(json.dumps({"text": text, "ids": tok.encode(text).ids}, separators=(",", ":")), file=f)
    return tok


def classes(tok, path):
    """The code points, as ranges, of the classes of the pattern and of its apostrophes."""
    def ranges(member):
        out = []
        for c in range(0x110000):
            if 0xd800 <= c < 0xe000 or not member(chr(c)):
                continue
            if out and out[-1][1] == c - 1:
                out[-1][1] = c
            else:
                out.append([c, c])
        return out
    split = lambda pattern: (lambda s: pre_tokenizers.Split(Regex(pattern), behavior="removed").pre_tokenize_str(s) == [])
    path.write_text(json.dumps({name: ranges(split(p)) for name, p in
                                {"L": r"\p{L}", "N": r"\p{N}", "s": r"\s", "fold s": r"(?i:s)", "fold t": r"(?i:t)", "fold v": r"(?i:v)"}.items()}, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "--qwen":
        folder = Path(sys.argv[3])
        write(folder, *qwen(sys.argv[2]), folder / "vectors.jsonl", 20000)
    else:
        tok = write(HERE / "small", *small(), HERE / "vectors.jsonl", 2500)
        classes(tok, HERE / "classes.json")
