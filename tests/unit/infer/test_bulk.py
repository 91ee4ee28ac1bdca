import json
import signal

import numpy as np
import pytest
import torch

from modernbert.base.errors import CheckpointError, ConfigError, DataError, MachineError
from modernbert.base.lock import held
from modernbert.data.entry_columns import Keys
from modernbert.infer import bulk_shard
from modernbert.infer.bulk import embed_corpus
from modernbert.infer.bulk_shard import Work, embed_shard
from modernbert.infer.embed_options import EmbedOptions
from modernbert.infer.embeddings import Embeddings, read_facts, read_shard
from modernbert.infer.pretrained import load
from modernbert.model.config import MASKED_LM
from modernbert.model.sentence import Sentence
from modernbert.model.sentence_config import LateInteraction, Normalize, SentenceConfig, Splade
from tests.corpora import texts
from tests.runs import called, started, struck
from tests.sentence_folders import DIM, change, made

TEXTS = [*texts(9, longest=40), "", "long " * 200]


def options(**fields):
    return EmbedOptions(**({"shard_documents": 4, "threads": 1} | fields))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "model"
    made().save(folder)
    return str(folder)


@pytest.fixture(scope="module")
def late(tmp_path_factory):
    folder = tmp_path_factory.mktemp("late") / "model"
    rules = LateInteraction(form="MultiVectorEncoder", skipped_words=(".",))
    late = made(MASKED_LM)
    late.sentence = Sentence(
        SentenceConfig(max_length=64, steps=(Normalize(),), late=rules, similarity="maxsim")
    )
    late.save(folder)
    return str(folder)


@pytest.fixture
def documents(tmp_path):
    return write(tmp_path / "documents.jsonl", TEXTS)


def write(path, many):
    rows = ({"id": f"d{number}", "text": text} for number, text in enumerate(many))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def contents(folder):
    hidden = (path for path in folder.iterdir() if not path.name.startswith("."))
    return {path.name: path.read_bytes() for path in hidden}


def test_vectors_are_those_of_the_model(model, documents, tmp_path):
    facts = embed_corpus(model, [documents], tmp_path / "out", options())
    found = Embeddings(tmp_path / "out")
    shards = list(found)
    assert [len(shard.ids) for shard in shards] == [4, 4, 3]
    assert [name for shard in shards for name in shard.ids] == [f"d{n}" for n in range(11)]
    whole = np.concatenate([shard.vectors() for shard in shards])
    np.testing.assert_allclose(whole, load(model).embed(TEXTS).numpy(), atol=1e-5)
    assert (facts.documents, facts.empty, facts.cut, len(found)) == (11, 1, 1, 11)
    assert facts.tokens == sum(
        json.loads(line)["tokens"]
        for number in range(3)
        for line in (tmp_path / "out" / f"0000{number}.ids.jsonl").read_text().splitlines()
    )


def test_cut_texts_are_counted_and_read_as_the_model_reads_them(model, documents, tmp_path):
    facts = embed_corpus(model, [documents], tmp_path / "out", options(max_length=16))
    opened = load(model)
    opened.sentence.config = SentenceConfig(max_length=16, steps=opened.sentence.config.steps)
    whole = np.concatenate([shard.vectors() for shard in Embeddings(tmp_path / "out")])
    np.testing.assert_allclose(whole, opened.embed(TEXTS).numpy(), atol=1e-5)
    lines = [
        json.loads(line)
        for number in range(3)
        for line in (tmp_path / "out" / f"0000{number}.ids.jsonl").read_text().splitlines()
    ]
    assert facts.cut == sum(line["is_cut"] for line in lines) > 1
    assert max(line["tokens"] for line in lines) == 16


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 2e-3), ("int8", 2e-2)])
def test_smaller_formats_stay_near(model, documents, tmp_path, dtype, tolerance):
    asked = options(dtype=dtype, dimensions=8, shard_documents=100)
    facts = embed_corpus(model, [documents], tmp_path / "out", asked)
    (shard,) = Embeddings(tmp_path / "out")
    truth = load(model).embed(TEXTS).numpy()[:, :8]
    assert (shard.stored.dtype, facts.dimension) == (np.dtype(dtype), 8)
    np.testing.assert_allclose(shard.vectors(), truth, atol=tolerance * np.abs(truth).max())
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "00000.npy"), shard.stored)


def test_late_interaction_gives_rows_a_token(late, tmp_path):
    documents = write(tmp_path / "documents.jsonl", ["the packed batch.", "every token . . place"])
    asked = options(dtype="int8")
    embed_corpus(late, [documents], tmp_path / "out", asked)
    (shard,) = Embeddings(tmp_path / "out")
    texts = ["the packed batch.", "every token . . place"]
    truth = load(late).token_vectors(texts, is_query=False)
    assert shard.lengths.tolist() == [len(each) for each in truth]
    np.testing.assert_allclose(shard.vectors(), torch.cat(truth).numpy(), atol=5e-3)
    with pytest.raises(ConfigError, match="--prompt 'query': this model marks documents by itself"):
        embed_corpus(late, [documents], tmp_path / "other", options(prompt="query"))


