import pytest
import torch

from modernbert.base.errors import ConfigError, DataError
from modernbert.batch import Layout
from modernbert.infer import embed
from modernbert.infer.reading import kept, prompt_named, with_ends
from modernbert.model.sentence import Sentence
from modernbert.model.sentence_config import (
    Expansion,
    LateInteraction,
    Normalize,
    SentenceConfig,
)
from tests.corpora import texts, tokenizer
from tests.sentence_folders import made

MANY = [text[:400] for text in texts(9, seed=3)]


@pytest.fixture(scope="module")
def model():
    return made()


def late(model, **fields) -> SentenceConfig:
    rules = LateInteraction(form="MultiVectorEncoder", **fields)
    return SentenceConfig(max_length=64, steps=(Normalize(),), late=rules)


def test_batches_change_no_vector(model, monkeypatch):
    whole = model.embed(MANY)
    assert whole.shape == (9, 32)
    assert whole.dtype == torch.float32
    monkeypatch.setattr(embed, "BATCH_TOKENS", 100)
    torch.testing.assert_close(model.embed(MANY), whole, rtol=1e-4, atol=1e-5)
    assert torch.equal(model.embed(MANY[::-1]).flip(0), model.embed(MANY))


def test_a_vector_is_the_mean_of_a_text_s_tokens(model):
    (ids,) = with_ends(model.tokenizer, [MANY[0]], "", 512)
    from modernbert.batch import pack

    with torch.no_grad():
        expected = model.encoder(pack([ids.tolist()])).mean(0)
    torch.testing.assert_close(model.embed([MANY[0]])[0], expected)
    assert not model.embed([MANY[0]]).requires_grad


def test_bfloat16_gives_float32_vectors_near_by():
    model = made()
    exact = model.embed(MANY)
    found = model.to(torch.bfloat16).embed(MANY)
    assert found.dtype == torch.float32
    assert torch.cosine_similarity(found, exact).min() > 0.99


def test_lengths_in_bfloat16_are_one():
    config = SentenceConfig(max_length=64, steps=(Normalize(),))
    x = torch.randn(500, 384, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    found = Sentence(config)(x, Layout.of([500]))
    assert found.dtype == torch.float32
    assert (found.float().norm(dim=1) - 1).abs().max() < 1e-3


@pytest.mark.parametrize(
    ("given", "error", "sentence"),
    [
        ("one text", DataError, "texts is a single text: give a list of texts"),
        ([], DataError, "there is no text to read: give at least one"),
        (["a", None], DataError, "text 1 is of type NoneType: give texts"),
        (["a", "\udcff"], DataError, "the text is no Unicode at character 0: give it in UTF-8"),
    ],
)
def test_what_is_no_list_of_texts_is_refused(model, given, error, sentence):
    with pytest.raises(error) as caught:
        model.embed(given)
    assert str(caught.value) == sentence


def test_a_prompt_that_is_not_there_is_named(model):
    with pytest.raises(ConfigError) as caught:
        model.embed(["a"], prompt="search")
    assert str(caught.value) == "the model has no prompt 'search': known are query, document"
    told = SentenceConfig(max_length=9, prompts={"title": "t: "}, default_prompt="title")
    assert [prompt_named(told, name) for name in (None, "", "query")] == ["t: ", "", ""]


def test_each_kind_of_vector_has_its_method(model):
    with pytest.raises(ConfigError, match="this model gives each text one vector: use embed"):
        model.token_vectors(["a"], is_query=True)
    model = made()
    model.sentence = Sentence(late(model))
    with pytest.raises(ConfigError, match="gives each token a vector: use token_vectors"):
        model.embed(["a"])


def test_special_tokens_of_a_prompt_are_tokens_and_those_of_a_text_are_not():
    tokens = tokenizer()
    (ids,) = tokens.encode_texts(["the [SEP]"], "[MASK] every ")
    assert ids[0] == tokens.mask_id
    assert tokens.sep_id not in ids
    assert tokens.decode(ids) == " every the [SEP]"
    assert tokens.encode_texts(["the"])[0].tolist() == tokens.encode("the").tolist()[1:-1]


def test_words_are_skipped_on_the_side_that_asks(model):
    ids = with_ends(model.tokenizer, ["the batch, the place!"], "", 64)[0]
    rules = late(model, skipped_words=(",", "no token"), skipped_in=("query",)).late
    comma = ids.tolist().index(model.tokenizer.id_of(","))
    everywhere = list(range(len(ids)))
    assert kept(model.tokenizer, rules, ids, is_query=False) == everywhere
    assert kept(model.tokenizer, rules, ids, is_query=True) == [
        place for place in everywhere if place != comma
    ]


def test_a_filler_that_is_no_token_is_refused():
    model = made()
    model.sentence = Sentence(late(model, expansion=Expansion(token="[FILL]")))
    sentence = r"filled up with '\[FILL\]', which the tokenizer does not have"
    with pytest.raises(ConfigError, match=sentence):
        model.token_vectors(["a"], is_query=True)
    assert len(model.token_vectors(["a"], is_query=False)[0]) == 3


def test_what_fills_up_moves_no_other_token_unless_it_is_read():
    model = made()
    plain, unread, read = (
        Sentence(late(model, expansion=expansion))
        for expansion in (None, Expansion(length=40), Expansion(length=40, is_attended=True))
    )
    found = []
    for model.sentence in (plain, unread, read):
        found.append(model.token_vectors(["the batch keeps"], is_query=True)[0])
    count = len(found[0])
    assert [len(x) for x in found[1:]] == [40, 40]
    torch.testing.assert_close(found[1][:count], found[0])
    assert (found[2][:count] - found[0]).abs().max() > 0.01
    assert (found[1][count:] - found[2][count:]).abs().max() > 0.01
