"""A model and the sources of new rows in, a model with another vocabulary out."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from modernbert.base import rng
from modernbert.base.shapes import Float
from modernbert.model.hf_kept import without_ids
from modernbert.model.init import empty
from modernbert.model.model import Model

_TABLES = ("tok_embeddings.weight", "decoder.weight", "decoder.bias")


def resize(model: Model, vocab_size: int) -> Model:
    """Give a model more or fewer ids; those that both have keep their rows.

    New rows are drawn as `swap` says. Special ids beyond a smaller vocabulary are refused when the
    model is written.
    """
    kept = [(token,) for token in range(min(vocab_size, model.config.vocab_size))]
    return swap(model, kept, vocab_size)


@torch.no_grad()
def swap(
    model: Model,
    sources: Sequence[Sequence[int]],
    vocab_size: int,
    *,
    pad_id: int | None = None,
    cls_id: int | None = None,
    sep_id: int | None = None,
) -> Model:
    """Make rows of a new vocabulary from those of the old one; special ids left out stay.

    Row i of embeddings, decoder and bias is the mean of the old rows `sources[i]`. Rows without a
    source, and those beyond `sources`, are drawn around the mean of all old rows, with their
    spread; their bias is the lowest old one, as of a token that never came.
    Deterministic; on the CPU.
    """
    old_config = model.config
    config = replace(
        old_config,
        vocab_size=vocab_size,
        pad_id=old_config.pad_id if pad_id is None else pad_id,
        cls_id=old_config.cls_id if cls_id is None else cls_id,
        sep_id=old_config.sep_id if sep_id is None else sep_id,
    )
    padded = [*sources, *[()] * (vocab_size - len(sources))]
    swapped = empty(config, model.head_config).to(next(model.parameters()).dtype)
    swapped.tie()
    old = model.state_dict()
    for name, weight in swapped.named_parameters():
        rows = old[name].cpu()
        weight.copy_(_rows(rows, padded, name) if name.endswith(_TABLES) else rows)
    is_same = (pad_id, cls_id, sep_id) == (None, None, None)
    swapped.kept = model.kept if is_same else without_ids(model.kept)
    return swapped.train(model.training)


def _rows(old: Tensor, sources: Sequence[Sequence[int]], name: str) -> Tensor:
    table = old.float() if old.dim() == 2 else old.float()[:, None]
    made = means(table, sources)
    is_fresh = torch.tensor([not ids for ids in sources])
    made[is_fresh] = _fresh(table, int(is_fresh.sum()), name)
    return made.reshape(len(sources), *old.shape[1:])


def means(old: Float[Tensor, "V D"], sources: Sequence[Sequence[int]]) -> Float[Tensor, "W D"]:
    """Return for each entry of `sources` the mean of these rows, zeros where there are none."""
    counts = torch.tensor([len(ids) for ids in sources])
    flat = torch.tensor([i for ids in sources for i in ids], dtype=torch.long)
    into = torch.arange(len(sources)).repeat_interleave(counts)
    sums = old.new_zeros(len(sources), old.shape[1]).index_add(0, into, old[flat])
    return sums / counts.clamp(min=1)[:, None]


def _fresh(old: Float[Tensor, "V D"], count: int, name: str) -> Float[Tensor, "N D"]:
    if name.endswith("bias"):
        return old.min().expand(count, 1)
    source = torch.Generator().manual_seed(rng.key(0, "vocabulary", name) >> 1)
    drawn = torch.randn(count, old.shape[1], generator=source)
    return old.mean(0) + drawn * old.std(0)
