"""A ModernBERT in, the same as a dense, late-interaction, sparse or reranking model out."""

import string
from dataclasses import replace

import torch

from modernbert.base import rng
from modernbert.base.errors import ConfigError
from modernbert.data.train_tokenizer import MULTIPLE
from modernbert.infer.pretrained import Pretrained
from modernbert.model.config import HeadConfig
from modernbert.model.hf_kept import TEXT_COLUMNS
from modernbert.model.init import with_head
from modernbert.model.sentence import Dense, Sentence
from modernbert.model.sentence_config import (
    DenseShape,
    Expansion,
    LateInteraction,
    Normalize,
    SentenceConfig,
    Splade,
)
from modernbert.model.vocabulary import resize
from modernbert.retrieval.training.config import RetrieverConfig
from modernbert.retrieval.training.recipes import Kind

_PREFIXES = ("[Q] ", "[D] ")
_LATE_DIM, _QUERY_LENGTH, _DOCUMENT_LENGTH = 128, 32, 300
_IDENTITY = "torch.nn.modules.linear.Identity"


def prepared(model: Pretrained, kind: Kind, config: RetrieverConfig) -> Pretrained:
    """Return what is trained, in float32; a model that is of the kind already stays what it is.

    dense: the mean of the tokens. colbert: 128 numbers a token, [Q] and [D] before texts, queries
    filled up with [MASK] (arXiv 2004.12832). sparse: the masked-LM head's scores, the largest of
    each word (arXiv 2109.10086). rerank: one score of a query and a document read together.

    Raises:
        ConfigError: a length does not fit, or the model lacks its masked-LM head.
    """
    longest = model.config.max_length
    for name, length in (
        ("max_length", config.max_length),
        ("query_length", config.query_length),
    ):
        if length > longest:
            raise ConfigError(f"{name} is {length}, and the model reads {longest} tokens")
    made = _MAKERS[kind](model, config)
    made.sentence.config = _prompted(made.sentence.config, config)
    made.origin = model.origin
    return made.float().train()


def _prompted(sentence: SentenceConfig, config: RetrieverConfig) -> SentenceConfig:
    late = sentence.late
    begun = {"query": late.query_prefix, "document": late.document_prefix} if late else {}
    told = {"query": config.query_prompt, "document": config.document_prompt}
    new = {name: begun.get(name, "") + text for name, text in told.items() if text}
    return replace(sentence, prompts={**sentence.prompts, **new})


def _dense(model: Pretrained, config: RetrieverConfig) -> Pretrained:
    model.model.head = None
    length = config.max_length or model.sentence.config.max_length
    sentence = model.sentence
    if sentence.config.is_per_token or sentence.config.is_sparse:
        sentence = Sentence(SentenceConfig(max_length=length))
    sentence.config = replace(sentence.config, max_length=length)
    return Pretrained(model.model, model.tokenizer, sentence)


def _sparse(model: Pretrained, config: RetrieverConfig) -> Pretrained:
    head = model.model.head_config
    if head is None or head.kind != "masked_lm":
        raise ConfigError(
            "a sparse model weighs words by its masked-LM head, and this model has none: start "
            "from one of `modernbert pretrain`"
        )
    length = config.max_length or model.sentence.config.max_length
    sentence = model.sentence
    if not sentence.config.is_sparse:
        sentence = Sentence(SentenceConfig(max_length=length, steps=(Splade(),), similarity="dot"))
    sentence.config = replace(sentence.config, max_length=length)
    return Pretrained(model.model, model.tokenizer, sentence)


def _rerank(model: Pretrained, config: RetrieverConfig) -> Pretrained:
    length = config.max_length or model.max_length
    head, sentence = model.model.head_config, model.sentence.config
    inner = model.model
    if head is None or head.kind != "sequence" or head.num_scores != 1:
        head = HeadConfig(kind="sequence", labels=("score",), problem="regression")
        inner = with_head(inner, head, config.seed)
        sentence = SentenceConfig(max_length=length)
    inner.kept = {**inner.kept, TEXT_COLUMNS: ["query", "document"]}
    if config.loss in ("mse", "margin-mse"):
        # A teacher's scores are numbers of any size, and no probabilities.
        sentence = replace(sentence, score_activation=_IDENTITY)
    return Pretrained(inner, model.tokenizer, Sentence(replace(sentence, max_length=length)))


def _late(model: Pretrained, config: RetrieverConfig) -> Pretrained:
    model.model.head = None
    late = model.sentence.config.late
    if late is None:
        return _new_late(model, config)
    length = config.query_length or late.query_length
    expansion = late.expansion and replace(
        late.expansion, length=config.query_length or late.expansion.length
    )
    late = replace(
        late,
        query_length=length,
        document_length=config.max_length or late.document_length,
        expansion=expansion,
    )
    model.sentence.config = replace(model.sentence.config, late=late)
    return Pretrained(model.model, model.tokenizer, model.sentence)


def _new_late(model: Pretrained, config: RetrieverConfig) -> Pretrained:
    tokenizer = model.tokenizer.with_added(_PREFIXES)
    size = max(model.config.vocab_size, -(-tokenizer.vocab_size // MULTIPLE) * MULTIPLE)
    inner = resize(model.model, size) if size > model.config.vocab_size else model.model
    longest = model.config.max_length
    length = config.query_length or min(_QUERY_LENGTH, longest)
    dim = model.config.dim
    late = LateInteraction(
        form="ColBERT",
        query_prefix=_PREFIXES[0],
        document_prefix=_PREFIXES[1],
        query_length=length,
        document_length=config.max_length or min(_DOCUMENT_LENGTH, longest),
        expansion=Expansion(length=length),
        skipped_words=tuple(string.punctuation),
    )
    shape = DenseShape(in_dim=dim, out_dim=_LATE_DIM, has_bias=False, activation=_IDENTITY)
    sentence = Sentence(
        SentenceConfig(
            max_length=model.sentence.config.max_length,
            steps=(shape, Normalize()),
            prompts={"query": _PREFIXES[0], "document": _PREFIXES[1]},
            similarity="MaxSim",
            late=late,
        )
    )
    _draw(sentence.projections[0], config.seed)
    return Pretrained(inner, tokenizer, sentence)


@torch.no_grad()
def _draw(projection: Dense, seed: int) -> None:
    """Draw the projection's weights by the seed, with the spread that keeps lengths."""
    weight = projection.linear.weight
    source = torch.Generator().manual_seed(rng.key(seed, "projection") >> 1)
    weight.copy_(torch.randn(weight.shape, generator=source) * weight.shape[1] ** -0.5)


_MAKERS = {"dense": _dense, "colbert": _late, "sparse": _sparse, "rerank": _rerank}
