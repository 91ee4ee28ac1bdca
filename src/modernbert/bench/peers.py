"""Other people's code doing our work, as its users write it."""

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from modernbert.base.device import Autocast
from modernbert.base.errors import MachineError
from modernbert.batch import Layout, pad, real, split
from modernbert.model import folder
from modernbert.model.model import Model
from modernbert.tasks.mlm import GuessedBatch

IGNORED = -100


@dataclass(frozen=True, slots=True)
class PaddedBatch:
    """A grid of documents as `DataCollatorForLanguageModeling` gives it."""

    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor


class PaddedTransformers:
    """A plain training loop over transformers' ModernBERT: documents padded to their longest."""

    def __init__(self, model: Model, lr: float, autocast: Autocast, attention: str) -> None:
        """Give transformers the same weights, and one of its ways to attend.

        Raises:
            MachineError: transformers is not installed.
        """
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        try:
            from transformers import AutoModelForMaskedLM
        except ImportError as error:
            raise MachineError(
                "this comparison needs transformers: pip install 'transformers>=5.1'"
            ) from error
        with tempfile.TemporaryDirectory() as there:
            folder.write(model, Path(there))
            opened = AutoModelForMaskedLM.from_pretrained(there, attn_implementation=attention)
        self._theirs: Any = opened.to(autocast.device).train()
        self.model: nn.Module = self._theirs
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=lr)
        self._autocast = autocast

    def recompute(self) -> None:
        """Keep only what goes into each layer for the backward pass."""
        self._theirs.gradient_checkpointing_enable({"use_reentrant": False})

    def loss(self, batches: Sequence[PaddedBatch]) -> float:
        """Accumulate the gradients of some batches and return the mean loss."""
        device = self._autocast.device
        hidden = sum(int((batch.labels != IGNORED).sum()) for batch in batches)
        losses = []
        for batch in batches:
            with self._autocast():
                loss = self.model(
                    input_ids=batch.input_ids.to(device),
                    attention_mask=batch.attention_mask.to(device),
                    labels=batch.labels.to(device),
                    num_items_in_batch=hidden,
                ).loss
            loss.backward()
            losses.append(loss.detach())
        return float(torch.stack(losses).sum())

    def move(self) -> None:
        """Move the weights along their gradients, and forget the gradients."""
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


class Embedder:
    """Texts to vectors by a model of sentence-transformers: padded, one batch at a time."""

    def __init__(self, folder: Path, precision: str, longest: int) -> None:
        """Open a folder; one without modules.json is given mean pooling by them.

        Raises:
            MachineError: sentence-transformers is not installed.
        """
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        try:
            from sentence_transformers import SentenceTransformer
            from transformers.utils import logging
        except ImportError as error:
            raise MachineError(
                "this comparison needs sentence-transformers: pip install sentence-transformers"
            ) from error
        # Tensors that it does not need, such as a masked-LM head, are none of the caller's trouble.
        logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        # Opened in this precision: a model that is moved to it later has its angles rounded.
        options = {"dtype": precision}
        self.model: nn.Module = SentenceTransformer(
            str(folder), device="cpu", model_kwargs=options
        ).eval()
        self._theirs: Any = self.model
        if longest:
            self._theirs.max_seq_length = longest

    def embed(self, batches: Sequence[list[str]]) -> Tensor:
        """Return a vector a text, in the order of the batches."""
        found = [
            self._theirs.encode(
                batch, batch_size=len(batch), convert_to_tensor=True, show_progress_bar=False
            )
            for batch in batches
        ]
        return torch.cat(found).float()

    def encode(self, texts: Sequence[str], batch_size: int) -> Tensor:
        """Return a vector a text as its users write it: they sort by length and make batches."""
        found: Tensor = self._theirs.encode(
            list(texts), batch_size=batch_size, convert_to_tensor=True, show_progress_bar=False
        )
        return found.float()

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens of each text the model sees."""
        longest = self._theirs.max_seq_length
        counted = self._theirs.tokenizer(
            list(texts), truncation=longest is not None, max_length=longest
        )
        return [len(ids) for ids in counted["input_ids"]]


def maxsim_of_sentence_transformers() -> Callable[[list[Tensor], list[Tensor]], Tensor]:
    """Return how sentence-transformers 6 scores vectors of tokens.

    Raises:
        MachineError: it is not installed, or older.
    """
    try:
        from sentence_transformers.util import maxsim
    except ImportError as error:
        raise MachineError(
            "this comparison needs sentence-transformers 6: pip install 'sentence-transformers>=6'"
        ) from error
    return maxsim


def maxsim_of_pylate(queries: list[Tensor], documents: list[Tensor]) -> Tensor:
    """Score as PyLate's `colbert_scores` does: all documents padded, one product of all tokens."""
    q, d = (pad_sequence(each, batch_first=True) for each in (queries, documents))
    lengths = torch.tensor([len(each) for each in documents])
    mask = torch.arange(d.shape[1]) < lengths[:, None]
    scores = torch.einsum("ash,bth->abst", q, d) * mask[None, :, None]
    return scores.max(-1).values.sum(-1)


def padded(batch: GuessedBatch, batch_size: int, pad_id: int) -> list[PaddedBatch]:
    """Lay a packed row out as grids of `batch_size` documents, in the order they came."""
    labels = torch.full_like(batch.packed.ids, IGNORED)
    labels[batch.positions] = batch.targets
    documents = split(batch.packed.ids, batch.packed.layout)
    answers = split(labels, batch.packed.layout)
    return [
        _grid(documents[at : at + batch_size], answers[at : at + batch_size], pad_id)
        for at in range(0, len(documents), batch_size)
    ]


def real_share(batches: list[PaddedBatch]) -> float:
    """Return which part of the grids is text."""
    return sum(float(b.attention_mask.sum()) for b in batches) / sum(
        b.attention_mask.numel() for b in batches
    )


def _grid(documents: list[Tensor], answers: list[Tensor], pad_id: int) -> PaddedBatch:
    layout = Layout.of([len(document) for document in documents])
    mask = real(layout)
    ids = pad(torch.cat(documents), layout).masked_fill(~mask, pad_id)
    labels = pad(torch.cat(answers), layout).masked_fill(~mask, IGNORED)
    return PaddedBatch(ids, mask.long(), labels)