def test_the_folders_prompt_for_documents_is_used(tmp_path, documents):
    made().save(tmp_path / "model")
    settings = tmp_path / "model" / "config_sentence_transformers.json"
    change(settings, prompts={"query": "batch: ", "passage": "place: "})
    model = str(tmp_path / "model")
    facts = embed_corpus(model, [documents], tmp_path / "out", options())
    assert facts.prompt == "place: "
    whole = np.concatenate([shard.vectors() for shard in Embeddings(tmp_path / "out")])
    np.testing.assert_allclose(whole, load(model).embed(TEXTS, "passage").numpy(), atol=1e-5)
    assert embed_corpus(model, [documents], tmp_path / "bare", options(prompt="")).prompt == ""


def test_several_inputs_of_several_kinds_follow_each_other(model, tmp_path):
    (tmp_path / "rows.tsv").write_text("name\tbody\na\tthe batch\nb\tthe token\n")
    (tmp_path / "text.txt").write_text("a text of its own")
    keys = Keys(text="body", id="name")
    paths = [tmp_path / "rows.tsv", tmp_path / "text.txt"]
    facts = embed_corpus(model, paths, tmp_path / "out", options(), keys)
    (shard,) = Embeddings(tmp_path / "out")
    assert shard.ids == ("a", "b", "text.txt")
    assert [each.name for each in facts.inputs] == ["rows.tsv", "text.txt"]


