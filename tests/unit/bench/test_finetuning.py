import dataclasses
import json
import re
from functools import partial

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from modernbert.base.errors import ConfigError, DataError, MachineError
from modernbert.bench.cases import FinetuningCase
from modernbert.bench.finetuning import _Side, measure, ours, theirs
from modernbert.bench.jobs import given, tags_score
from modernbert.bench.trainer import HABITS, features
from modernbert.bench.worker import Worker
from modernbert.cli.main import run
from modernbert.infer.pretrained import Pretrained
from modernbert.model.init import build
from modernbert.train.tuning import Start, create
from tests.architecture.source import ROOT
from tests.corpora import tokenizer
from tests.nets import config_of

LABELLED = [
    {"first": f"{word} batch " * (n % 3 + 1), "second": "every token", "label": word}
    for n, word in enumerate(("packed", "every", "packed", "token") * 3)
]
ASKED = [
    {"context": text, "question": "which token?", "answers": {"text": [right], "answer_start": []}}
    for text, right in (("a packed batch", "packed"), ("every token of the batch " * 6, "every"))
] * 4
CONLL = "every\tO\nplace\tB-X\n\nthe\tO\npacked\tO\nbatch\tI-X\n\n" * 5
COLUMNS = {"text": "first", "pair": "second"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a model, and files to learn from."""
    made, tokens = tmp_path_factory.mktemp("finetuning"), tokenizer()
    ids = {"pad_id": tokens.pad_id, "cls_id": tokens.cls_id, "sep_id": tokens.sep_id}
    config = config_of(vocab_size=tokens.vocab_size, max_length=64, **ids)
    Pretrained(build(config, 0), tokens).save(made / "model")
    lines = "".join(json.dumps(row) + "\n" for row in LABELLED)
    (made / "train.jsonl").write_text(lines)
    (made / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ASKED))
    (made / "train.conll").write_text(CONLL)
    return made


def case_of(place, task, **fields):
    files = {"classify": "train.jsonl", "tokens": "train.conll", "spans": "asked.jsonl"}
    name, more = files[task], COLUMNS if task == "classify" else {}
    path = str(place / name)
    length = 24 if task == "spans" else 12
    usual = {"epochs": 2, "batch_size": 5, "max_length": length, "seeds": 2}
    return FinetuningCase(task=task, train=path, dev=path, **(usual | more | fields))


@pytest.mark.parametrize("task", ["classify", "tokens"])
def test_both_sides_read_the_same_tokens(place, tmp_path, task):
    found = given(case_of(place, task), place / "model", 0, tmp_path)
    job = found.job
    read = create(job.config, found.start, tmp_path / "again").data.train.examples
    same = [read.ids(number).tolist() for number in range(len(read))]
    their_tokenizer = AutoTokenizer.from_pretrained(place / "model")
    if task == "tokens":
        with_blanks = HABITS["transformers with blanks"]
        rows = features(
            their_tokenizer,
            job.examples.train,
            dataclasses.replace(job, habits=with_blanks),
        )
        assert [row["input_ids"] for row in rows] == same
        bare = features(their_tokenizer, job.examples.train, job)
        assert sum(len(row["input_ids"]) for row in bare) != sum(map(len, same))
        labels = [[number for number in row["labels"] if number >= 0] for row in bare]
        assert labels == [each.tags for each in job.examples.train]
    else:
        texts = [(row["first"], row["second"]) for row in LABELLED]
        theirs_ids = their_tokenizer(*zip(*texts, strict=True), truncation=True, max_length=12)[
            "input_ids"
        ]
        assert [each.ids for each in job.examples.train] == same == theirs_ids
        assert max(map(len, same)) == 12


def test_trainer_is_given_where_answers_are(place, tmp_path):
    found = given(case_of(place, "spans"), place / "model", 0, tmp_path)
    job = found.job
    read = create(job.config, found.start, tmp_path / "again").data.train
    rows = features(None, job.examples.train, job)
    assert [row["input_ids"] for row in rows] == [each.ids.tolist() for each in read.task.windows]
    tokens = tokenizer()
    for row in rows:
        first, last = row["start_positions"], row["end_positions"]
        said = tokens.decode(row["input_ids"][first : last + 1]).strip() if first else ""
        assert said in ("packed", "every", "")
        assert bool(said) == (first > 0)
    assert len(rows) > len(ASKED), "a text is longer than a window"
    assert {row["start_positions"] > 0 for row in rows} == {True, False}


def test_answers_are_known_by_their_ids_in_any_order(place, tmp_path):
    examples = given(case_of(place, "spans"), place / "model", 0, tmp_path).job.examples
    longest = max(len(each.ids) for each in examples.dev)
    width = longest + 2
    ids = np.full((len(examples.dev), width), -100)
    begins, ends = np.zeros((2, *ids.shape), dtype=np.float32)
    for row, each in enumerate(reversed(examples.dev)):
        ids[row, : len(each.ids)] = each.ids
        ids[row, len(each.ids) : longest] = tokenizer().pad_id
        begins[row, each.first] = ends[row, each.last] = 9
    assert examples.score((begins, ends), ids) == 1
    assert examples.score((begins[::-1].copy(), ends[::-1].copy()), ids) < 1


@pytest.mark.slow
@pytest.mark.parametrize("task", ["classify", "tokens", "spans"])
def test_every_side_sees_every_example_each_epoch(place, tmp_path, task):
    found = given(case_of(place, task), place / "model", 0, tmp_path)
    count = len(found.job.examples.train)
    name = "transformers grouped with blanks" if task == "tokens" else "transformers grouped"
    job = dataclasses.replace(found.job, out=tmp_path / "theirs", habits=HABITS[name])
    makes = (partial(ours, job.config, found.start, tmp_path / "ours"), partial(theirs, job))
    for make in makes:
        with Worker(make, threads=1) as worker:
            tuned = worker.ask("run")
        assert sum(tuned.steps.tokens) == 2 * sum(found.lengths)
        assert sum(tuned.steps.examples) == 2 * count
        assert len(tuned.steps.seconds) == len(tuned.steps.tokens) == 2 * -(-count // 5)
        assert len(tuned.scores) == 2
        assert tuned.epoch_seconds > 0


@pytest.mark.slow
def test_the_command_appends_a_row_with_the_documented_fields(place, tmp_path):
    files = ["--train", place / "train.jsonl", "--text", "first", "--pair", "second"]
    sizes = ["--epochs", "1", "--seeds", "2", "--sides", "transformers", "--out", tmp_path]
    arguments = ["bench", "finetuning", place / "model", *files, *sizes]
    assert run([str(each) for each in arguments]) == 0
    row = json.loads((tmp_path / "finetuning.jsonl").read_text())
    assert set(row["sides"]) == {"modernbert", "transformers"}
    assert row["sides"]["modernbert"]["ours_is_faster"] == 1
    assert 0 < row["sides"]["transformers"]["real_share"] < 1
    assert row["sides"]["transformers"]["epoch_tokens"] == row["tokens"]
    assert (row["examples"], row["dev_examples"]) == (11, 1)
    page = (ROOT / "docs" / "reference" / "formats.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([^`\n]+)`", page.partition("`modernbert bench finetuning`")[2]))
    assert row.keys() - named == row["sides"]["transformers"].keys() - named == set()


@pytest.mark.slow
def test_a_side_that_fails_is_left_out_with_its_reason(place, tmp_path):
    found = given(case_of(place, "classify"), place / "model", 0, tmp_path)
    lost = dataclasses.replace(found.job, start=tmp_path / "absent")
    broken = dataclasses.replace(found, job=lost)
    side = _Side("transformers", 0, lambda _: broken, tmp_path)
    assert side() is None
    assert side.facts(side).keys() == {"failed"}
    lost_too = dataclasses.replace(found, start=Start("classify", str(tmp_path / "absent")))
    with pytest.raises(MachineError, match="modernbert failed while it was timed: DataError"):
        _Side("modernbert", 0, lambda _: lost_too, tmp_path)()


def test_padding_and_later_pieces_of_words_are_not_scored():
    scores = torch.eye(3)[torch.tensor([[0, 1, 2, 0], [0, 1, 0, 0]])].numpy()
    right = torch.tensor([[-100, 1, 2, -100], [0, 1, -100, -100]]).numpy()
    assert tags_score(("O", "B-X", "I-X"), scores, right) == 1
    right[1, 0] = 1
    assert 0 < tags_score(("O", "B-X", "I-X"), scores, right) < 1


def test_what_cannot_be_compared_is_refused(place, tmp_path):
    with pytest.raises(ConfigError, match="seeds is 1: a spread needs 2 or more"):
        case_of(place, "classify", seeds=1)
    unknown = case_of(place, "classify", sides=("transformer",))
    with pytest.raises(ConfigError, match="'transformer' for classify: did you mean transformers"):
        measure(place / "model", unknown)
    with pytest.raises(ConfigError, match="'transformers with blanks' for classify"):
        measure(place / "model", case_of(place, "classify", sides=("transformers with blanks",)))
    span = {"text": "a packed batch", "spans": [{"start": 2, "end": 8, "label": "X"}]}
    path = tmp_path / "spans.jsonl"
    path.write_text((json.dumps(span) + "\n") * 4)
    case = FinetuningCase(task="tokens", train=str(path), dev=str(path))
    with pytest.raises(DataError, match="is a text with spans, and Trainer is given words"):
        given(case, place / "model", 0, tmp_path)
