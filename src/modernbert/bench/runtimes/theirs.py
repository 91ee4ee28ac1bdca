"""Runtimes that take transformers' model, each set up as its own documentation says."""

import os
from pathlib import Path

import torch
from torch import Tensor, nn

from modernbert.batch import Layout, positions
from modernbert.bench.runtimes.kinds import Documents, Encode, Target, grid


def padded(
    folder: Path, target: Target, *, attention: str | None = None, is_compiled: bool = False
) -> Encode:
    """Load transformers' encoder on padded grids, with its default attention or another one."""
    model = opened(folder, target, attention)
    if is_compiled:
        model.compile(dynamic=True)
    return encoding(model, target)


def flattened(folder: Path, target: Target) -> Encode:
    """Load transformers' encoder with FlashAttention on documents laid end to end."""
    model = opened(folder, target, "flash_attention_2")

    @torch.inference_mode()
    def encode(documents: Documents) -> Tensor:
        layout = Layout.of([len(document) for document in documents])
        ids = torch.cat(list(documents))
        starts = layout.cu_seqlens.to(target.device)
        out: Tensor = model(
            input_ids=ids[None].to(target.device),
            position_ids=positions(layout, len(ids))[None].to(target.device),
            cu_seq_lens_q=starts,
            cu_seq_lens_k=starts,
            max_length_q=layout.max_seqlen,
            max_length_k=layout.max_seqlen,
        ).last_hidden_state
        return out[0]

    return encode


def sentences(folder: Path, target: Target) -> Encode:
    """Load sentence-transformers' modules: what its `encode` does between two tokenized batches.

    A folder without modules.json is given mean pooling by it, which runs too.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from sentence_transformers import SentenceTransformer

    options = {"dtype": target.precision}
    model = SentenceTransformer(str(folder), device=target.device, model_kwargs=options).eval()

    @torch.inference_mode()
    def encode(documents: Documents) -> Tensor:
        ids, mask = (each.to(target.device) for each in grid(documents))
        out: Tensor = model({"input_ids": ids, "attention_mask": mask})["token_embeddings"]
        return out

    return encode


def fused(folder: Path, target: Target) -> Encode:
    """Load transformers' encoder and let packed-encoders put its forward in place."""
    import packed_encoders

    model = opened(folder, target)
    packed_encoders.pack(model)
    return encoding(model, target)


def encoding(model: nn.Module, target: Target) -> Encode:
    """Give a model grids."""

    @torch.inference_mode()
    def encode(documents: Documents) -> Tensor:
        ids, mask = (each.to(target.device) for each in grid(documents))
        out: Tensor = model(input_ids=ids, attention_mask=mask).last_hidden_state
        return out

    return encode


def opened(folder: Path, target: Target, attention: str | None = None) -> nn.Module:
    """Open a folder by transformers, which chooses the attention where none is named."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from transformers import AutoModel

    chosen = {} if attention is None else {"attn_implementation": attention}
    model: nn.Module = AutoModel.from_pretrained(folder, dtype=target.precision, **chosen)
    return model.eval().to(target.device)
