import pytest
import torch

from modernbert.base.errors import ConfigError
from modernbert.batch import pack
from modernbert.model import folder
from modernbert.model.config import HeadConfig
from modernbert.model.vocabulary import means, resize, swap
from tests.nets import batch_of, config_of, documents_of, lively

VOCAB = 96


def test_means_are_the_plain_ones():
    old = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    sources = [(3,), (), (0, 6, 6), (1, 2)]
    found = means(old, sources)
    for row, ids in zip(found, sources, strict=True):
        right = sum((old[i] for i in ids), torch.zeros(5)) / max(len(ids), 1)
        torch.testing.assert_close(row, right)


@pytest.mark.parametrize("fields", [{}, {"tie_embeddings": False}, {"decoder_bias": False}])
def test_permuted_ids_permute_the_logits(fields):
    model = lively(config_of(**fields)).eval()
    order = torch.randperm(VOCAB, generator=torch.Generator().manual_seed(0)).tolist()
    place = {old: new for new, old in enumerate(order)}
    new = swap(
        model, [(old,) for old in order], 128, pad_id=place[0], cls_id=place[1], sep_id=place[2]
    )
    documents = documents_of([70, 9])
    moved = pack([[place[i] for i in ids] for ids in documents])
    assert torch.equal(new(moved)[:, :VOCAB], model(pack(documents))[:, order])
    assert (new.config.vocab_size, new.config.cls_id) == (128, place[1])


@pytest.mark.parametrize("head", [HeadConfig(), HeadConfig(kind="tokens", labels=("a", "b")), None])
def test_a_larger_vocabulary_leaves_old_logits_as_they_were(head):
    model = lively(config_of(), head=head).eval()
    before = model(batch_of([50, 4]))
    after = resize(model, 160)(batch_of([50, 4]))
    torch.testing.assert_close(after[:, : before.shape[1]], before)
    assert torch.equal(resize(resize(model, 160), VOCAB)(batch_of([50, 4])), before)


def test_new_rows_are_like_old_ones_and_never_likely():
    model = lively(config_of())
    new = resize(model, 4096)
    table, rows = (each.encoder.embeddings.tok_embeddings.weight for each in (model, new))
    assert torch.allclose(rows[VOCAB:].mean(0), table.mean(0), atol=4 * 0.18 / 4000**0.5)
    assert torch.allclose(rows[VOCAB:].std(0), table.std(0), rtol=0.1)
    bias = new.head.decoder.bias
    assert (bias[VOCAB:] == model.head.decoder.bias.min()).all()
    assert new.head.decoder.weight is rows or torch.equal(new.head.decoder.weight, rows)
    again = resize(model, 4096).encoder.embeddings.tok_embeddings.weight
    assert torch.equal(again, rows)
    assert len(rows.unique(dim=0)) == 4096


def test_a_mean_is_rounded_once():
    model = lively(config_of()).to(torch.bfloat16)
    new = swap(model, [(5, 6, 7)], 64)
    table = model.encoder.embeddings.tok_embeddings.weight
    right = table[5:8].float().mean(0).to(torch.bfloat16)
    assert torch.equal(new.encoder.embeddings.tok_embeddings.weight[0], right)


def test_special_ids_must_stay_inside(tmp_path):
    model = lively(config_of(pad_id=90))
    with pytest.raises(ConfigError, match="pad_id 90 is outside the vocabulary of 64"):
        folder.write(resize(model, 64), tmp_path)
