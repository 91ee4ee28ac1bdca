"""Few tokens on CUDA in, encoded out: a pass is captured once a size, and replayed in one launch.

A pass over one query launches hundreds of kernels, each shorter than its launch takes.
"""

from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

from modernbert.base.errors import MachineError
from modernbert.base.shapes import Float
from modernbert.batch import Layout, PackedBatch
from modernbert.infer.encode import encode
from modernbert.kernels.attention import backend_for
from modernbert.model.encoder import Encoder

MAX_TOKENS = 1024
"""More are launched as ever: a pass then takes longer than its launches."""
_FEWEST = 16
_WARM_UPS = 3
"""Passes before a capture, in which libraries set themselves up."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Sizes that a graph was captured with: powers of two."""

    tokens: int
    documents: int


@dataclass(frozen=True, slots=True)
class _Captured:
    graph: torch.cuda.CUDAGraph
    given: PackedBatch
    """What it reads, always in the same place."""
    found: Tensor
    """Where it writes."""


def bucket_of(num_tokens: int, num_documents: int) -> Bucket:
    """Return the smallest bucket that holds so much."""
    tokens, documents = max(num_tokens, _FEWEST), max(num_documents, 1)
    return Bucket(1 << (tokens - 1).bit_length(), 1 << (documents - 1).bit_length())


def most_tokens(num_positions: int) -> int:
    """Return the largest bucket: with learned positions, padding needs one for each token too."""
    most = 1 << (num_positions.bit_length() - 1) if num_positions else MAX_TOKENS
    return min(MAX_TOKENS, most) if most >= _FEWEST else 0


def filled(batch: PackedBatch, bucket: Bucket, pad_id: int) -> PackedBatch:
    """Add what a bucket lacks: padding as a document of its own, then documents without a token.

    The tokens that were there stay the first, and see what they saw. Nothing waits for a device.
    """
    starts = batch.layout.cu_seqlens
    ids = F.pad(batch.ids, (0, bucket.tokens - len(batch.ids)), value=pad_id)
    # All that is added ends where the bucket ends: the first is the padding, the rest is empty.
    ends = F.pad(starts, (0, bucket.documents + 2 - len(starts)), value=bucket.tokens)
    return PackedBatch(ids, Layout(ends, bucket.tokens))


@final
class Graphs:
    """An encoder on CUDA in half precision, whose weights are neither moved nor replaced.

    It holds a graph for each bucket it met, and is for one thread.
    """

    def __init__(self, encoder: Encoder) -> None:
        """Take an encoder in its eval mode; nothing is captured yet.

        Raises:
            MachineError: its attention cannot be captured, as on a CPU or in float32.
        """
        weight = encoder.embeddings.tok_embeddings.weight
        self._encoder, self._device = encoder, weight.device
        backend = encoder.backend or backend_for(weight.device, weight.dtype)
        if weight.device.type != "cuda" or backend != "varlen":
            raise MachineError(
                f"CUDA graphs need the varlen backend, and on {weight.device} in "
                f"{str(weight.dtype).removeprefix('torch.')} it is {backend}: leave them out"
            )
        self._most = most_tokens(encoder.config.num_positions)
        self._captured: dict[Bucket, _Captured] = {}
        self._pool = torch.cuda.graph_pool_handle()

    @torch.no_grad()
    def __call__(self, batch: PackedBatch) -> Float[Tensor, "T D"]:
        """Encode every token, as `infer.encode` does; a batch of a new bucket is captured first."""
        num_tokens, num_documents = len(batch.ids), len(batch.layout.cu_seqlens) - 1
        if num_tokens > self._most:
            return encode(self._encoder, batch.to(self._device))
        bucket = bucket_of(num_tokens, num_documents)
        given = filled(batch, bucket, self._encoder.config.pad_id)
        with torch.cuda.device(self._device):
            if bucket not in self._captured:
                self._captured[bucket] = self._capture(given.to(self._device))
            captured = self._captured[bucket]
            captured.given.ids.copy_(given.ids)
            captured.given.layout.cu_seqlens.copy_(given.layout.cu_seqlens)
            captured.graph.replay()
            return captured.found[:num_tokens].clone()

    def _capture(self, given: PackedBatch) -> _Captured:
        # Graphs share their memory: each is read before another one runs.
        starts = given.layout.cu_seqlens.clone()
        given = PackedBatch(given.ids.clone(), Layout(starts, given.layout.max_seqlen))
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UPS):
                self._encoder(given)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            found: Tensor = self._encoder(given)
        return _Captured(graph, given, found)
