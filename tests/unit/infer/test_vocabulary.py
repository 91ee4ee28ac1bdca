import pytest
import torch

from modernbert.base.errors import ConfigError
from modernbert.batch import pack
from modernbert.data.train_tokenizer import train
from modernbert.infer.pretrained import load
from modernbert.infer.vocabulary import swap_vocabulary
from modernbert.model.sentence import Sentence
from modernbert.model.sentence_config import LateInteraction, Pool, SentenceConfig
from tests.corpora import texts, tokenizer
from tests.unit.data.test_vocabulary import permuted
from tests.unit.infer.test_pretrained import made


def test_a_permuted_tokenizer_changes_nothing_but_the_order(tmp_path):
    model = made()
    new, origin = permuted(tokenizer())
    swapped, found = swap_vocabulary(model, new)
    swapped.save(tmp_path / "model")
    again = load(tmp_path / "model")
    text = "every packed batch keeps a token"
    order = [origin[token] for token in range(new.vocab_size)]
    before = model(pack([tokenizer().encode(text).tolist()]))
    after = again(pack([new.encode(text).tolist()]))
    assert torch.equal(after, before[:, order])
    assert found.num_fresh == found.num_averaged == 0
    assert (again.config.pad_id, again.config.sep_id) == (new.pad_id, new.sep_id)


def test_the_table_is_filled_up_to_a_multiple_of_64():
    bare = train(iter(texts(40)), 384)
    inner = bare._inner
    inner.add_tokens(["one more"])
    swapped, _ = swap_vocabulary(made(), type(bare)(inner))
    assert swapped.config.vocab_size == 448
    assert swapped.tokenizer.vocab_size == 385


def test_how_texts_become_vectors_stays():
    model = made()
    told = SentenceConfig(max_length=20, steps=(Pool(("cls",)),), prompts={"query": "every "})
    model.sentence = Sentence(told)
    new, _ = permuted(tokenizer())
    swapped, _ = swap_vocabulary(model, new)
    asked = (["the batch", "a place"], "query")
    torch.testing.assert_close(swapped.embed(*asked), model.embed(*asked))


@pytest.mark.parametrize("is_late", [True, False])
def test_marks_of_queries_and_documents_are_not_lost(is_late, tmp_path):
    model = made()
    late = LateInteraction(form="ColBERT", query_prefix="[Q] ", document_prefix="[D] ")
    marks = {"query": "[Q] ", "document": "[D] "}
    config = SentenceConfig(max_length=64, steps=(), late=late if is_late else None, prompts=marks)
    model.sentence = Sentence(config)
    model.tokenizer._inner.add_tokens([*marks.values()])
    new, _ = permuted(tokenizer())
    if not is_late:
        assert swap_vocabulary(model, new)[0].sentence.config == config
        return
    with pytest.raises(
        ConfigError, match=r"by tokens such as '\[Q\] ', and the other tokenizer has"
    ):
        swap_vocabulary(model, new)
    new._inner.add_tokens([*marks.values()])
    assert swap_vocabulary(model, new)[0].sentence.config == config
