"""A mean of models, its parts and their run in, a line on the held-out loss of each out."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from modernbert.base.device import Autocast, choose_device
from modernbert.data.corpus import Corpus
from modernbert.model import folder as model_folder
from modernbert.model.model import Model
from modernbert.train.average import Part
from modernbert.train.description import NAME, config_of
from modernbert.train.evaluate import evaluate, overall


def measured(mean: Model, parts: Sequence[Part], run: Path) -> Iterator[str]:
    """Yield what the mean and its parts make of the run's held-out text, where that is."""
    if not (run / NAME).is_file():
        return
    config = config_of(run)
    if not config.evaluate_tokens:
        return
    corpus = Corpus.if_there(config.corpus, config.cache_bytes)
    if corpus is None or not corpus.sources("heldout"):
        return
    autocast = Autocast(choose_device(config.device), "float32")
    for name, model in [
        *((part.folder.name, model_folder.read(part.folder)) for part in parts),
        ("their mean", mean),
    ]:
        model.to(autocast.device)
        length = model.config.max_length
        found = overall(evaluate(model, corpus, autocast, length, config.evaluate_tokens))
        yield f"{name}: held-out loss {found.loss:.4f}, masked accuracy {found.masked_accuracy:.2%}"
