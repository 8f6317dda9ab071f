"""Loads the official modelling code and a checkpoint in BAGEL's layout.

The code is the user's own checkout of Osilly/Interleaving-Reasoning-Generation
(its folder SFT) or of ByteDance-Seed/Bagel. It is imported as it is; what it
assumes and a machine lacks is supplied from outside.
"""

import contextlib
import hashlib
import importlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import torch

from . import cpu

CONFIGS = ("llm_config.json", "vit_config.json")
TOKENIZER = ("vocab.json", "merges.txt", "tokenizer_config.json")
WEIGHTS, AUTOENCODER = "ema.safetensors", "ae.safetensors"

# Both scripts for inference pass it, and the position table of a published
# checkpoint has this many rows and columns.
MAX_LATENT_SIZE = 64


class SetupError(Exception):
    """What the user gave cannot be loaded; one sentence says why."""


@dataclass
class Loaded:
    model: Any
    vae: Any
    tokenizer: Any
    token_ids: dict
    cache: type  # NaiveCache
    vae_transform: Any
    vit_transform: Any


def root_of(code):
    """The folder from which `import modeling` works."""
    for root in (os.path.join(code, "SFT"), code):
        if os.path.isfile(os.path.join(root, "modeling", "bagel", "bagel.py")):
            return os.path.abspath(root)
    raise SetupError(f"{code} is no checkout of the official code: want modeling/bagel/bagel.py in it or in its folder SFT")


def prepare(root, device):
    """Makes the official packages importable on this machine."""
    if root not in sys.path:
        sys.path.insert(0, root)
    if device.type == "cpu":
        cpu.stand_in()
    elif importlib.util.find_spec("flash_attn") is None:
        raise SetupError("the official code needs flash-attn on a GPU: install it (README.md says how)")


def weights_file(checkpoint):
    for name in (WEIGHTS, "ema_bf16.safetensors", "model_bf16.safetensors"):
        path = os.path.join(checkpoint, name)
        if os.path.isfile(path):
            return path
    raise SetupError(f"{checkpoint} holds no {WEIGHTS}, ema_bf16.safetensors or model_bf16.safetensors")


@contextlib.contextmanager
def autoencoder_width(module, path):
    """Lets the official load_ae build the width that the file has.

    load_ae knows the published autoencoder only. Its channels are read from the
    file, so that a small one loads too; for a published file nothing changes.
    """
    from safetensors import safe_open

    with safe_open(path, "pt") as f:
        width = f.get_slice("encoder.conv_in.weight").get_shape()[0]
    params = module.AutoEncoderParams
    module.AutoEncoderParams = lambda **kw: params(**{**kw, "ch": width})
    try:
        yield
    finally:
        module.AutoEncoderParams = params


def load(code, checkpoint, device, dtype):
    """Follows the loading of eval/multi_turn/tiif/tiif_multi_turn_gen.py."""
    weights = weights_file(checkpoint)
    for name in CONFIGS + TOKENIZER + (AUTOENCODER,):
        if not os.path.isfile(os.path.join(checkpoint, name)):
            raise SetupError(f"{checkpoint} holds no {name}: want a checkpoint in BAGEL's layout")
    prepare(root_of(code), device)

    from accelerate import init_empty_weights, load_checkpoint_and_dispatch
    from data.data_utils import add_special_tokens
    from data.transforms import ImageTransform
    from modeling import autoencoder
    from modeling.bagel import (
        Bagel,
        BagelConfig,
        Qwen2Config,
        Qwen2ForCausalLM,
        SiglipVisionConfig,
        SiglipVisionModel,
    )
    from modeling.bagel.qwen2_navit import NaiveCache
    from modeling.qwen2 import Qwen2Tokenizer

    llm = Qwen2Config.from_json_file(os.path.join(checkpoint, "llm_config.json"))
    llm.qk_norm = True
    llm.tie_word_embeddings = False
    llm.layer_module = "Qwen2MoTDecoderLayer"
    vit = SiglipVisionConfig.from_json_file(os.path.join(checkpoint, "vit_config.json"))
    vit.rope = False
    vit.num_hidden_layers -= 1
    ae_path = os.path.join(checkpoint, AUTOENCODER)
    with autoencoder_width(autoencoder, ae_path):
        vae, vae_config = autoencoder.load_ae(local_path=ae_path)
    config = BagelConfig(
        visual_gen=True,
        visual_und=True,
        llm_config=llm,
        vit_config=vit,
        vae_config=vae_config,
        vit_max_num_patch_per_side=70,
        connector_act="gelu_pytorch_tanh",
        latent_patch_size=2,
        max_latent_size=MAX_LATENT_SIZE,
    )
    with init_empty_weights():
        model = Bagel(Qwen2ForCausalLM(llm), SiglipVisionModel(vit), config)
        model.vit_model.vision_model.embeddings.convert_conv2d_to_linear(vit, meta=True)
    tokenizer, token_ids, _ = add_special_tokens(Qwen2Tokenizer.from_pretrained(checkpoint))
    model = load_checkpoint_and_dispatch(model, checkpoint=weights, device_map={"": str(device)}, dtype=dtype).eval()
    vae = vae.to(device=device, dtype=dtype).eval()
    return Loaded(
        model, vae, tokenizer, token_ids, NaiveCache,
        ImageTransform(1024, 512, 16), ImageTransform(980, 224, 14),
    )


def checkpoint_digest(checkpoint):
    """SHA-256 over the names and digests of the files that are loaded."""
    whole = hashlib.sha256()
    paths = [os.path.join(checkpoint, n) for n in CONFIGS + TOKENIZER + (AUTOENCODER,)] + [weights_file(checkpoint)]
    for path in sorted(paths):
        with open(path, "rb") as f:
            whole.update(f"{os.path.basename(path)}\0{hashlib.file_digest(f, 'sha256').hexdigest()}\n".encode())
    return "sha256:" + whole.hexdigest()


def checkpoint_name(checkpoint):
    """The name in the checkpoint's own configuration, else the folder's."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        with open(os.path.join(checkpoint, "config.json"), encoding="utf-8") as f:
            name = json.load(f).get("_name_or_path")
        if isinstance(name, str) and name:
            return os.path.basename(name)
    return os.path.basename(os.path.abspath(checkpoint))


def commit_of(code):
    """The commit of the checkout, with -dirty behind it if it was changed."""
    try:
        described = subprocess.run(
            ["git", "-C", code, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True, text=True, timeout=30, check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip() or None
