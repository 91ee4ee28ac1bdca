"""Folders both ways: written here and opened by transformers, written there and opened here."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from modernbert.batch import pack
from modernbert.model import folder, stored
from tests.nets import config_of, documents_of, lively
from tests.parity.lines import IS_VERSION_4, sayable
from tests.parity.test_accelerate import KINDS, opened
from tests.parity.test_heads import SHAPES, saved, their_scores
from tests.parity.test_transformers import grid_of

LENGTHS = [200, 1, 66, 130]
UNTIED = {"tie_embeddings": False, "decoder_bias": False}
ALL_SHAPES = SHAPES | {"untied": UNTIED}
NEW_KEYS = ("layer_types", "rope_parameters")
OLD_KEYS = {
    "global_attn_every_n_layers": 2,
    "global_rope_theta": 160_000.0,
    "local_rope_theta": 10_000.0,
}
pytestmark = pytest.mark.filterwarnings("ignore:transformers 4 cannot express")


def names_in(path):
    return {name for file in path.glob("*.safetensors") for name in load_file(file)}


def theirs_gives(theirs, head):
    """Return what their model gives for each token or document."""
    documents = documents_of(LENGTHS)
    if head is not None:
        kind = "tokens" if head.kind == "masked_lm" else head.kind
        return their_scores(theirs, kind, documents, "right")
    rows, mask = grid_of(documents, "right")
    return theirs(rows, attention_mask=mask).last_hidden_state[mask.bool()]


def assert_close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("fields", ALL_SHAPES.values(), ids=ALL_SHAPES)
@pytest.mark.parametrize("head", KINDS.values(), ids=KINDS)
def test_what_is_written_here_opens_there(head, fields, tmp_path):
    model = saved(head, tmp_path / "ours", **sayable(fields))
    theirs, told = opened_with_report(head, tmp_path / "ours")
    assert not any(told[what] for what in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert_close(model(pack(documents_of(LENGTHS))), theirs_gives(theirs, head))
    theirs.save_pretrained(tmp_path / "theirs")
    ours, rewritten = names_in(tmp_path / "ours"), names_in(tmp_path / "theirs")
    if head is None:  # both names of a bare encoder's weights are read everywhere
        ours = {name.removeprefix("model.") for name in ours}
    assert ours == rewritten
    body = AutoModel.from_pretrained(tmp_path / "ours").eval()
    assert_close(model.encoder(pack(documents_of(LENGTHS))), theirs_gives(body, None))


def opened_with_report(head, path):
    theirs, told = type(opened(head, path)).from_pretrained(path, output_loading_info=True)
    return theirs.eval(), told


@pytest.mark.parametrize("fields", ALL_SHAPES.values(), ids=ALL_SHAPES)
@pytest.mark.parametrize("head", KINDS.values(), ids=KINDS)
def test_what_is_written_there_opens_here(head, fields, tmp_path):
    model = saved(head, tmp_path / "ours", **sayable(fields))
    opened(head, tmp_path / "ours").save_pretrained(tmp_path / "theirs")
    back = folder.read(tmp_path / "theirs").eval()
    assert back.head_config == head
    assert back.config == model.config
    batch = pack(documents_of(LENGTHS))
    assert torch.equal(back(batch), model(batch))


def without_prefix(path):
    found = load_file(path / stored.WEIGHTS)
    plain = {name.removeprefix("model."): x for name, x in found.items()}
    save_file(plain, path / stored.WEIGHTS, metadata={"format": "pt"})


def with_prefix(path):
    found = load_file(path / stored.WEIGHTS)
    body = ("layers.", "embeddings.", "final_norm.")
    named = {f"model.{n}" if n.startswith(body) else n: x for n, x in found.items()}
    save_file(named, path / stored.WEIGHTS)


def tied_decoder_in_the_file(path):
    found = load_file(path / stored.WEIGHTS)
    table = found.get("model.embeddings.tok_embeddings.weight")
    if table is not None:
        save_file(found | {"decoder.weight": table.clone()}, path / stored.WEIGHTS)


def change_config(path, **changes):
    keys = json.loads((path / "config.json").read_text())
    kept = {k: v for k, v in keys.items() if k not in (*NEW_KEYS, *OLD_KEYS)}
    (path / "config.json").write_text(json.dumps(kept | changes))


NEW = {
    "layer_types": ["full_attention", "sliding_attention", "full_attention"],
    "rope_parameters": {
        "full_attention": {"rope_type": "default", "rope_theta": 160_000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
    },
}
WRONG_OLD = {
    "global_attn_every_n_layers": 3,
    "global_rope_theta": 10_000.0,
    "local_rope_theta": 160_000.0,
}
CHANGES = {
    "as it is": lambda path: None,
    "no prefix": without_prefix,
    "prefix": with_prefix,
    "a tied decoder": tied_decoder_in_the_file,
    "keys of version 4": lambda path: change_config(path, **OLD_KEYS),
    "keys of version 5": lambda path: change_config(path, **NEW),
    "keys of both": lambda path: change_config(path, **OLD_KEYS, **NEW),
    "keys that disagree": lambda path: change_config(path, **WRONG_OLD, **NEW),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("kind", ["base", "masked", "sequence, mean"])
def test_other_spellings_of_their_folder_are_read_alike(kind, name, tmp_path):
    head = KINDS[kind]
    model = saved(head, tmp_path / "ours")
    opened(head, tmp_path / "ours").save_pretrained(tmp_path / "theirs")
    CHANGES[name](tmp_path / "theirs")
    batch = pack(documents_of(LENGTHS))
    assert torch.equal(folder.read(tmp_path / "theirs").eval()(batch), model(batch))
    # Version 4 reads the old keys alone, and a head's file only with the prefix.
    only_version_5 = {"keys of version 5", "keys that disagree"} | (
        {"no prefix"} if head else set()
    )
    if not (IS_VERSION_4 and name in only_version_5):
        assert_close(model(batch), theirs_gives(opened(head, tmp_path / "theirs"), head))


@pytest.mark.parametrize("kind", ["base", "masked", "tokens"])
def test_their_shards_are_read(kind, tmp_path):
    head = KINDS[kind]
    model = saved(head, tmp_path / "ours", num_layers=4)
    opened(head, tmp_path / "ours").save_pretrained(tmp_path / "theirs", max_shard_size="20KB")
    assert (tmp_path / "theirs" / stored.INDEX).exists()
    assert len([*(tmp_path / "theirs").glob("*.safetensors")]) > 1
    batch = pack(documents_of(LENGTHS))
    assert torch.equal(folder.read(tmp_path / "theirs").eval()(batch), model(batch))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_halves_keep_their_dtype_both_ways(dtype, tmp_path):
    folder.write(lively(config_of()).to(dtype), tmp_path / "ours")
    theirs = AutoModel.from_pretrained(tmp_path / "ours", dtype="auto")
    assert theirs.dtype == dtype
    theirs.save_pretrained(tmp_path / "theirs")
    back = folder.read(tmp_path / "theirs")
    assert {weight.dtype for weight in back.parameters()} == {dtype}
