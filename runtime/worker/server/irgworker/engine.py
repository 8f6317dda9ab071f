"""Runs requests on the official model, step by step as the official script.

The script is eval/multi_turn/tiif/tiif_multi_turn_gen.py of
Osilly/Interleaving-Reasoning-Generation. A text part is its prepare_prompts and
forward_cache_update_text; an image part is prepare_vae_images and
forward_cache_update_vae, then prepare_vit_images and forward_cache_update_vit.
"""

import hashlib
from dataclasses import dataclass

import torch
from PIL import Image

from . import official
from .cache import PrefixCache
from .protocol import Answer, BadRequest, Text
from .server import Cancelled


@dataclass(frozen=True)
class Prefix:
    """A context that was read. The tensors are shared and never modified: the
    official code replaces them layer by layer as it reads on."""

    key: bytes
    keys: dict  # of tensors, by layer
    values: dict
    length: int  # tokens
    position: int  # the next rotary position


class Engine:
    def __init__(self, loaded, device, dtype, identity, cache_bytes=4 << 30, max_context=32768):
        self.identity = identity
        self.max_side = official.MAX_LATENT_SIZE * 16
        self.max_context = max_context
        self.cache = PrefixCache(cache_bytes)
        self._l = loaded
        self._device, self._dtype = device, dtype
        self._layers = loaded.model.config.llm_config.num_hidden_layers
        self._cancelled = lambda: False
        # Each token and each step of painting embeds something first.
        loaded.model.language_model.model.embed_tokens.register_forward_pre_hook(self._check)

    def generate(self, request, cancelled=lambda: False):
        self._cancelled = cancelled
        try:
            with torch.no_grad():
                return self._text(request) if request.want == "text" else self._image(request)
        finally:
            self._cancelled = lambda: False

    def reseed(self, seed):
        """Called right before each use of random numbers."""
        torch.manual_seed(seed)

    def _text(self, r):
        prefix, cached = self._read(r.context, room=r.max_tokens)
        inputs = self._move(self._l.model.prepare_start_tokens([prefix.length], [prefix.position], self._l.token_ids))
        self.reseed(r.seed)
        with self._autocast():
            tokens = self._l.model.generate_text(
                past_key_values=self._past(prefix),
                max_length=r.max_tokens,
                do_sample=r.temperature > 0,
                temperature=r.temperature or 1.0,
                end_token_id=self._l.token_ids["eos_token_id"],
                **inputs,
            )
        text = self._l.tokenizer.decode(tokens[:, 0]).split("<|im_end|>")[0].split("<|im_start|>")[1]
        # The start token is among them, the end token never is: with fewer
        # than max_tokens the end came, with as many nobody can tell.
        finish = "stop" if len(tokens) < r.max_tokens else "length"
        return Answer(finish, prefix.length, len(tokens) - 1, cached, text=text)

    def _image(self, r):
        model, sizes = self._l.model, [(r.height, r.width)]
        prefix, cached = self._read(r.context, room=r.height * r.width // 256 + 2)
        guidance = {}
        for name, g in (("cfg_text", r.cfg_text), ("cfg_img", r.cfg_image)):
            guidance[f"{name}_scale"] = g.scale
            if g.scale <= 1:
                continue
            other, _ = self._read(g.context)
            cfg = self._move(model.prepare_vae_latent_cfg([other.length], [other.position], sizes))
            guidance |= {
                f"{name}_past_key_values": self._past(other),
                f"{name}_packed_position_ids": cfg["cfg_packed_position_ids"],
                f"{name}_key_values_lens": cfg["cfg_key_values_lens"],
                f"{name}_packed_query_indexes": cfg["cfg_packed_query_indexes"],
                f"{name}_packed_key_value_indexes": cfg["cfg_packed_key_value_indexes"],
            }
        self.reseed(r.seed)
        inputs = self._move(model.prepare_vae_latent([prefix.length], [prefix.position], sizes, self._l.token_ids))
        with self._autocast():
            latents = model.generate_image(
                past_key_values=self._past(prefix),
                num_timesteps=r.steps,
                timestep_shift=r.shift,
                cfg_interval=list(r.cfg_interval),
                cfg_renorm_min=r.cfg_renorm_min,
                cfg_renorm_type=r.cfg_renorm,
                **guidance,
                **inputs,
            )
        return Answer("stop", prefix.length, 0, cached, image=self._decode(latents[0], r.height, r.width))

    def _decode(self, latent, h, w):
        latent = latent.reshape(1, h // 16, w // 16, 2, 2, 16)
        latent = torch.einsum("nhwpqc->nchpwq", latent).reshape(1, 16, h // 8, w // 8)
        image = self._l.vae.decode(latent.to(device=self._device, dtype=self._dtype))
        if not torch.isfinite(image).all():
            raise ArithmeticError("the image has values that are no numbers")
        pixels = (image * 0.5 + 0.5).clamp(0, 1)[0].permute(1, 2, 0) * 255
        return Image.fromarray(pixels.to(torch.uint8).cpu().numpy())

    def _read(self, context, room=0):
        """Returns the prefix that the context makes, and how many of its tokens
        came from the cache. Whatever is read enters the cache."""
        keys = [hashlib.sha256(b"irg context").digest()]
        for part in context:
            keys.append(hashlib.sha256(keys[-1] + part.digest()).digest())
        none = {layer: None for layer in range(self._layers)}
        prefix, done = Prefix(keys[0], none, none, 0, 0), 0
        for i in range(len(context), 0, -1):
            found = self.cache.get(keys[i])
            if found is not None:
                prefix, done = found, i
                break
        cached = prefix.length
        for part, key in zip(context[done:], keys[done + 1 :]):
            prefix = (self._add_text if isinstance(part, Text) else self._add_image)(prefix, part, key, room)
            size = sum(t.numel() * t.element_size() for side in (prefix.keys, prefix.values) for t in side.values())
            self.cache.put(key, prefix, size)
        self._fits(prefix.length, room)  # a cached one may come with another room
        return prefix, cached

    def _add_text(self, prefix, part, key, room):
        model = self._l.model
        inputs, lengths, positions = model.prepare_prompts(
            [prefix.length], [prefix.position], [part.text], self._l.tokenizer, self._l.token_ids
        )
        self._fits(lengths[0], room)
        with self._autocast():
            past = model.forward_cache_update_text(self._past(prefix), **self._move(inputs))
        return Prefix(key, past.key_cache, past.value_cache, lengths[0], positions[0])

    def _add_image(self, prefix, part, key, room):
        model, past = self._l.model, self._past(prefix)
        lengths, positions = [prefix.length], [prefix.position]
        inputs, lengths, positions = model.prepare_vae_images(
            lengths, positions, [part.image.copy()], self._l.vae_transform, self._l.token_ids
        )
        self._fits(lengths[0], room)
        # The autoencoder samples. Seeded by the pixels, one image means one
        # context in every request, and the cache changes nothing.
        self.reseed(int.from_bytes(part.digest()[:7]))
        with self._autocast():
            past = model.forward_cache_update_vae(self._l.vae, past, **self._move(inputs))
        inputs, lengths, positions = model.prepare_vit_images(
            lengths, positions, [part.image.copy()], self._l.vit_transform, self._l.token_ids
        )
        self._fits(lengths[0], room)
        with self._autocast():
            past = model.forward_cache_update_vit(past, **self._move(inputs))
        return Prefix(key, past.key_cache, past.value_cache, lengths[0], positions[0])

    def _fits(self, length, room):
        if length + room > self.max_context:
            raise BadRequest(f"the context has {length} tokens, and {room} more are asked for: want at most {self.max_context} together")

    def _past(self, prefix):
        past = self._l.cache(self._layers)
        past.key_cache, past.value_cache = dict(prefix.keys), dict(prefix.values)
        return past

    def _move(self, inputs):
        return {
            k: v.to(self._device, self._dtype if v.is_floating_point() else v.dtype) if isinstance(v, torch.Tensor) else v
            for k, v in inputs.items()
        }

    def _autocast(self):
        return torch.autocast(self._device.type, dtype=torch.bfloat16)

    def _check(self, *_):
        if self._cancelled():
            raise Cancelled()
