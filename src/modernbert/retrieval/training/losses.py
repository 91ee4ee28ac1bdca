"""What pairs hold in, a loss of sentence-transformers out; none is written here."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from modernbert.base.errors import ConfigError
from modernbert.base.log import say
from modernbert.data.pairs import Holding, PairSet
from modernbert.retrieval.training.examples import are_cosines
from modernbert.retrieval.training.recipes import Kind, Loss

FITS: dict[Loss, dict[Kind, tuple[Holding, ...]]] = {
    "contrastive": dict.fromkeys(
        ("dense", "colbert", "sparse", "rerank"), ("pairs", "negatives", "teacher")
    ),
    "kl": dict.fromkeys(("dense", "colbert", "sparse"), ("teacher",)),
    "margin-mse": dict.fromkeys(("dense", "colbert", "sparse", "rerank"), ("teacher",)),
    "cosent": dict.fromkeys(("dense", "sparse"), ("labels",)),
    "bce": {"rerank": ("negatives", "teacher", "labels")},
    "lambda": {"rerank": ("negatives", "teacher")},
    "listwise": {"rerank": ("negatives", "teacher")},
    "mse": {"rerank": ("teacher", "labels")},
}
"""What each loss can learn from."""

_AUTO: dict[Kind, dict[Holding, Loss]] = {
    "dense": {"teacher": "kl", "labels": "cosent"},
    "colbert": {"teacher": "kl"},
    "sparse": {"teacher": "margin-mse", "labels": "cosent"},
    "rerank": {"negatives": "bce", "teacher": "margin-mse", "labels": "bce"},
}
_HELD = {
    "pairs": "queries and documents alone",
    "negatives": "negatives without scores",
    "teacher": "scores of positives and negatives",
    "labels": "a score of each pair",
}
_TEMPERATURES: dict[tuple[Kind, Loss], float] = {
    # As sentence-transformers has them; MaxSim and dot products are sums and need no sharpening.
    ("dense", "contrastive"): 0.05,
    ("dense", "kl"): 0.05,
    ("dense", "cosent"): 0.05,
    ("sparse", "kl"): 2.0,
    ("sparse", "cosent"): 1.0,
    ("rerank", "contrastive"): 0.1,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LossOptions:
    """What a loss is computed with."""

    kind: Kind
    loss: Loss
    temperature: float
    batch_size: int
    mini_batch: int
    matryoshka: tuple[int, ...]
    document_regularizer: float
    query_regularizer: float
    follows_cosines: bool = False
    """Whether a teacher's scores are cosines, which are compared with the model's own."""

    @property
    def is_cached(self) -> bool:
        """Return whether a batch is computed in parts, each twice (arXiv 2101.06983)."""
        return self.mini_batch < self.batch_size


def chosen(kind: Kind, loss: Loss, found: PairSet) -> Loss:
    """Return the loss that fits what the pairs hold, or the one that was asked for if it does.

    Raises:
        ConfigError: it learns from something else.
    """
    holding = found.holding
    name = _AUTO[kind].get(holding, "contrastive") if loss == "auto" else loss
    if loss == "auto" and kind == "sparse" and are_cosines(found, name):
        say("the scores are cosines, which products of sparse vectors are far from: passed over")
        name = "contrastive"
    if name == "bce" and holding == "labels" and not _are_shares(found):
        if loss != "auto":
            raise ConfigError("bce learns from scores between 0 and 1: give these, or --loss mse")
        name = "mse"
    fits = FITS[name].get(kind, ())
    if holding not in fits:
        others = [each for each, kinds in FITS.items() if holding in kinds.get(kind, ())]
        raise ConfigError(
            f"the loss {name} of {kind} does not learn from {_HELD[holding]}: "
            + (f"give --loss {' or '.join(others)}" if others else "leave the scores out")
        )
    return name


def temperature_of(kind: Kind, loss: Loss) -> float:
    """Return what scores are divided by where nobody says it."""
    return _TEMPERATURES.get((kind, loss), 1.0)


def is_in_batch(loss: Loss) -> bool:
    """Return whether the pairs of a batch are each other's negatives."""
    return loss == "contrastive"


def make_loss(model: Any, options: LossOptions) -> Any:
    """Make a loss of sentence-transformers around a model of it."""
    return _MAKERS[options.kind](model, options)


