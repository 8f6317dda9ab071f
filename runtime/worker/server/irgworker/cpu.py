"""What the official code takes for granted and a machine without CUDA lacks."""

import importlib.machinery
import sys
import types

import torch
from torch.nn.functional import scaled_dot_product_attention


def flash_attn_varlen_func(q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, causal=False):
    """Attention of packed sequences.

    q is (tokens, heads, width), k and v are (tokens, key heads, width). Causal
    masks are aligned to the bottom right, as flash-attn has them since 2.1.
    """
    out = torch.empty_like(q)
    groups = q.shape[1] // k.shape[1]
    for (a, b), (c, d) in zip(_spans(cu_seqlens_q), _spans(cu_seqlens_k)):
        queries, keys = b - a, d - c
        mask = None
        if causal:
            mask = torch.ones(queries, keys, dtype=torch.bool, device=q.device).tril(keys - queries)
        out[a:b] = scaled_dot_product_attention(
            q[a:b].transpose(0, 1)[None],
            k[c:d].repeat_interleave(groups, 1).transpose(0, 1)[None],
            v[c:d].repeat_interleave(groups, 1).transpose(0, 1)[None],
            attn_mask=mask,
        )[0].transpose(0, 1)
    return out


def _spans(cumulative):
    ends = cumulative.tolist()
    return zip(ends, ends[1:])


def stand_in():
    """Makes `import flash_attn` find the function above, and convolutions fast.

    Many processors have no convolution in bf16 but a loop that takes minutes
    for one image; theirs is done in fp32 and rounded.
    """
    if getattr(sys.modules.get("flash_attn"), "flash_attn_varlen_func", None) is flash_attn_varlen_func:
        return
    module = types.ModuleType("flash_attn")
    module.__spec__ = importlib.machinery.ModuleSpec("flash_attn", None)
    module.flash_attn_varlen_func = flash_attn_varlen_func
    sys.modules["flash_attn"] = module

    convolve = torch.nn.Conv2d._conv_forward

    def in_fp32(self, x, weight, bias):
        if weight.dtype != torch.bfloat16 and not torch.is_autocast_enabled("cpu"):
            return convolve(self, x, weight, bias)
        with torch.autocast("cpu", enabled=False):
            out = convolve(self, x.float(), weight.float(), None if bias is None else bias.float())
        return out.to(torch.bfloat16)

    torch.nn.Conv2d._conv_forward = in_fp32
