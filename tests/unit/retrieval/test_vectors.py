from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import modernbert
from modernbert.base.errors import ConfigError
from modernbert.model.sentence import Sentence
from modernbert.model.sentence_config import Pool, SentenceConfig
from modernbert.retrieval.index import Index
from modernbert.retrieval.index_files import Reading
from modernbert.retrieval.lexical import words_of
from modernbert.retrieval.options import IndexOptions, SearchOptions
from modernbert.retrieval.vectors import cuts, encode_documents, settled
from tests.corpora import texts
from tests.indexes import entries, make_index, queries, write_model
from tests.sentence_folders import change, made

TEXTS = [*texts(6, 3, 30), "  a  gap", "x"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return modernbert.load(write_model(tmp_path_factory.mktemp("model")))


def read(model, **fields):
    how = settled(model, Reading(**fields))
    return encode_documents(model, TEXTS, how)[0]


@pytest.mark.parametrize("prompt", ["", "batch: "])
def test_a_late_chunk_of_everything_is_the_whole_document(tmp_path, prompt):
    folder = write_model(tmp_path / "model")
    settings = tmp_path / "model" / "config_sentence_transformers.json"
    change(settings, prompts={"query": "", "document": prompt})
    model = modernbert.load(folder)
    whole = read(model, long="whole")
    chunked = read(model, long="late-chunks", chunk_tokens=64)
    np.testing.assert_allclose(chunked.vectors, whole.vectors, rtol=1e-4, atol=1e-5)
    assert chunked.counts.tolist() == [1] * len(TEXTS)


def test_late_chunks_are_means_of_tokens_that_saw_the_whole(model):
    chunked = read(model, long="late-chunks", chunk_tokens=7)
    at = 0
    for text, count in zip(TEXTS, chunked.counts.tolist(), strict=True):
        ids = model.tokenizer.encode_texts([text])[0][:62].tolist()
        batch = modernbert.pack([[model.tokenizer.cls_id, *ids, model.tokenizer.sep_id]])
        with torch.no_grad():
            x = model.encoder(batch)
        places = model.tokenizer.encode_with_offsets([text])[0][1][:62]
        ends = cuts(places, 7)
        assert len(ends) == count
        borders = [0, *(end + 1 for end in ends[:-1]), len(x)]
        means = [x[a:b].mean(0) for a, b in pairwise(borders)]
        truth = F.normalize(torch.stack(means), dim=-1)
        np.testing.assert_allclose(chunked.vectors[at : at + count], truth, rtol=1e-3, atol=1e-5)
        at += count


def test_plain_chunks_are_texts_of_their_own(model):
    chunked = read(model, long="chunks", chunk_tokens=9)
    owners = np.repeat(np.arange(len(TEXTS)), chunked.counts)
    parts = [TEXTS[n][a:b] for n, (a, b) in zip(owners, chunked.spans, strict=True)]
    truth = F.normalize(model.embed(parts), dim=-1)
    np.testing.assert_allclose(chunked.vectors, truth, rtol=1e-4, atol=1e-5)
    for number, text in enumerate(TEXTS):
        rows = chunked.spans[owners == number]
        assert text.split() == " ".join(text[a:b] for a, b in rows).split()


def test_chunks_end_between_words_where_they_can():
    gaps = np.array([[0, 2], [2, 4], [5, 7], [7, 9], [9, 11], [11, 13], [13, 15]])
    assert cuts(gaps, 7) == [7]
    assert cuts(gaps, 3) == [2, 5, 7]
    assert cuts(gaps[:0], 3) == []


@pytest.mark.parametrize("long", ["late-chunks", "chunks"])
def test_a_documents_score_is_its_best_chunks_and_so_is_its_passage(tmp_path, long):
    index = make_index(tmp_path, "dense", entries(20), long=long, chunk_tokens=6)
    how = SearchOptions(mode="dense", number=20)
    vectors = read(index.model, long=long, chunk_tokens=6).vectors
    assert index.facts.num_vectors > 2 * len(index)
    asked = F.normalize(index.model.embed(queries()[:1]), dim=-1).numpy()[0]
    hits = index.search(queries()[:1], how)[0]
    how_read = index.facts.reading
    for hit in hits:
        entry = next(each for each in entries(20) if each.id == hit.id)
        encoded = encode_documents(index.model, [entry.whole], how_read)[0]
        scores = encoded.vectors @ asked
        assert hit.score == pytest.approx(scores.max(), abs=1e-4)
        start, end = encoded.spans[scores.argmax()] - len(entry.title) - 1
        inside = max(0, start) <= hit.snippet.start <= hit.snippet.end <= max(0, end)
        shared = {*words_of(queries()[0])} & {*words_of(entry.text[max(0, start) : max(0, end)])}
        assert inside or not shared
        assert hit.snippet.text == entry.text[hit.snippet.start : hit.snippet.end]
    assert len(vectors)


def test_what_a_model_cannot_read_so_is_refused(tmp_path):
    sparse, late = (write_model(tmp_path / kind, kind) for kind in ("sparse", "late"))
    dense = write_model(tmp_path / "dense")
    refused = [
        (sparse, {"long": "chunks"}, "--long chunks needs a model with one vector a text"),
        (late, {"long": "late-chunks"}, "this one's are late: leave it out"),
        (sparse, {"compress": ("int8",)}, "are sparse cannot be compressed so: leave --comp"),
        (dense, {"compress": ("pool:2",)}, "are dense cannot be compressed so"),
        (dense, {"max_length": 7}, "--max-length is 7: this model reads 8 to 512 tokens"),
    ]
    for name, options, pattern in refused:
        with pytest.raises(ConfigError, match=pattern):
            Index.create(tmp_path / "index", name, entries(2), IndexOptions(**options))


def test_late_chunks_need_means_and_a_plain_prompt(tmp_path):
    how = Reading(long="late-chunks")
    first = made()
    first.sentence = Sentence(SentenceConfig(max_length=64, steps=(Pool(("cls",)),)))
    with pytest.raises(ConfigError, match="and this model takes cls: say --long chunks"):
        settled(first, how)
    for prompt, steps in (("[MASK] ", (Pool(),)), ("a: ", (Pool(includes_prompt=False),))):
        config = SentenceConfig(max_length=64, steps=steps, prompts={"document": prompt})
        model = made()
        model.sentence = Sentence(config)
        with pytest.raises(ConfigError, match="need a prompt that is read like the text"):
            settled(model, how)


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        ({"compress": ("int4",)}, "--compress int4 is unknown: give float16, int8, or pool:2 to"),
        ({"compress": ("pool:1",)}, "--compress pool:1 is unknown"),
        ({"chunk_tokens": -1}, "--chunk-tokens, --max-length and --approximate-above cannot be"),
        ({"chunk_tokens": 8}, "divides documents that are read whole: say --long chunks or late"),
        ({"long": "chunk"}, "--long is 'chunk': did you mean chunks?"),
        ({"compress": ("int8", "float16")}, "--compress int8 float16 names one thing twice"),
        ({"compress": ("pool:2", "int8", "pool:3")}, "names one thing twice: give float16 or int8"),
    ],
)
def test_options_without_sense_are_refused(options, pattern):
    with pytest.raises(ConfigError, match=pattern):
        IndexOptions(**options)


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        ({"number": 0}, "--number is 0: give 1 or more"),
        ({"rerank": -1}, "--rerank is -1: give 1 or more"),
        ({"rerank_by": "sum"}, "--rerank-by sum adds a model's score: name --reranker"),
        ({"rerank_by": "sums"}, "--rerank-by is 'sums': did you mean sum?"),
        ({"rerank": 5}, "--rerank says how much a model reads, and there is none: name --reranker"),
        ({"reranker": "x", "number": 51}, "--rerank is 50 and --number 51: let it read as many"),
        ({"mode": "vectors"}, "--mode is 'vectors': did you mean words?"),
        ({"exact": True, "approximate": True}, "contradict each other: leave one out"),
        ({"reranker": "x", "rerank": 5}, "--rerank is 5 and --number 10: let it read as many as"),
        ({"mode": "words", "approximate": True}, "--mode words compares no vectors: leave --ex"),
    ],
)
def test_ways_of_searching_without_sense_are_refused(options, pattern):
    with pytest.raises(ConfigError, match=pattern):
        SearchOptions(**options)
