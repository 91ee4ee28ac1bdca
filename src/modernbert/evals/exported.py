"""A model and a file of examples in, texts to prove a graph on and a measure of its task out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from modernbert.base.errors import ConfigError, DataError
from modernbert.base.log import say
from modernbert.data.python_source import functions_of
from modernbert.data.word_files import is_of_lines, is_of_words, is_plain_text
from modernbert.evals.head_measures import MEASURES, Named, pairs_in
from modernbert.infer.export.proving import Metric
from modernbert.infer.pretrained import Pretrained
from modernbert.infer.reading import Text, parts_of

_FEW = 16
"""Texts below which a proof says little."""
_FEW_LABELLED = 200
"""Below, one that becomes wrong is more than a graph may lose of what is measured."""
_TEXTS = 256
"""Texts of a file that a graph is proven on at most, from all over it."""


@dataclass(frozen=True, slots=True)
class Examples:
    """What a graph is held against."""

    texts: Sequence[Text]
    metric: Metric | None = None
    """What is measured on all rows; None where rows have no labels that the model gives."""


def own_texts() -> Examples:
    """Return texts that come with this package: what its functions say, and their code."""
    place = Path(__file__).parents[1]
    found = [each for path in sorted(place.rglob("*.py")) for each in functions_of(path)]
    return Examples(_spread([text for each in found for text in (each.docstring, each.code)]))


def examples_in(path: Path, model: Pretrained, named: Named | None = None) -> Examples:
    """Read a file of examples as `finetune` does; of running text, a text a line, or a table.

    Columns that are not named are guessed. Each head is measured by its first measure, models of
    vectors by the order of pairs with a number each (Spearman), a masked-LM head by how many hidden
    tokens of the texts it guesses.

    Raises:
        ConfigError: columns are named that this head does not read.
        DataError: the file cannot be read or holds no text, or a row has a label that the model
            does not know.
    """
    head = model.model.head_config
    kind = "none" if head is None or model.sentence.config.is_sparse else head.kind
    has_labels = kind == "masked_lm" or not is_plain_text(path)
    if kind == "tokens" and is_of_lines(path):
        has_labels = is_of_words(path)
    if kind != "choice" and named is not None and named.choices:
        raise ConfigError("--choices is for models that choose among options: leave it out")
    found, metric = (MEASURES[kind] if has_labels else pairs_in)(path, model, named or Named())
    kept = _spread(found)
    if not kept:
        raise DataError(f"{path} holds no text: give a file with some")
    if len(kept) < _FEW:
        say(f"{path} holds {len(kept)} texts: a proof on so few says little, give {_FEW} or more")
    if metric is not None and len(found) < _FEW_LABELLED:
        say(
            f"{path}: what is measured on {len(found)} texts moves by chance: give "
            f"{_FEW_LABELLED} or more, or a larger --most-lost"
        )
    said = "no labels that this model gives" if metric is None else "labels are measured too"
    say(f"{path}: {len(found):,} texts, {len(kept)} of them compared one by one; {said}")
    return Examples(kept, metric)


def _spread(texts: Sequence[Text]) -> list[Text]:
    kept = [text for text in texts if any(part.strip() for part in parts_of(text))]
    number = min(len(kept), _TEXTS)
    return [kept[place * len(kept) // number] for place in range(number)]
