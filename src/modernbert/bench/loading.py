"""A corpus in; how full its rows are and how fast they come, beside what training takes, out."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean, median
from tempfile import TemporaryDirectory
from typing import Any

from modernbert.base import machine
from modernbert.base.errors import ConfigError
from modernbert.base.log import say
from modernbert.base.records import nearest
from modernbert.bench.loading_case import LoadingCase
from modernbert.bench.measure import interleaved, ratio
from modernbert.data.build import build
from modernbert.data.corpus import Corpus
from modernbert.model.presets import PRESETS
from modernbert.train.config import Phase, RunConfig
from modernbert.train.feed import Progress, Work, feed
from modernbert.train.plan_published import PAPER, Published
from modernbert.train.trial import tokens_per_second

Row = dict[str, Any]
_ENDLESS = 1 << 60
_FEWEST_STEPS = 2


def measure(case: LoadingCase, folder: Path, texts: Path | None = None) -> Row:
    """Fill rows, then time the loader, training and preparing in turns, and return a row.

    The loader orders, packs and reads tokens and hides some, as it does while a run trains; it
    runs here without the run, in one thread.

    Raises:
        ConfigError: nobody knows the model.
        DataError: the corpus or the texts cannot be read.
    """
    if case.model not in PRESETS:
        raise ConfigError(f"there is no preset {case.model!r}: {nearest(case.model, PRESETS)}")
    corpus = Corpus.open(folder)
    pairs = [(length, row) for length in case.contexts for row in case.rows if length <= row]
    fills = [_filled(case, corpus, *pair) for pair in pairs]
    for fill in fills:
        say(
            f"chunks of {fill['context_length']} in rows of {fill['row_tokens']}: "
            f"{fill['fill']:.2%} full"
        )
    return {
        "bench": "loading",
        "corpus_documents": sum(corpus.document_counts("train").values()),
        "corpus_tokens": sum(corpus.token_counts("train").values()),
        "corpus_sources": len(corpus.sources("train")),
        "vocab_size": corpus.vocab_size,
        "fills": fills,
        **_speeds(case, corpus, texts),
        "machine": machine.machine(),
        "versions": machine.versions(),
    }


def _run(case: LoadingCase, corpus: Corpus, context: int, row: int, batch: int) -> RunConfig:
    phase = Phase(
        name="pretrain",
        tokens=_ENDLESS,
        context_length=context,
        batch_tokens=batch,
        row_tokens=row,
        peak_lr=1e-4,
        weight_decay=0.0,
    )
    model = replace(PRESETS[case.model], vocab_size=corpus.vocab_size)
    precision: Any = case.training_precision
    return RunConfig(model=model, phases=(phase,), corpus=str(corpus.folder), precision=precision)


def _works(case: LoadingCase, corpus: Corpus, context: int, row: int) -> Iterator[Work]:
    config = _run(case, corpus, context, row, case.batch_tokens)
    return feed(config, corpus, Progress())


def _filled(case: LoadingCase, corpus: Corpus, context: int, row: int) -> Row:
    """Lay an epoch into rows, and two steps at least."""
    whole = sum(corpus.token_counts("train").values())
    fills: list[float] = []
    for work in _works(case, corpus, context, row):
        fills.append(work.fill)
        if work.after.tokens >= whole and len(fills) >= _FEWEST_STEPS:
            break
    return {
        "context_length": context,
        "row_tokens": row,
        "fill": fmean(fills),
        "tokens": work.after.tokens,
    }


def _speeds(case: LoadingCase, corpus: Corpus, texts: Path | None) -> Row:
    context, own, largest = min(case.contexts), case.training_row_tokens, max(case.rows)
    training = _run(case, corpus, context, own, own)
    works = {
        "training": lambda: 1 / tokens_per_second(training, case.seconds),
        "loader": lambda: 1 / _drawn(case, corpus, context, own),
        "loader of large rows": lambda: 1 / _drawn(case, corpus, context, largest),
    }
    if texts is not None:
        works["prepare"] = lambda: 1 / _prepared(corpus, texts)
    took = interleaved(works, case.rounds)
    found: Row = {
        name: {"tokens_per_second": 1 / median(seconds)} for name, seconds in took.items()
    }
    for name in works:
        if name != "training":
            beside = ratio(took["training"], took[name])
            found[name] |= {"of_training": beside.middle, "quartiles": [beside.low, beside.high]}
    published = PAPER[0]
    rate = _rate(published)
    return {
        "context_length": context,
        "row_tokens": own,
        "large_row_tokens": largest,
        "model": case.model,
        "precision": case.training_precision,
        "speeds": found,
        "published": published.name,
        "published_tokens_per_second": rate,
        "h100s_fed": found["loader of large rows"]["tokens_per_second"] / rate,
    }


def _rate(run: Published) -> float:
    """Return the tokens that one device of a published run took in a second."""
    tokens = sum(stretch.tokens for stretch in run.stretches)
    return tokens / (run.devices * run.hours * 3600)


def _drawn(case: LoadingCase, corpus: Corpus, context: int, row: int) -> float:
    """Return how many tokens a second the loader gives, its first step left out."""
    tokens, start = 0, 0.0
    for work in _works(case, corpus, context, row):
        now = time.perf_counter()
        if not start:
            start = now
            continue
        tokens += work.num_tokens
        if now - start > case.seconds:
            break
    return tokens / (now - start)


def _prepared(corpus: Corpus, texts: Path) -> float:
    with TemporaryDirectory() as folder:
        start = time.perf_counter()
        manifest = build(
            {"texts": [texts]}, corpus.tokenizer, Path(folder) / "corpus", report=lambda _: None
        )
        tokens = manifest.total("tokens", "train") + manifest.total("tokens", "heldout")
        return tokens / (time.perf_counter() - start)