@pytest.mark.parametrize("lost", ["00000.npy", "00001.npy", "00002.npy"])
def test_a_missing_shard_is_made_again_byte_for_byte(model, documents, tmp_path, lost):
    out = tmp_path / "out"
    embed_corpus(model, [documents], out, options(dtype="int8"))
    before = contents(out)
    whole = (out / lost).read_bytes()
    (out / lost).write_bytes(whole[:-1])
    embed_corpus(model, [documents], out, options(dtype="int8"))
    assert contents(out) == before
    (out / lost).unlink()
    (out / ".partial-00002.npy").write_text("half")
    embed_corpus(model, [documents], out, options(dtype="int8"))
    assert contents(out) == before
    assert not list(out.glob(".partial-*"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_command_goes_on(model, tmp_path, number):
    documents, out = write(tmp_path / "d.jsonl", texts(600, longest=300)), tmp_path / "out"
    asked = ("--shard-documents", "50", "--threads", "1")
    running = started("embed", model, documents, "--out", out, *asked)
    status, said = struck(running, number, (out / "00001.npy").exists)
    assert status == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[number], said
    assert "Traceback" not in said
    there = len(list(out.glob("[0-9]*.npy")))
    assert 2 <= there < 12
    again = called("embed", model, documents, "--out", out, *asked)
    assert again.returncode == 0, again.stderr
    assert f"{12 - there} of 12 shards to do" in again.stderr
    called("embed", model, documents, "--out", tmp_path / "whole", *asked)
    assert contents(out) == contents(tmp_path / "whole")


@pytest.mark.slow
def test_a_full_disk_is_said_and_leaves_whole_shards(model, tmp_path):
    documents, out = write(tmp_path / "d.jsonl", texts(300, longest=20)), tmp_path / "out"
    asked = ("embed", model, documents, "--out", out, "--threads", "1", "--shard-documents")
    full = called(*asked, "200", limit_bytes=20_000)
    assert full.returncode == 2
    assert f"there is no room: {out / '00000.npy'} was not written" in full.stderr
    assert sorted(contents(out)) == ["embeddings.json"]
    assert called(*asked, "200").returncode == 0


def test_another_model_other_documents_or_other_options_are_refused(model, documents, tmp_path):
    out = tmp_path / "out"
    embed_corpus(model, [documents], out, options())
    made(num_layers=3).save(tmp_path / "other")
    with pytest.raises(CheckpointError, match=f"{out} was begun with another model than .*other"):
        embed_corpus(str(tmp_path / "other"), [documents], out, options())
    more = write(tmp_path / "more.jsonl", [*TEXTS, "one more"])
    with pytest.raises(DataError, match=f"{out} was begun with other documents: give another"):
        embed_corpus(model, [more], out, options())
    for changed, said in (
        ({"dtype": "int8"}, "begun with dtype 'float32', and now it is 'int8': say the same"),
        ({"dimensions": 8}, f"begun with dimension {DIM}, and now it is 8"),
        ({"shard_documents": 5}, "begun with shard_documents 4, and now it is 5"),
        ({"max_length": 99}, "begun with max_length 512, and now it is 99"),
    ):
        with pytest.raises(ConfigError, match=said):
            embed_corpus(model, [documents], out, options(**changed))


def test_what_cannot_be_embedded_is_refused_before_anything_is_written(model, tmp_path):
    out = tmp_path / "out"

    def refused(kind, said, path, **fields):
        with pytest.raises(kind, match=said):
            embed_corpus(model, [path], out, options(**fields))
        assert not list(out.glob("*"))

    twice = tmp_path / "twice.jsonl"
    twice.write_text('{"id": 1, "text": "a"}\n{"id": 2, "text": "b"}\n{"id": "1", "text": "c"}\n')
    refused(DataError, "twice.jsonl, line 3 has the id '1' of .*twice.jsonl, line 1", twice)
    nothing = tmp_path / "nothing.jsonl"
    nothing.write_text("\n")
    refused(DataError, "nothing.jsonl holds no document: give files with texts", nothing)
    refused(DataError, "absent.jsonl does not exist", tmp_path / "absent.jsonl")
    refused(DataError, "line 1 has no 'text' .*name the column", write_row(tmp_path, body="x"))
    refused(DataError, "'text' is not a text", write_row(tmp_path, text=7))
    good = write(tmp_path / "good.jsonl", ["a"])
    refused(ConfigError, "--dimensions is 99: this model's vectors have 32", good, dimensions=99)
    refused(ConfigError, "--max-length is 7: this model reads 8 to 512", good, max_length=7)
    refused(ConfigError, "the model has no prompt 'x'", good, prompt="x")
    assert not out.exists()
    out.mkdir()
    (out / "notes.md").write_text("mine")
    with pytest.raises(ConfigError, match="holds files that are no embeddings: give a new or em"):
        embed_corpus(model, [good], out, options())


def write_row(folder, **row):
    (folder / "row.jsonl").write_text(json.dumps({"id": "a", **row}))
    return folder / "row.jsonl"


def test_sparse_vectors_are_left_to_the_index(tmp_path, documents):
    sparse = made(MASKED_LM)
    sparse.sentence = Sentence(SentenceConfig(max_length=64, steps=(Splade(),)))
    sparse.save(tmp_path / "sparse")
    with pytest.raises(ConfigError, match="vectors are sparse and as wide as its vocabulary"):
        embed_corpus(str(tmp_path / "sparse"), [documents], tmp_path / "out", options())


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_numbers_that_are_none_stop_it(tmp_path, documents, dtype):
    broken = made()
    broken.encoder.final_norm.weight.data.fill_(3e38)
    broken.save(tmp_path / "broken")
    with pytest.raises(DataError, match=f"the document 'd0' is not finite as {dtype}"):
        embed_corpus(str(tmp_path / "broken"), [documents], tmp_path / "out", options(dtype=dtype))
    assert not list((tmp_path / "out").glob("*.npy"))


def test_one_process_writes_at_a_time(model, documents, tmp_path):
    (tmp_path / "out").mkdir()
    with (
        held(tmp_path / "out", "written"),
        pytest.raises(ConfigError, match="out is being written by process"),
    ):
        embed_corpus(model, [documents], tmp_path / "out", options())


def test_options_without_sense_are_refused():
    for fields, said in (
        ({"shard_documents": 0}, "--shard-documents is 0: give 1 or more"),
        ({"threads": -1}, "--dimensions, --max-length, --workers and --threads cannot be negative"),
        ({"workers": 2}, "--workers is for --engine ray: leave it out, or say --threads"),
    ):
        with pytest.raises(ConfigError, match=said):
            EmbedOptions(**fields)


def test_folders_that_are_not_whole_are_refused(model, documents, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(DataError, match=r"has no embeddings.json: make it with `modernbert embed`"):
        Embeddings(tmp_path)
    embed_corpus(model, [documents], out, options())
    (out / "00001.npy").write_text("no array")
    with pytest.raises(DataError, match=r"00001.npy cannot be read .*remove the shard's .npy"):
        list(Embeddings(out))
    (out / "00000.ids.jsonl").write_text("{")
    with pytest.raises(DataError, match=r"00000.ids.jsonl cannot be read .*remove the shard's"):
        read_shard(out, 0)
    change(out / "embeddings.json", is_finished=False)
    with pytest.raises(DataError, match="out is not finished: repeat the command that began it"):
        Embeddings(out)
    for keys, said in (
        ({"format": 2}, "has format 2, this version reads format 1: embed anew"),
        ({"format": 1, "dtype": "int3"}, "embeddings.json cannot be read .*embed anew"),
    ):
        change(out / "embeddings.json", **keys)
        with pytest.raises(DataError, match=said):
            read_facts(out)
    (out / "embeddings.json").write_text("[]")
    with pytest.raises(DataError, match=r"embeddings.json cannot be read .*embed anew"):
        read_facts(out)


def test_workers_refuse_what_is_not_the_same_everywhere(model, documents, tmp_path):
    out = tmp_path / "out"
    embed_corpus(model, [documents], out, options())
    with pytest.raises(MachineError, match="absent is not there on one of the machines"):
        embed_shard(Work(model, str(tmp_path / "absent"), "cpu", 1), 0, [])
    made(num_layers=3).save(tmp_path / "other")
    bulk_shard._opened.cache_clear()
    with pytest.raises(CheckpointError, match="other is another model on one of the machines"):
        embed_shard(Work(str(tmp_path / "other"), str(out), "cpu", 1), 0, [])
