"""Our model against transformers' ModernBERT: logits, gradients, folders both ways."""

import json

import pytest
import torch
from transformers import AutoModelForMaskedLM
from transformers import ModernBertModel as HFEncoder

from modernbert.batch import pack, real
from modernbert.model import folder
from modernbert.model.traces import attention_maps, hidden_states
from tests.nets import SMALL, config_of, documents_of, lively
from tests.parity.lines import IS_VERSION_4, sayable
from tests.parity.tolerance import assert_all_as_accurate, distance

CASES = {
    "one layer": ({"num_layers": 1, "global_every": 1}, [1, 2, 7]),
    "every second": ({"dim": 48, "num_heads": 3, "num_layers": 4}, [700, 1, 65, 66, 130]),
    "every third": (
        {
            "num_layers": 5,
            "global_every": 3,
            "norm_bias": True,
            "attention_bias": True,
            "mlp_bias": True,
            "head_bias": True,
            "local_rope_theta": 160_000.0,
        },
        [129, 64, 300],
    ),
    "a list": (
        {
            "dim": 64,
            "layer_kinds": ("local", "global", "global"),
            "tie_embeddings": False,
            "activation": "silu",
        },
        [200, 200],
    ),
    "narrow window": ({"local_window": 6, "decoder_bias": False, "num_layers": 2}, [40, 12]),
}
pytestmark = pytest.mark.filterwarnings("ignore:transformers 4 cannot express")


def grid_of(documents, side):
    longest = max(map(len, documents))
    rows, mask = [], []
    for ids in documents:
        gap = longest - len(ids)
        ones, zeros = [1] * len(ids), [0] * gap
        before = side == "left"
        rows.append([SMALL["pad_id"]] * gap + ids if before else ids + [SMALL["pad_id"]] * gap)
        mask.append(zeros + ones if before else ones + zeros)
    return torch.tensor(rows), torch.tensor(mask)


def test_an_odd_window_is_read_as_theirs_is(tmp_path):
    """Both halve `local_attention` and round down."""
    folder.write(lively(config_of(local_window=6)), tmp_path)
    keys = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(keys | {"local_attention": 7}))
    documents = documents_of([40])
    ours = folder.read(tmp_path).double()(pack(documents))
    theirs = AutoModelForMaskedLM.from_pretrained(tmp_path, attn_implementation="sdpa")
    theirs = theirs.eval().double()
    with torch.no_grad():
        expected = theirs(torch.tensor(documents)).logits[0]
    # Angles are float32 in either; another window is off by a tenth.
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


def slopes_of(num_tokens):
    source = torch.Generator().manual_seed(9)
    return torch.randn(num_tokens, SMALL["vocab_size"], generator=source)


def their_run(theirs, documents, side):
    rows, mask = grid_of(documents, side)
    logits = theirs(rows, attention_mask=mask).logits[mask.bool()]
    names, weights = zip(*theirs.named_parameters(), strict=True)
    grads = torch.autograd.grad((logits * slopes_of(len(logits))).sum(), weights)
    return {"logits": logits} | dict(zip(names, grads, strict=True))


def our_run(model, documents):
    logits = model(pack(documents))
    names, weights = zip(*model.named_parameters(), strict=True)
    grads = torch.autograd.grad((logits * slopes_of(len(logits))).sum(), weights)
    return {"logits": logits} | dict(zip(map(folder.hf_name, names), grads, strict=True))


@pytest.fixture(params=CASES.values(), ids=CASES, scope="module")
def case(request, tmp_path_factory):
    fields, lengths = request.param
    model = lively(config_of(**sayable(fields))).eval()
    path = tmp_path_factory.mktemp("model")
    folder.write(model, path)
    documents = documents_of(lengths)
    # Their eager softmax is float32 even in a float64 model, and padding on the left moves their
    # positions, and with them the rounding of the angles: sdpa, padded right, is the truth.
    exact = AutoModelForMaskedLM.from_pretrained(path, attn_implementation="sdpa").eval().double()
    return model, path, documents, their_run(exact, documents, "right")


@pytest.mark.parametrize(
    ("side", "attention"), [("right", "sdpa"), ("left", "sdpa"), ("right", "eager")]
)
def test_logits_and_gradients_are_theirs_to_float32_rounding(case, side, attention):
    model, path, documents, truth = case
    theirs = AutoModelForMaskedLM.from_pretrained(path, attn_implementation=attention).eval()
    naive = their_run(theirs, documents, side)
    assert truth["logits"].std() > 0.5
    for backend in ("oracle", "banded", "padded"):
        model.encoder.backend = backend
        ours = our_run(model, documents)
        assert_all_as_accurate(ours, naive, truth)
        for name, right in truth.items():
            assert distance(ours[name], right) < 1e-5 * right.norm().item(), name


def test_bfloat16_is_as_accurate_as_theirs(tmp_path):
    model, documents = lively(config_of(num_layers=4)).eval(), documents_of([700, 20, 130])
    folder.write(model, tmp_path)
    theirs = AutoModelForMaskedLM.from_pretrained(tmp_path, dtype=torch.bfloat16).eval()
    naive = their_run(theirs, documents, "right")
    truth = their_run(AutoModelForMaskedLM.from_pretrained(tmp_path).double(), documents, "right")
    for backend in ("banded", "padded"):
        model.to(torch.bfloat16).encoder.backend = backend
        assert_all_as_accurate(our_run(model, documents), naive, truth)


def test_padding_rows_hold_no_token():
    batch = pack(documents_of([3, 5]))
    assert real(batch.layout).sum() == len(batch.ids)


def test_hidden_states_and_attention_maps_are_theirs(tmp_path):
    """Their maps need eager attention: their sdpa gives an empty tuple."""
    model, documents = lively(config_of(num_layers=4)), documents_of([150, 9, 70])
    folder.write(model, tmp_path)
    theirs = HFEncoder.from_pretrained(tmp_path, attn_implementation="eager").eval()
    rows, mask = grid_of(documents, "right")
    asked = {"output_attentions": True, "output_hidden_states": True}
    with torch.no_grad():
        expected = theirs(rows, attention_mask=mask, **asked)
        states = hidden_states(model.encoder, pack(documents))
        maps = list(attention_maps(model.encoder, pack(documents)))
    assert len(states) == len(expected.hidden_states) == 5
    *before, last = expected.hidden_states
    last = theirs.final_norm(last) if IS_VERSION_4 else last
    for ours, right in zip(states, [*before, last], strict=True):
        torch.testing.assert_close(ours, right[mask.bool()], rtol=1e-4, atol=1e-4)
    assert len(maps) == 4
    for layer, right in zip(maps, expected.attentions, strict=True):
        for number, ours in enumerate(layer):
            length = len(documents[number])
            torch.testing.assert_close(
                ours, right[number, :, :length, :length], rtol=1e-4, atol=1e-5
            )
