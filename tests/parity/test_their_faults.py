"""Where transformers' ModernBERT is wrong, a test a fault: theirs shown wrong, ours right."""

import copy
import json

import pytest
import torch
from transformers import AutoModelForMaskedLM
from transformers import ModernBertModel as HFEncoder

import modernbert
from modernbert.base.errors import ConfigError
from modernbert.batch import pack
from modernbert.kernels.rope import make_rope
from modernbert.model import folder
from modernbert.model.traces import attention_maps
from modernbert.tasks.mlm import GuessedBatch, MaskedLM
from tests.corpora import tokenizer
from tests.nets import config_of, documents_of, lively
from tests.parity.lines import IS_VERSION_4
from tests.parity.test_accelerate import opened
from tests.parity.test_heads import HEADS, LENGTHS, saved, their_scores
from tests.parity.test_transformers import grid_of

FAR = 0.1
"""A difference that is no rounding."""


@pytest.fixture
def masked(tmp_path):
    """Our masked-LM model and theirs, of the same weights."""
    model = lively(config_of())
    folder.write(model, tmp_path)
    theirs = AutoModelForMaskedLM.from_pretrained(tmp_path, attn_implementation="sdpa").eval()
    return model.eval(), theirs


def assert_close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_left_padding_moves_the_cls_they_read(tmp_path):
    """They read position 0, which is padding then; a packed batch has none."""
    head, documents = HEADS["sequence, cls"], documents_of(LENGTHS)
    model, theirs = saved(head, tmp_path), opened(head, tmp_path)
    right = their_scores(theirs, "sequence", documents, "right")
    left = their_scores(theirs, "sequence", documents, "left")
    assert (left - right).abs().max() > FAR
    assert_close(model(pack(documents)), right)


def test_the_mean_of_choices_needs_a_mask_there(tmp_path):
    """And none for sequences (transformers#35917 was that fault elsewhere)."""
    head, documents = HEADS["choice, mean"], documents_of([20, 20])
    model, theirs = saved(head, tmp_path), opened(head, tmp_path)
    with pytest.raises(AttributeError):
        theirs(torch.tensor([documents]))
    rows, mask = grid_of(documents, "right")
    expected = theirs(rows[None], attention_mask=mask[None]).logits[0]
    assert_close(model(pack(documents))[:, 0], expected)


def test_their_loss_is_nan_when_every_label_is_ignored(masked):
    """Ours is a sum: 0, with gradients of 0, and the mean is taken over all rows of a step."""
    model, theirs = masked
    rows = torch.tensor(documents_of([9]))
    loss = theirs(rows, labels=torch.full_like(rows, -100)).loss
    assert loss.isnan()
    nothing = torch.empty(0, dtype=torch.long)
    task = MaskedLM.of(tokenizer(), 0.3, key=0)
    ours = task.loss(model, GuessedBatch(pack(documents_of([9])), nothing, nothing)).total
    ours.backward()
    assert ours == 0
    assert all(weight.grad is not None and not weight.grad.any() for weight in model.parameters())


def four_dimensional(mask):
    return (mask[:, None, :] * mask[:, :, None]).bool()[:, None]


@pytest.mark.skipif(IS_VERSION_4, reason="transformers 4 expands every mask itself and fails")
def test_a_mask_of_four_dimensions_loses_the_window(masked):
    """The same mask goes to both kinds of layers (transformers#38040): we refuse it."""
    _, theirs = masked
    rows, mask = grid_of(documents_of([200, 150]), "right")
    right = theirs(rows, attention_mask=mask).logits[mask.bool()]
    wide = four_dimensional(mask)
    found = theirs(rows, attention_mask=wide).logits[mask.bool()]
    assert (found - right).abs().max() > FAR
    place = torch.arange(rows.shape[1])
    near = (place[:, None] - place).abs() <= theirs.config.local_attention // 2
    both = {"full_attention": wide, "sliding_attention": wide & near}
    assert_close(theirs(rows, attention_mask=both).logits[mask.bool()], right)
    modernbert.accelerate(theirs)
    with pytest.raises(ConfigError, match="takes masks of rows and positions"):
        theirs(rows, attention_mask=wide)
    assert_close(theirs(rows, attention_mask=mask).logits[mask.bool()], right)


def test_attention_maps_are_empty_or_cost_the_kernel(masked, tmp_path):
    """Version 5 gives an empty tuple under sdpa, 4 changes the model to eager from then on."""
    model, theirs = masked
    documents = documents_of([150, 70])
    rows, mask = grid_of(documents, "right")
    found = theirs(rows, attention_mask=mask, output_attentions=True).attentions
    if IS_VERSION_4:
        assert theirs.config._attn_implementation == "eager"
    else:
        assert not found
    eager = HFEncoder.from_pretrained(tmp_path, attn_implementation="eager").eval()
    expected = eager(rows, attention_mask=mask, output_attentions=True).attentions
    maps = list(attention_maps(model.encoder, pack(documents)))
    assert len(maps) == len(expected) == 3
    for layer, right in zip(maps, expected, strict=True):
        for number, ours in enumerate(layer):
            length = len(documents[number])
            assert_close(ours, right[number, :, :length, :length])


