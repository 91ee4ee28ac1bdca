"""Pairs in, the rows that a loss of sentence-transformers reads out."""

from collections.abc import Sequence
from typing import Any

from modernbert.base.errors import ConfigError
from modernbert.base.log import say
from modernbert.data.pairs import Pair, PairSet
from modernbert.retrieval.training.recipes import Kind, Loss

QUERY, DOCUMENT, LABEL = "query", "positive", "label"
_POINTWISE: tuple[Loss, ...] = ("bce", "mse", "cosent")
_LISTWISE: tuple[Loss, ...] = ("lambda", "listwise")
_TAUGHT: tuple[Loss, ...] = ("kl", "margin-mse")
_MOST_COSINE = 1.001
"""Rounded, a cosine may exceed 1."""


def too_alike(batch_size: int) -> ConfigError:
    """Say that no batch of the contrastive loss can be filled."""
    return ConfigError(
        f"no {batch_size} pairs are all of different texts, and no batch holds one twice: give a "
        "smaller batch_size, or pairs that repeat less"
    )


def are_cosines(found: PairSet, loss: Loss) -> bool:
    """Return whether a teacher's scores that are followed lie between -1 and 1."""
    scores = (score for pair in found.pairs for score in pair.scores)
    return loss in _TAUGHT and all(abs(score) <= _MOST_COSINE for score in scores)


def follows_cosines(found: PairSet, loss: Loss, score_scale: float) -> bool:
    """Return whether a model's own cosines are to be like a teacher's: these are not scaled."""
    return score_scale in (0.0, 1.0) and are_cosines(found, loss)


def scale_of_cosines(kind: Kind, loss: Loss, query_length: int, temperature: float) -> float:
    """Return what brings a teacher's cosines to the size of a model's own scores; 0 is as they are.

    Cosines differ by a tenth where late interaction differs by several, and so does a cosine over a
    temperature: a model that follows them as they are learns that all documents are alike
    (lab/LOG.md).

    Raises:
        ConfigError: nobody knows how large products of these vectors are to be.
    """
    if kind == "sparse":
        raise ConfigError(
            f"the scores are cosines, and {loss} of sparse has products of any size follow them: "
            "say how large with --score-scale, or give --loss contrastive"
        )
    if kind == "colbert" and query_length:
        say(f"the scores are cosines: multiplied by {query_length}, the tokens of a query")
        return float(query_length)
    if kind == "dense" and loss == "kl":
        say(f"the scores are cosines: divided by {temperature:g}, as the model's own are")
        return 1 / temperature
    return 0.0


def to_dataset(found: PairSet, loss: Loss, score_scale: float) -> Any:
    """Return a `datasets.Dataset`; columns of texts stand in the order that losses read them."""
    from datasets import Dataset

    return Dataset.from_dict(columns_of(found.pairs, loss, score_scale))


def columns_of(pairs: Sequence[Pair], loss: Loss, score_scale: float = 1.0) -> dict[str, list[Any]]:
    """Return columns: a row a document, a row a list of documents, or a row a pair."""
    if loss in _POINTWISE:
        rows = [row for pair in pairs for row in _documents(pair, loss)]
        queries, documents, labels = (list(column) for column in zip(*rows, strict=True))
        return {QUERY: queries, DOCUMENT: documents, LABEL: labels}
    queries = [pair.query for pair in pairs]
    if loss in _LISTWISE:
        return {
            QUERY: queries,
            DOCUMENT: [[pair.positive, *pair.negatives] for pair in pairs],
            LABEL: [_relevances(pair, loss) for pair in pairs],
        }
    number = len(pairs[0].negatives)
    columns: dict[str, list[Any]] = {QUERY: queries, DOCUMENT: [pair.positive for pair in pairs]}
    for place in range(number):
        columns[f"negative_{place + 1}"] = [pair.negatives[place] for pair in pairs]
    if loss in _TAUGHT:
        columns[LABEL] = [[score_scale * score for score in pair.scores] for pair in pairs]
    return columns


def _documents(pair: Pair, loss: Loss) -> list[tuple[str, str, float]]:
    """List the documents of a pair, each with what is learned of it."""
    documents = [pair.positive, *pair.negatives]
    has_taught = loss != "bce" or not pair.negatives
    numbers = pair.scores if has_taught else _relevances(pair, loss)
    return [(pair.query, text, number) for text, number in zip(documents, numbers, strict=True)]


def _relevances(pair: Pair, loss: Loss) -> list[float]:
    if loss == "listwise" and pair.scores:
        return list(pair.scores)
    return [1.0, *[0.0] * len(pair.negatives)]
