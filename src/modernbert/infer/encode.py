"""A packed batch in, its encoded tokens out: on a CPU, shares of the batch run side by side."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules import module as modules

from modernbert.base.device import MKL_IS_NARROW
from modernbert.base.shapes import Float
from modernbert.base.threads import side_by_side
from modernbert.batch import Layout, PackedBatch, gather, restore, split
from modernbert.data.packing import SHARE_TOKENS, even_shares
from modernbert.infer.export.running import ExportedModel, Runs
from modernbert.model.config import EncoderConfig
from modernbert.model.count import forward_flops
from modernbert.model.encoder import Encoder

_SHORT = 128
_LEAST_STEP, _LARGEST_STEP, _STEP_BITS = 8, 128, 3
_UNEVEN = 1.05
"""How much longer than the average the longest share may take, or the others wait too long."""


@torch.no_grad()
def encoded(model: Runs, batch: PackedBatch) -> Float[Tensor, "T D"]:
    """Encode every token.

    Raises:
        ConfigError: a graph gives its head's scores alone.
    """
    if isinstance(model, ExportedModel):
        return model.encoded(batch)
    return encode(model.encoder, batch)


@torch.no_grad()
def scored(model: Runs, batch: PackedBatch) -> Float[Tensor, "rows N"]:
    """Return the head's scores, or encoded tokens when there is no head."""
    if isinstance(model, ExportedModel):
        found: Tensor = model(batch)
        return found
    return model.scores(encode(model.encoder, batch), batch.layout)


@torch.no_grad()
def encode(encoder: Encoder, batch: PackedBatch) -> Float[Tensor, "T D"]:
    """Encode every token, in the encoder's eval mode and without gradients.

    Documents do not see each other, so a CPU's threads can take some each: matrix products gain
    by it, for no thread waits for another one until the end. Numbers differ by their rounding
    from those of one pass.
    """
    # Looking at every module takes longer than a layer of a few short documents.
    is_large = len(batch.ids) >= 2 * SHARE_TOKENS and len(batch.layout.cu_seqlens) > 2
    dealt: list[list[int]] = []
    if is_large and _is_shareable(encoder, batch):
        dealt = shares(encoder.config, batch.layout.lengths(), torch.get_num_threads())
    run = partial(_whole, encoder)
    if len(dealt) < 2:
        return run(batch)
    parts = [gather(batch, share) for share in dealt]
    encoded = side_by_side(run, parts)
    rows = [split(x, part.layout) for x, part in zip(encoded, parts, strict=True)]
    return restore(dealt, rows)


def _whole(encoder: Encoder, batch: PackedBatch) -> Float[Tensor, "T D"]:
    """Encode a batch, filled up to a number of tokens that other batches have too.

    oneDNN, by which torch multiplies in bfloat16 on a CPU, makes code and room for every number of
    rows, and keeps both: half a megabyte a matrix of a small model (lab/LOG.md).
    """
    tokens = len(batch.ids)
    missing = rounded(tokens) - tokens if _is_filled_up(encoder, batch) else 0
    missing = min(missing, encoder.config.num_positions or missing)
    found: Tensor = encoder(filled_up(batch, missing) if missing else batch)
    return found[:tokens]


def _is_filled_up(encoder: Encoder, batch: PackedBatch) -> bool:
    # A short document alone has a faster way to its attention.
    is_alone = len(batch.layout.cu_seqlens) == 2 and len(batch.ids) <= _SHORT
    is_by_onednn = MKL_IS_NARROW or encoder.embeddings.tok_embeddings.weight.dtype != torch.float32
    return batch.ids.device.type == "cpu" and is_by_onednn and not is_alone


def rounded(tokens: int) -> int:
    """Return the next of some numbers: four between powers of 2, but none more than 128 apart."""
    step = 1 << max(0, tokens.bit_length() - _STEP_BITS)
    step = min(max(_LEAST_STEP, step), _LARGEST_STEP)
    return -(-tokens // step) * step


def filled_up(batch: PackedBatch, missing: int) -> PackedBatch:
    """Lay a document of so many tokens behind the others; none of them sees it."""
    layout = batch.layout
    end = layout.cu_seqlens[-1:]
    ids = torch.cat([batch.ids, batch.ids.new_zeros(missing)])
    starts = torch.cat([layout.cu_seqlens, end + missing])
    return PackedBatch(ids, Layout(starts, max(layout.max_seqlen, missing)))


def shares(config: EncoderConfig, lengths: Sequence[int], threads: int) -> list[list[int]]:
    """Return the documents of each share, as many shares as the threads can gain by."""
    costs = [length * forward_flops(config, length) for length in lengths]
    for number in range(min(threads, len(lengths)), 1, -1):
        dealt = even_shares(costs, number)
        dearest = max(sum(costs[each] for each in share) for share in dealt)
        fewest = min(sum(lengths[each] for each in share) for share in dealt)
        is_even = dearest * number <= _UNEVEN * sum(costs)
        if threads % number == 0 and is_even and fewest >= SHARE_TOKENS:
            return dealt
    return [list(range(len(lengths)))]


def _is_shareable(encoder: Encoder, batch: PackedBatch) -> bool:
    """Return whether shares give what one pass gives, to whoever may be watching."""
    if batch.ids.device.type != "cpu" or torch.is_autocast_enabled("cpu") or encoder.training:
        return False
    # Modes belong to the thread that entered them.
    num_modes = torch._C._len_torch_dispatch_stack() + torch._C._len_torch_function_stack()
    hooks_on_all = (modules._global_forward_hooks, modules._global_forward_pre_hooks)
    return not (num_modes or any(hooks_on_all) or any(map(_is_watched, encoder.modules())))


def _is_watched(module: nn.Module) -> bool:
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._compiled_call_impl)
    return any(hooks) or "forward" in vars(module)
