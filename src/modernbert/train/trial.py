"""A configuration in, the speed this machine trains it with out: a few steps, thrown away."""

import time

from modernbert.base.device import Autocast, choose_device
from modernbert.data.corpus import Corpus
from modernbert.kernels.precision import choose_precision
from modernbert.model.init import build
from modernbert.train import parallel
from modernbert.train.beginning import first_optimizer
from modernbert.train.config import RunConfig
from modernbert.train.feed import Progress, feed
from modernbert.train.fit import decided
from modernbert.train.step import accumulate, move


def tokens_per_second(config: RunConfig, seconds: float = 5.0) -> float:
    """Take steps of the first phase for a while and return their speed.

    The first step is left out: it warms up allocators and caches.
    """
    corpus = Corpus.at(config.corpus, config.cache_bytes)
    config = decided(config, corpus)
    device = choose_device(config.device)
    model = build(config.model, config.seed).to(device).train()
    optimizer = first_optimizer(config, model)
    autocast = Autocast(device, choose_precision(config.precision, device, config.model.dim))
    shares = parallel.shares(model, device, is_compiled=False)
    tokens, start = 0, 0.0
    for work in feed(config, corpus, Progress()):
        accumulate(model, work, autocast, config.seed, shares)
        move(optimizer, work.lr)
        now = time.perf_counter()
        if not start:
            start = now
            continue
        tokens += work.num_tokens
        if now - start > seconds:
            break
    return tokens / (now - start)
