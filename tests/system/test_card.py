"""Cards of real models: true numbers, and snippets that run beside the model they stand with."""

import json
import re
import shlex

import pytest

from modernbert.cli.main import main
from modernbert.data.corpus import Corpus
from modernbert.infer.pretrained import Pretrained, load
from modernbert.model.card import CARD, training_in
from modernbert.model.sentence import Sentence
from modernbert.model.sentence_config import LateInteraction, Normalize, SentenceConfig, Splade
from tests.nets import lively
from tests.runs import rows_of, small_corpus, small_run, trained
from tests.unit.infer.test_pretrained import made
from tests.unit.model.test_card import HEADS, blocks


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("run")
    trained(small_run(small_corpus(place)), place / "run")
    return place / "run"


def test_a_run_writes_its_records_into_the_card(run):
    page = (run / "model" / CARD).read_text()
    corpus = Corpus.open(run.parent / "corpus")
    for name, tokens in corpus.token_counts("train").items():
        assert f"| `{name}` | {corpus.document_counts('train')[name]:,} | {tokens:,} |" in page
    steps, told = rows_of(run / "metrics.jsonl"), json.loads((run / "run.json").read_text())
    assert f"{steps[-1]['tokens']:,} tokens in {steps[-1]['step']:,} steps" in page
    for phase in told["config"]["phases"]:
        tokens = sum(s["batch_tokens"] for s in steps if s["phase"] == phase["name"])
        row = f"| `{phase['name']}` | {tokens:,} | {phase['context_length']} | 512 | 0.003 |"
        assert row in page
    assert f"seed {told['config']['seed']}" in page
    assert told["machine"]["processor"] in page
    assert f"torch {told['versions']['torch']}" in page
    measured = [e for e in rows_of(run / "evaluations.jsonl") if e["step"] == steps[-1]["step"]]
    assert {e["source"] for e in measured} == {"books", "code", "all"}
    for each in measured:
        source = each["source"] if each["source"] == "all" else f"`{each['source']}`"
        usual = each["most_frequent_token_accuracy"]
        shown = f"{each['loss']:.3f} | {each['masked_accuracy']:.1%} | {usual:.1%}"
        assert f"| {source} | {shown} | {each['hidden']:,} |" in page
    num = sum(weight.numel() for weight in load(run / "model").parameters())
    assert f"| parameters | {num:,} |" in page


def test_a_copy_tells_the_training_too(run, tmp_path):
    load(run / "model").save(tmp_path / "copy")
    told = training_in(run / "model")
    assert told
    assert told in (tmp_path / "copy" / CARD).read_text()


def test_a_card_follows_the_model_until_it_is_edited(tmp_path):
    model = made()
    model.save(tmp_path)
    assert "fill-mask" in (tmp_path / CARD).read_text()
    model.model.head = None
    model.save(tmp_path)
    assert "feature-extraction" in (tmp_path / CARD).read_text()
    (tmp_path / CARD).write_text("mine")
    model.save(tmp_path)
    assert (tmp_path / CARD).read_text() == "mine"


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADS)
def test_snippets_run_in_the_folder(name, tmp_path, monkeypatch, capsys):
    base = made()
    head = HEADS[name][0]
    Pretrained(lively(base.config, head=head), base.tokenizer).save(tmp_path)
    monkeypatch.chdir(tmp_path)
    page = (tmp_path / CARD).read_text()
    programs = blocks(page, "python")
    assert len(programs) == 2 + ("sentence_transformers" in page)
    for program in programs:
        exec(compile(program, CARD, "exec"), {})
    said = capsys.readouterr().out
    for label in head.labels if head and len(head.labels) > 1 else ():
        assert label in said
    for command in re.findall("^modernbert .*", page, flags=re.MULTILINE):
        with pytest.raises(SystemExit) as caught:
            main(shlex.split(command)[1:])
        assert caught.value.code == 0
        assert capsys.readouterr().out.startswith("[MASK] 1: ")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sparse", "late"])
def test_snippets_of_embedding_models_run(kind, tmp_path, monkeypatch):
    base = made()
    late = LateInteraction(form="MultiVectorEncoder", query_length=16)
    sentence = {
        "sparse": SentenceConfig(max_length=32, steps=(Splade(),), similarity="dot"),
        "late": SentenceConfig(max_length=32, steps=(Normalize(),), late=late),
    }[kind]
    Pretrained(base.model, base.tokenizer, Sentence(sentence)).save(tmp_path)
    monkeypatch.chdir(tmp_path)
    programs = blocks((tmp_path / CARD).read_text(), "python")
    assert len(programs) == 3
    for program in programs:
        exec(compile(program, CARD, "exec"), {})


def test_a_prompt_is_part_of_the_snippets(tmp_path):
    base = made()
    base.sentence.config = SentenceConfig(max_length=32, prompts={"query": "Question: "})
    base.model.head = None
    base.save(tmp_path)
    page = (tmp_path / CARD).read_text()
    assert "prompt='query'" in page
    assert "prompt_name='query'" in page
    assert "| `query` | `Question: ` |" in page
