"""A file of examples and a model in, texts and the first measure of its head's task out.

What is measured takes any model of that head: one of weights, or one that a graph runs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from modernbert.base.errors import ConfigError, DataError
from modernbert.data.choice_columns import ChoiceColumns, guess_choices
from modernbert.data.choices import pairs_of, question_in, spelling_of
from modernbert.data.columns import Columns, guess
from modernbert.data.examples import first_rows, said_in, texts_in
from modernbert.data.labels import LabelSet
from modernbert.data.questions import read_questions
from modernbert.data.table import open_table
from modernbert.data.tagged import Tagged, in_one_scheme, read_tagged, word_file
from modernbert.data.tags import is_chunked
from modernbert.data.word_files import is_called_words, is_plain_text, text_file
from modernbert.evals.similarity import read_pairs
from modernbert.infer.answer import answer
from modernbert.infer.choose import choice_scores
from modernbert.infer.classify import label_scores
from modernbert.infer.embed import batches
from modernbert.infer.encode import scored
from modernbert.infer.export.proving import Metric
from modernbert.infer.pretrained import Pretrained
from modernbert.infer.reading import Text, parts_of, with_ends
from modernbert.infer.tag import Untagged, tag, word_tags
from modernbert.tasks import metrics, spans, tokens
from modernbert.tasks.classify import MEASURES as LABELS
from modernbert.tasks.classify import quality, targets_of

Found = tuple[Sequence[Text], Metric | None]
"""What a head reads, texts or pairs, and how it is measured."""


@dataclass(frozen=True, slots=True)
class Named:
    """Columns of a file of examples, where they are not to be guessed; empty names are none."""

    text: str = ""
    pair: str = ""
    label: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()

    @property
    def columns(self) -> Columns:
        """Those of texts and labels."""
        return Columns(self.text, self.pair, self.label)

    @property
    def of_choices(self) -> ChoiceColumns:
        """Those of questions with options."""
        return ChoiceColumns(self.text, self.pair, self.choices, "".join(self.label))


_EVERY = 7
"""One token of so many is hidden, about as many as in an evaluation of pretraining."""
_LONGEST = 512
_BATCH_TOKENS = 1024
"""Few, so that scores of a whole vocabulary fit."""


def pairs_in(path: Path, model: Pretrained, named: Named) -> Found:
    """Read texts; pairs with a number each are measured by their order."""
    if is_called_words(path):
        return [" ".join(row.values["tokens"]) for row in word_file(path)], None
    if is_plain_text(path):
        return [str(row.values["text"]) for row in text_file(path)], None
    table = open_table(path, "test")
    rows = [row.values for row in first_rows(table)]
    columns = guess(named.columns, rows, str(path))
    texts = [text for row in table for text in texts_in(row, columns)]
    has_pairs = len(columns.label) == 1 and len(columns.texts) == 2
    if named.label and not has_pairs:
        raise ConfigError("--label says how alike two texts are: name both, by --text and --pair")
    if not has_pairs or model.sentence.config.is_per_token:
        return texts, None
    ones, others, numbers = read_pairs(path, columns)

    def measure(model: Pretrained) -> tuple[str, float]:
        first, second = (model.embed(some).float() for some in (ones, others))
        cosines = torch.cosine_similarity(first, second).double().numpy()
        return "spearman", metrics.spearman(np.asarray(cosines), numbers)

    return texts, measure


def _labelled(path: Path, model: Pretrained, named: Named) -> Found:
    table = open_table(path, "test")
    rows = [row.values for row in first_rows(table)]
    columns = guess(named.columns, rows, str(path))
    pairs = [texts_in(row, columns) for row in table]
    head = model.model.head_config
    if not columns.label or head is None:
        return pairs, None
    names = table.class_names.get(columns.label[0], ()) if len(columns.label) == 1 else ()
    labels = LabelSet(head.problem, head.labels, names)
    targets = targets_of(labels, [said_in(row, columns) for row in table])

    def measure(model: Pretrained) -> tuple[str, float]:
        scores = label_scores(model, pairs)
        return LABELS[labels.problem][0], quality(labels, scores, targets)[0]

    return pairs, measure


def _tagged(path: Path, model: Pretrained, named: Named) -> Found:
    if named != Named():
        raise ConfigError(
            "columns of tags have names of their own, tokens and tags or text and spans: leave "
            "--text, --pair, --label and --choices out"
        )
    given = in_one_scheme(list(read_tagged(path, "test")))
    head = model.model.head_config
    assert head is not None, "a model that tags has a head"
    is_of_spans = is_chunked(head.labels)

    def measure(model: Pretrained) -> tuple[str, float]:
        if all(each.words is not None for each in given):
            words = [_words(each) for each in given]
            found = [each.tags for each in word_tags(model, words)]
            f1, _, _, accuracy = tokens.quality(found, [each.tags for each in given])
            return ("f1", f1) if is_of_spans else ("accuracy", accuracy)
        return "f1", _span_f1(model, given)

    return [each.text for each in given], measure


def _words(each: Tagged) -> Untagged:
    return [each.text[begin:end] for begin, end in each.words or ()]


def _span_f1(model: Pretrained, given: Sequence[Tagged]) -> float:
    hits = said = right = 0
    for found, each in zip(tag(model, [each.text for each in given]), given, strict=True):
        one = {(entity.start, entity.end, entity.label) for entity in found}
        other = {(span.start, span.stop, span.kind) for span in each.spans}
        hits, said, right = hits + len(one & other), said + len(one), right + len(other)
    return 2 * hits / max(said + right, 1)


def _asked(path: Path, _: Pretrained, named: Named) -> Found:
    given = list(read_questions(path, "test", named.columns))
    can_be_none = not all(each.answers for each in given)

    def measure(model: Pretrained) -> tuple[str, float]:
        asked = [(each.text, each.context) for each in given]
        found = answer(model, asked, can_be_none=can_be_none)
        scores = [
            spans.quality(best[0].text, [each.context[a:b] for a, b in each.answers])[0]
            for best, each in zip(found, given, strict=True)
        ]
        return "f1", float(np.mean(scores))

    return [(each.text, each.context) for each in given], measure


def _chosen(path: Path, _: Pretrained, named: Named) -> Found:
    table = open_table(path, "test")
    rows = [row.values for row in first_rows(table)]
    columns = guess_choices(named.of_choices, rows, str(path))
    read = [question_in(row, columns) for row in table]
    spelling = spelling_of(right for _, right in read)
    numbers = np.array([right.number(spelling) for _, right in read])
    questions = [choice.texts for choice, _ in read]
    options = [choice.options for choice, _ in read]

    def measure(model: Pretrained) -> tuple[str, float]:
        found = [int(each.argmax()) for each in choice_scores(model, questions, options)]
        return "accuracy", metrics.accuracy(np.array(found), numbers)

    return [pair for choice, _ in read for pair in pairs_of(choice)], measure


def _hidden(path: Path, model: Pretrained, named: Named) -> Found:
    """Hide one token in seven of each text, always the same ones."""
    found, _ = pairs_in(path, model, named)
    texts = [part for text in found for part in parts_of(text)]
    limit = min(model.max_length, _LONGEST)
    read = [ids for ids in with_ends(model.tokenizer, texts, "", limit) if len(ids) > _EVERY]
    if not read:
        raise DataError(f"no text of {path} has more than {_EVERY} tokens: give longer ones")
    asked = [ids.copy() for ids in read]
    for ids in asked:
        ids[_EVERY - 1 : -1 : _EVERY] = model.tokenizer.mask_id

    def measure(model: Pretrained) -> tuple[str, float]:
        right = total = 0
        for numbers, batch in batches(model.runs, asked, _BATCH_TOKENS):
            is_hidden = batch.ids == model.tokenizer.mask_id
            truth = torch.cat([torch.from_numpy(read[number]) for number in numbers])
            best: Tensor = scored(model.runs, batch)[is_hidden].argmax(-1)
            right += int((best == truth.to(best.device)[is_hidden]).sum())
            total += int(is_hidden.sum())
        return "accuracy", right / total

    return texts, measure


MEASURES: dict[str, Callable[[Path, Pretrained, Named], Found]] = {
    "none": pairs_in,
    "sequence": _labelled,
    "tokens": _tagged,
    "spans": _asked,
    "choice": _chosen,
    "masked_lm": _hidden,
}
"""How a head is measured, by its kind."""
