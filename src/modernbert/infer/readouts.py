"""A packed batch in, what is wanted of each of its documents out: vectors, or a head's scores."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from modernbert.batch import PackedBatch, split
from modernbert.infer import embed
from modernbert.infer.encode import encoded, scored
from modernbert.infer.export.running import ExportedModel
from modernbert.infer.pretrained import Pretrained
from modernbert.infer.reading import ReadText
from modernbert.model.heads import MaskedLMHead


@dataclass(frozen=True, slots=True)
class TextVectors:
    """One vector [N] a document, sparse ones too."""

    num_prompt: int = 0
    """Tokens before the text, which some models do not pool."""
    most_tokens: int = embed.BATCH_TOKENS

    def __call__(
        self, model: Pretrained, batch: PackedBatch, _: Sequence[ReadText]
    ) -> Sequence[Tensor]:
        """Return the vectors that are given out."""
        found = embed.text_vectors(model.runs, model.sentence, batch, self.num_prompt)
        return list(found.cpu())


@dataclass(frozen=True, slots=True)
class TokenVectors:
    """A vector for each token whose place is named, [places N], as late interaction has them."""

    most_tokens: int = embed.BATCH_TOKENS

    def __call__(
        self, model: Pretrained, batch: PackedBatch, read: Sequence[ReadText]
    ) -> Sequence[Tensor]:
        """Return the vectors that are compared."""
        counts = [text.num_read for text in read]
        vectors = embed.token_vectors(model.runs, model.sentence, batch, counts).cpu()
        return _at_places(split(vectors, batch.layout), read)


@dataclass(frozen=True, slots=True)
class EncodedTokens:
    """The encoder's own vector for each token, [T D]."""

    most_tokens: int = embed.BATCH_TOKENS

    def __call__(
        self, model: Pretrained, batch: PackedBatch, read: Sequence[ReadText]
    ) -> Sequence[Tensor]:
        """Return them before anything is pooled."""
        return _at_places(split(encoded(model.runs, batch).float().cpu(), batch.layout), read)


@dataclass(frozen=True, slots=True)
class HeadScores:
    """What a head says of a document [N], or of each of its tokens [T N], before any activation."""

    most_tokens: int = embed.BATCH_TOKENS

    def __call__(
        self, model: Pretrained, batch: PackedBatch, _: Sequence[ReadText]
    ) -> Sequence[Tensor]:
        """Return a row of scores for whatever the head reads."""
        head = model.model.head_config
        scores = scored(model.runs, batch).float().cpu()
        is_per_document = head is not None and head.reads_documents
        return list(scores) if is_per_document else split(scores, batch.layout)


@dataclass(frozen=True, slots=True)
class MaskScores:
    """What a masked-LM head says of the places that are named, [places V]."""

    most_tokens: int = embed.BATCH_TOKENS

    def __call__(
        self, model: Pretrained, batch: PackedBatch, read: Sequence[ReadText]
    ) -> Sequence[Tensor]:
        """Return a row of logits a place; words are scored at these places only."""
        if isinstance(model.runs, ExportedModel):
            return _at_places(split(scored(model.runs, batch), batch.layout), read)
        assert isinstance(model.head, MaskedLMHead)
        x = _at_places(split(encoded(model.runs, batch), batch.layout), read)
        return [model.head.logits(rows).float().cpu() for rows in x]


def _at_places(rows: Sequence[Tensor], read: Sequence[ReadText]) -> list[Tensor]:
    return [
        x if text.places is None else x[list(text.places)]
        for x, text in zip(rows, read, strict=True)
    ]
