"""Lines through a model's vectors: fitted as others fit them, and nothing is trained by them."""

import dataclasses
import json

import pytest
import torch
from sklearn.linear_model import Ridge

from modernbert.base.device import Autocast
from modernbert.base.errors import DataError
from modernbert.model.init import build
from modernbert.train import run as runs
from modernbert.train.description import config_of
from modernbert.train.loop import train
from modernbert.train.probing import _line, _scores, probed, read_probe, read_probes
from tests.corpora import WORDS, make_corpus, tokenizer
from tests.nets import config_of as net_of
from tests.runs import outcome, rows_of, shortened, small_run, trained

PLAIN = Autocast(torch.device("cpu"), "float32")


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def told_by_words(number):
    """Texts whose label is which half of the words they are made of."""
    chance = torch.Generator().manual_seed(5)
    half = len(WORDS) // 2
    for n in range(number):
        places = torch.randint(half, (6,), generator=chance) + half * (n % 2)
        yield {"text": " ".join(WORDS[place] for place in places), "label": ("one", "two")[n % 2]}


def told_by_nothing(number):
    return [row | {"label": "ab"[n // 2 % 2]} for n, row in enumerate(told_by_words(number))]


def test_a_line_is_ridge_regression():
    vectors = torch.randn(50, 7, generator=torch.Generator().manual_seed(1)).double() * 3 + 1
    labels = torch.arange(50) % 3
    line = _line(vectors, labels)
    x = ((vectors - vectors.mean(0)) / vectors.std(0)).numpy()
    marks = torch.nn.functional.one_hot(labels).double().numpy()
    theirs = Ridge(alpha=0.1 * 50).fit(x, marks).predict(x)
    torch.testing.assert_close(_scores(vectors, line), torch.from_numpy(theirs))


def test_what_words_tell_is_found_and_what_they_do_not_is_not(tmp_path):
    tokens = tokenizer()
    model = build(net_of(vocab_size=tokens.vocab_size), 0)
    told = read_probe(write(tmp_path / "told.jsonl", told_by_words(300)), tokens)
    found = probed(model, [told], PLAIN)[0]
    assert found.probe == "told"
    assert found.accuracy > 0.95
    assert 0.35 < found.most_frequent_label_accuracy < 0.65
    assert found.measured == sum(told.is_measured)
    assert 60 < found.measured < 140
    untold = read_probe(write(tmp_path / "untold.jsonl", told_by_nothing(300)), tokens)
    assert probed(model, [untold], PLAIN)[0].accuracy < 0.7


def test_a_model_is_as_it_was_and_a_probe_says_the_same_twice(tmp_path):
    tokens = tokenizer()
    model = build(net_of(vocab_size=tokens.vocab_size, attention_out_dropout=0.5), 0).train()
    probe = read_probe(write(tmp_path / "told.jsonl", told_by_words(60)), tokens)
    before = torch.get_rng_state()
    assert probed(model, [probe], PLAIN) == probed(model, [probe], PLAIN)
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training
    assert all(weight.grad is None for weight in model.parameters())


def test_probes_change_nothing_that_is_trained(finished, tmp_path):
    place = write(tmp_path / "told.jsonl", told_by_words(60))
    config = dataclasses.replace(config_of(finished.folder), probes=(str(place),))
    run = runs.create(config, tmp_path / "run")
    assert train(run)
    run.finish()
    run.close()
    assert outcome(run.folder) == outcome(finished.folder)
    rows = rows_of(run.folder / "probes.jsonl")
    evaluated = {row["step"] for row in rows_of(run.folder / "evaluations.jsonl")}
    assert {row["step"] for row in rows} == evaluated
    assert config_of(run.folder).probes == (str(place),)


def test_a_suite_made_of_held_out_text_is_probed_in_one_go(tmp_path):
    corpus = make_corpus(tmp_path, {"books": 90, "code": 90}, heldout_fraction=0.5)
    config = dataclasses.replace(
        shortened(small_run(corpus.folder), 2600), probes=("suite",), evaluate_tokens=0
    )
    run = trained(config, tmp_path / "run")
    rows = rows_of(run.folder / "probes.jsonl")
    assert [row["probe"] for row in rows[:3]] == ["source", "length", "order"]
    length = rows[1]
    assert length["accuracy"] > length["most_frequent_label_accuracy"] + 0.2
    assert config_of(run.folder).probes == ("suite",)


def test_a_text_of_two_probes_is_embedded_once(tmp_path):
    tokens = tokenizer()
    model = build(net_of(vocab_size=tokens.vocab_size), 0)
    probe = read_probe(write(tmp_path / "told.jsonl", told_by_words(60)), tokens)
    other = dataclasses.replace(probe, name="other", labels=tuple(1 - n for n in probe.labels))
    seen = []
    model.encoder.register_forward_hook(lambda _, given, __: seen.append(len(given[0].ids)))
    both = probed(model, [probe, other], PLAIN)
    assert sum(seen) == sum(map(len, probe.ids))
    assert [each.accuracy for each in both] == [probed(model, [probe], PLAIN)[0].accuracy] * 2


def test_probes_that_are_not_there_name_the_suite(corpus):
    with pytest.raises(DataError, match="no probes sute: give a file of labelled texts, or suite"):
        read_probes(("sute",), corpus)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"text": "a b"}] * 5, "has no column of labels: a probe needs texts with a label each"),
        (
            [{"text": "a", "label": "x"}, {"text": "a", "label": "y"}],
            "has 2 rows, too few for a probe",
        ),
        ([{"text": "a", "label": "x"}] * 9, "there is nothing to tell apart"),
    ],
)
def test_what_gives_no_line_is_refused(tmp_path, rows, message):
    with pytest.raises(DataError, match=message):
        read_probe(write(tmp_path / "rows.jsonl", rows), tokenizer())