def angles_of(theirs):
    """Return the frequencies that a layer's positions are turned by."""
    return {name: x.float() for name, x in theirs.named_buffers() if "inv_freq" in name}


def test_moving_a_model_to_bfloat16_rounds_their_angles(masked):
    """`.to(torch.bfloat16)` takes the buffers along; ours are made in float32 at each call."""
    model, theirs = masked
    before = angles_of(theirs)
    after = angles_of(copy.deepcopy(theirs).to(torch.bfloat16))
    off = max(((after[name] / before[name]) - 1).abs().max().item() for name in before)
    assert off > 1e-3
    places = torch.tensor([8191])
    cosines = {name: [(x * 8191).cos() for x in (before[name], after[name])] for name in before}
    assert max((x - y).abs().max().item() for x, y in cosines.values()) > FAR
    ropes = model.to(torch.bfloat16).encoder.ropes(torch.tensor([0]))
    assert {rope.cos.dtype for rope in ropes.values()} == {torch.float32}
    exact = make_rope(places, 16, 10_000.0).cos
    frequency = 10_000.0 ** -(torch.arange(0, 16, 2, dtype=torch.float64) / 16)
    torch.testing.assert_close(exact[0, 0].double(), (8191 * frequency).cos(), atol=1e-3, rtol=0)


def test_angles_stay_rounded_when_a_model_comes_back_to_float32(masked):
    """Not in an accelerated one, whose angles are never stored."""
    _, theirs = masked
    rows = torch.tensor(documents_of([2000]))
    fresh = copy.deepcopy(theirs)
    returned = theirs.to(torch.bfloat16).float()
    fresh.load_state_dict(returned.state_dict())
    with torch.no_grad():
        right = fresh(rows).logits
        plain = (returned(rows).logits - right).abs().max()
        ours = (modernbert.accelerate(returned)(rows).logits - right).abs().max()
    assert ours < plain / 100


def test_positions_that_start_anew_do_not_keep_documents_apart(masked):
    """Nor do cu_seq_lens, which are ignored without flash attention; a packed batch does."""
    model, theirs = masked
    documents = documents_of([40, 60])
    flat = torch.tensor([documents[0] + documents[1]])
    places = torch.cat([torch.arange(40), torch.arange(60)])[None]
    packed = theirs(flat, position_ids=places).logits[0]
    alone = torch.cat([theirs(torch.tensor([ids])).logits[0] for ids in documents])
    assert (packed - alone).abs().max() > FAR
    if not IS_VERSION_4:
        cuts = torch.tensor([0, 40, 100], dtype=torch.int32)
        asked = {"cu_seq_lens_q": cuts, "cu_seq_lens_k": cuts}
        told = theirs(flat, position_ids=places, max_length_q=60, max_length_k=60, **asked)
        assert (told.logits[0] - alone).abs().max() > FAR
    assert_close(model(pack(documents)), alone)
    swapped = model(pack([documents[1], documents[0]]))
    assert_close(swapped, torch.cat([alone[40:], alone[:40]]))


def test_a_null_theta_of_local_layers_is_the_global_one(tmp_path):
    """Files of version 4 say so, and version 5 fails on them."""
    model = lively(config_of(local_rope_theta=160_000.0)).eval()
    folder.write(model, tmp_path)
    path = tmp_path / "config.json"
    keys = json.loads(path.read_text()) | {"local_rope_theta": None}
    for key in ("rope_parameters", "layer_types"):
        del keys[key]
    path.write_text(json.dumps(keys))
    documents = documents_of([150])
    if IS_VERSION_4:
        theirs = AutoModelForMaskedLM.from_pretrained(tmp_path).eval()
        assert_close(
            folder.read(tmp_path)(pack(documents)), theirs(torch.tensor(documents)).logits[0]
        )
    else:
        with pytest.raises(TypeError):
            AutoModelForMaskedLM.from_pretrained(tmp_path)
    assert torch.equal(folder.read(tmp_path)(pack(documents)), model(pack(documents)))


@pytest.mark.skipif(not IS_VERSION_4, reason="transformers 5 reads any pattern")
@pytest.mark.filterwarnings("ignore:transformers 4 cannot express")
def test_version_4_reads_other_patterns_wrong_without_a_word(tmp_path):
    model = lively(config_of(layer_kinds=("local", "global", "global"))).eval()
    folder.write(model, tmp_path)
    theirs = AutoModelForMaskedLM.from_pretrained(tmp_path).eval()
    documents = documents_of([300])
    logits = theirs(torch.tensor(documents)).logits[0]
    assert (logits - model(pack(documents))).abs().max() > FAR
    # A live model is accelerated as it is: what it computes there stays.
    assert_close(modernbert.accelerate(theirs)(torch.tensor(documents)).logits[0], logits)