def _dense(model: Any, options: LossOptions) -> Any:
    from sentence_transformers import util
    from sentence_transformers.sentence_transformer import losses

    temperature = options.temperature
    # Vectors need not have length 1: cosines are what the model is asked for later.
    makers: dict[str, Any] = {
        "contrastive": _ranking(losses, options),
        "kl": partial(
            losses.DistillKLDivLoss,
            similarity_fct=util.pairwise_cos_sim,
            student_temperature=temperature,
        ),
        "margin-mse": partial(
            losses.MarginMSELoss,
            similarity_fct=util.pairwise_cos_sim
            if options.follows_cosines
            else util.pairwise_dot_score,
        ),
        "cosent": partial(losses.CoSENTLoss, scale=1 / temperature),
    }
    loss = makers[options.loss](model)
    if not options.matryoshka:
        return loss
    width = model.get_embedding_dimension()
    return losses.MatryoshkaLoss(model, loss, [width, *shorter(options.matryoshka, width)])


def shorter(widths: Sequence[int], width: int) -> list[int]:
    """Return the widths that are shorter than the whole, the longest first.

    Raises:
        ConfigError: one is not.
    """
    for each in widths:
        if not 0 < each < width:
            raise ConfigError(f"matryoshka names the width {each}: give widths below {width}")
    return sorted({*widths}, reverse=True)


def _late(model: Any, options: LossOptions) -> Any:
    from sentence_transformers.multi_vector_encoder import losses

    size = options.mini_batch
    makers: dict[str, Any] = {
        "contrastive": partial(
            _in_parts(
                options,
                losses.CachedMultiVectorMultipleNegativesRankingLoss,
                losses.MultiVectorMultipleNegativesRankingLoss,
            ),
            scale=1 / options.temperature,
        ),
        "kl": partial(
            losses.MultiVectorDistillKLDivLoss,
            student_temperature=options.temperature,
            mini_batch_size=size,
        ),
        "margin-mse": partial(losses.MultiVectorMarginMSELoss, mini_batch_size=size),
    }
    return makers[options.loss](model)


def _sparse(model: Any, options: LossOptions) -> Any:
    from sentence_transformers.sparse_encoder import losses

    temperature = options.temperature
    makers: dict[str, Any] = {
        "contrastive": partial(losses.SparseMultipleNegativesRankingLoss, scale=1 / temperature),
        "kl": partial(losses.SparseDistillKLDivLoss, student_temperature=temperature),
        "margin-mse": losses.SparseMarginMSELoss,
        "cosent": partial(losses.SparseCoSENTLoss, scale=1 / temperature),
    }
    made = _in_parts(options, losses.CachedSpladeLoss, losses.SpladeLoss)
    return made(
        model,
        makers[options.loss](model),
        document_regularizer_weight=options.document_regularizer,
        query_regularizer_weight=options.query_regularizer,
    )


def _rerank(model: Any, options: LossOptions) -> Any:
    from sentence_transformers.cross_encoder import losses

    size = options.mini_batch
    makers: dict[str, Any] = {
        "contrastive": _ranking(losses, options),
        "bce": losses.BinaryCrossEntropyLoss,
        "lambda": partial(losses.LambdaLoss, mini_batch_size=size),
        "listwise": partial(losses.ListNetLoss, mini_batch_size=size),
        "margin-mse": losses.MarginMSELoss,
        "mse": losses.MSELoss,
    }
    return makers[options.loss](model)


def _ranking(losses: Any, options: LossOptions) -> Any:
    """Return the contrastive loss of dense models or of cross-encoders, which name it alike."""
    made = _in_parts(
        options, losses.CachedMultipleNegativesRankingLoss, losses.MultipleNegativesRankingLoss
    )
    return partial(made, scale=1 / options.temperature)


def _in_parts(options: LossOptions, cached: Any, whole: Any) -> Any:
    """Return the loss that computes a batch in parts where it has several; the same number."""
    if options.is_cached:
        return partial(cached, mini_batch_size=options.mini_batch)
    return whole


def _are_shares(found: PairSet) -> bool:
    return all(0 <= number <= 1 for pair in found.pairs for number in pair.scores)


_MAKERS = {"dense": _dense, "colbert": _late, "sparse": _sparse, "rerank": _rerank}
