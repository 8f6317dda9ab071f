"""Writes a small checkpoint with random weights in BAGEL's layout.

    python tinycheckpoint.py --code CHECKOUT --out FOLDER

It says nothing sensible; it is there so that code that runs the real one can
be run anywhere. The same seed gives the same weights.
"""

import argparse
import json
import os

import torch

from irgworker import official

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>")


def byte_letters():
    """The letters that byte-level BPE writes bytes as (GPT-2's table)."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    letters, extra = {}, 0
    for b in range(256):
        if b in plain:
            letters[b] = chr(b)
        else:
            letters[b] = chr(256 + extra)
            extra += 1
    return [letters[b] for b in range(256)]


def write_tokenizer(out):
    """A vocabulary of all bytes and a few merges; returns its size."""
    words = ["the", "and", "image", "cube", "light", "Ġthe", "Ġa", "Ġof", "Ġred"]
    merges, pieces = [], byte_letters()
    for word in words:
        have = word[0]
        for letter in word[1:]:
            if (have, letter) not in merges:
                merges.append((have, letter))
            have += letter
            if have not in pieces:
                pieces.append(have)
    vocab = {piece: i for i, piece in enumerate(pieces)}
    added = {
        str(len(vocab) + i): {"content": t, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
        for i, t in enumerate(SPECIAL)
    }
    write_json(out, "vocab.json", vocab)
    with open(os.path.join(out, "merges.txt"), "w", encoding="utf-8") as f:
        f.write("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    write_json(out, "tokenizer_config.json", {
        "tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": added, "additional_special_tokens": list(SPECIAL[1:3]),
        "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>", "model_max_length": 32768, "errors": "replace",
        "clean_up_tokenization_spaces": False,
    })
    return len(vocab) + len(SPECIAL)


def write_json(out, name, value):
    with open(os.path.join(out, name), "w", encoding="utf-8") as f:
        json.dump(value, f, ensure_ascii=False, indent=1)


def randomise(module):
    """Weights at which every part of a context shows in the answer."""
    for name, p in module.named_parameters():
        if name.endswith("pos_embed"):
            continue  # the sines that the model begins with
        with torch.no_grad():
            if "lm_head" in name:
                p.normal_(std=0.05)  # texts that end after some hundred tokens
            elif p.dim() >= 2:
                fan_in = p[0].numel()
                p.normal_(std=0.02 if "embed_tokens" in name or "position_embedding" in name else fan_in**-0.5)
            elif "norm" in name and name.endswith("weight"):
                p.normal_(mean=1, std=0.1)
            else:
                p.normal_(std=0.05)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--code", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--seed", type=int, default=0)
    o = p.parse_args()
    os.makedirs(o.out, exist_ok=True)
    official.prepare(official.root_of(o.code), torch.device("cpu"))

    from modeling import autoencoder
    from modeling.bagel import Bagel, BagelConfig, Qwen2Config, Qwen2ForCausalLM, SiglipVisionConfig, SiglipVisionModel
    from safetensors.torch import save_file

    torch.manual_seed(o.seed)
    llm = {
        "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 128,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-6, "rope_theta": 1e6, "tie_word_embeddings": False, "vocab_size": write_tokenizer(o.out),
        "bos_token_id": 0, "eos_token_id": 0,
    }
    # The official code leaves the last layer out, so the file has one fewer.
    vit = {
        "model_type": "siglip_vision_model", "hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 3,
        "num_channels": 3, "image_size": 980, "patch_size": 14, "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6,
    }
    write_json(o.out, "llm_config.json", llm)
    write_json(o.out, "vit_config.json", vit)
    write_json(o.out, "config.json", {"_name_or_path": "tiny-random-bagel"})
    llm_config = Qwen2Config(**llm | {"qk_norm": True, "layer_module": "Qwen2MoTDecoderLayer"})
    vit_config = SiglipVisionConfig(**vit | {"num_hidden_layers": vit["num_hidden_layers"] - 1, "rope": False})
    vae_config = autoencoder.AutoEncoderParams(
        resolution=256, in_channels=3, downsample=8, ch=32, out_ch=3, ch_mult=[1, 2, 4, 4], num_res_blocks=2, z_channels=16,
        scale_factor=0.3611, shift_factor=0.1159,
    )
    vae = autoencoder.AutoEncoder(vae_config)
    model = Bagel(Qwen2ForCausalLM(llm_config), SiglipVisionModel(vit_config), BagelConfig(
        visual_gen=True, visual_und=True, llm_config=llm_config, vit_config=vit_config, vae_config=vae_config,
        vit_max_num_patch_per_side=70, connector_act="gelu_pytorch_tanh", latent_patch_size=2, max_latent_size=official.MAX_LATENT_SIZE,
    ))
    model.vit_model.vision_model.embeddings.convert_conv2d_to_linear(vit_config)
    for part, name in ((model, "ema_bf16.safetensors"), (vae, official.AUTOENCODER)):
        randomise(part)
        save_file({k: v.to(torch.bfloat16).contiguous().clone() for k, v in part.state_dict().items()}, os.path.join(o.out, name), {"format": "pt"})
    print(f"{o.out}: {sum(os.path.getsize(os.path.join(o.out, n)) for n in os.listdir(o.out)) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
