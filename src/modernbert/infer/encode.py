"""A packed batch in, its encoded tokens out: on a CPU, shares of the batch run side by side."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules import module as modules

from modernbert.base.shapes import Float
from modernbert.base.threads import side_by_side
from modernbert.batch import PackedBatch, gather, restore, split
from modernbert.data.packing import SHARE_TOKENS, even_shares
from modernbert.infer.export.running import ExportedModel, Runs
from modernbert.model.config import EncoderConfig
from modernbert.model.count import forward_flops
from modernbert.model.encoder import Encoder

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
    if len(dealt) < 2:
        whole: Tensor = encoder(batch)
        return whole
    parts = [gather(batch, share) for share in dealt]
    encoded = side_by_side(encoder, parts)
    rows = [split(x, part.layout) for x, part in zip(encoded, parts, strict=True)]
    return restore(dealt, rows)


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
