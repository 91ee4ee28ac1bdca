"""How texts become vectors, as files: what is refused, and what is written."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from modernbert.base.errors import CheckpointError
from modernbert.infer.pretrained import Pretrained, load
from modernbert.model.config import HeadConfig
from modernbert.model.sentence import Sentence
from modernbert.model.sentence_config import DenseShape, Normalize, Pool, SentenceConfig
from tests.sentence_folders import DIM, change, made, read

TANH = "torch.nn.modules.activation.Tanh"
STEPS = (
    Pool(("cls",)),
    DenseShape(in_dim=DIM, out_dim=8, has_bias=True, activation=TANH),
    Normalize(),
)


def projecting(steps=STEPS, **fields) -> Pretrained:
    torch.manual_seed(0)
    model = made()
    model.sentence = Sentence(SentenceConfig(max_length=64, steps=steps, **fields))
    return model


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("template") / "model"
    projecting().save(folder)
    return folder


@pytest.fixture
def saved(template, tmp_path):
    return Path(shutil.copytree(template, tmp_path / "model"))


def set_module(folder, number, **keys):
    modules = read(folder / "modules.json")
    modules[number] |= keys
    (folder / "modules.json").write_text(json.dumps(modules))


def test_what_is_written_reads_back(saved):
    again = load(saved)
    model = projecting()
    assert again.sentence.config.steps == STEPS
    assert torch.equal(again.embed(["a batch"]), model.embed(["a batch"]))
    assert again.embed(["a batch"]).shape == (1, 8)
    assert sorted(path.name for path in saved.iterdir() if path.is_dir()) == [
        "1_Pooling",
        "2_Dense",
        "3_Normalize",
    ]
    assert set(load_file(saved / "2_Dense" / "model.safetensors")) == {
        "linear.weight",
        "linear.bias",
    }


def test_saving_in_the_place_of_another_model_leaves_none_of_its_steps(saved):
    made().save(saved)
    assert load(saved).sentence.config.steps == (Pool(),)
    projecting((Pool(("max",)), Normalize())).save(saved)
    assert load(saved).sentence.config.steps == (Pool(("max",)), Normalize())


@pytest.mark.parametrize("kind", ["tokens", "spans", "choice"])
def test_heads_that_say_nothing_of_texts_have_no_modules(saved, kind):
    labels = ("a", "b") if kind == "tokens" else ()
    made(head=HeadConfig(kind=kind, labels=labels)).save(saved)
    assert not {
        "modules.json",
        "sentence_bert_config.json",
        "config_sentence_transformers.json",
    } & {path.name for path in saved.iterdir()}
    assert load(saved).sentence.config.steps == (Pool(),)


@pytest.mark.parametrize(
    ("file", "keys", "sentence"),
    [
        (
            "1_Pooling/config.json",
            {"pooling_mode": "weightedmean"},
            "pools token_embeddings by weightedmean: known are cls, max, mean, ",
        ),
        (
            "1_Pooling/config.json",
            {"pooling_mode": None, "pooling_mode_weightedmean_tokens": True},
            "by cls, pooling_mode_weightedmean_tokens: known are cls, max, mean, ",
        ),
        (
            "2_Dense/config.json",
            {"activation_function": "os.system"},
            "has activation_function 'os.system': it is not one of torch.nn",
        ),
        (
            "2_Dense/config.json",
            {"in_features": 7},
            "turns vectors of 7 into 8 where vectors have 32",
        ),
        (
            "2_Dense/config.json",
            {"out_features": "8"},
            "has out_features '8': it is not of type int",
        ),
        (
            "2_Dense/config.json",
            {"out_features": 9},
            "linear.weight has shape [8, 32], config.json",
        ),
        (
            "2_Dense/config.json",
            {"bias": False},
            "linear.bias, linear.weight and needs linear.weight",
        ),
        (
            "2_Dense/config.json",
            {"module_input_name": "token_embeddings"},
            "has module_input_name 'token_embeddings': it is not turned into itself",
        ),
        (
            "config_sentence_transformers.json",
            {"default_prompt_name": "search"},
            "uses the prompt 'search', and has only query, document",
        ),
        (
            "config_sentence_transformers.json",
            {"prompts": ["a"]},
            "['a']: it is not a table of keys",
        ),
        (
            "config_sentence_transformers.json",
            {"prompts": {"a": 3}},
            "has a 3: it is not of type str",
        ),
        (
            "config_sentence_transformers.json",
            {"truncate_dim": 0},
            "has truncate_dim 0: it is less than 1",
        ),
        (
            "sentence_bert_config.json",
            {"processing_kwargs": {"text": {"max_length": 9}}},
            "it is not read here: take it out if the model needs none",
        ),
        ("sentence_bert_config.json", {"max_seq_length": 2}, "fewer than 3: no room for text"),
        ("sentence_bert_config.json", {"max_seq_length": "9"}, "'9': it is not of type int"),
    ],
)
def test_settings_that_cannot_be_used_are_said(saved, file, keys, sentence):
    change(saved / file, **keys)
    with pytest.raises(CheckpointError) as caught:
        load(saved)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("number", "keys", "sentence"),
    [
        (
            1,
            {"type": "custom_st.Pooling"},
            "type 'custom_st.Pooling', which cannot be computed: known",
        ),
        (
            1,
            {"type": "sentence_transformers.multi_vector_encoder.modules.HierarchicalTokenPooling"},
            "which is for an index to do: take it out of the list, and say --compress pool:N",
        ),
        (1, {"type": "sentence_transformers.models.LSTM"}, "known are Transformer, MLMTransformer"),
        (1, {"type": None}, "a module of type '', which"),
        (1, {"path": "../other"}, "has path '../other': it is outside the folder"),
        (1, {"path": "/etc"}, "has path '/etc': it is outside the folder"),
        (0, {"type": "sentence_transformers.models.Pooling"}, "begins with Pooling: it must be a"),
        (
            1,
            {"type": "sentence_transformers.models.Normalize"},
            "modules.json has no Pooling: without it a text has no vector",
        ),
        (
            2,
            {"type": "sentence_transformers.models.Pooling"},
            "pools sentence_embedding by mean: known are",
        ),
        (
            1,
            {"type": "sentence_transformers.sparse_encoder.models.SpladePooling"},
            "turns vectors of 32 into 8 where vectors have 512",
        ),
    ],
)
def test_modules_that_cannot_be_computed_are_said(saved, number, keys, sentence):
    set_module(saved, number, **keys)
    with pytest.raises(CheckpointError) as caught:
        load(saved)
    assert sentence in str(caught.value)


def test_splade_needs_a_masked_lm_head_and_known_words(saved):
    model = made(head=None)
    model.save(saved)
    kind = "sentence_transformers.sparse_encoder.models.SpladePooling"
    set_module(saved, 1, type=kind)
    with pytest.raises(CheckpointError, match="pools logits, and its model has no masked-LM head"):
        load(saved)
    change(saved / "1_Pooling" / "config.json", pooling_strategy="mean")
    with pytest.raises(CheckpointError, match="by 'mean' after 'relu': known are max and sum"):
        load(saved)


@pytest.mark.parametrize("content", ["{", '{"a": 1}'])
def test_a_broken_list_of_modules_is_named(saved, content):
    (saved / "modules.json").write_text(content)
    with pytest.raises(
        CheckpointError, match=r"modules\.json (is not JSON|does not hold a JSON list)"
    ):
        load(saved)


def test_a_projection_without_its_weights_is_named(saved):
    weights = saved / "2_Dense" / "model.safetensors"
    save_file({"weight": torch.zeros(8, DIM)}, weights)
    with pytest.raises(CheckpointError, match=r"has the tensors weight and needs linear\.bias, "):
        load(saved)
    weights.unlink()
    with pytest.raises(CheckpointError, match=r"2_Dense has no model\.safetensors: give a folder"):
        load(saved)


def test_a_projection_from_before_safetensors_is_read(saved):
    weights = saved / "2_Dense" / "model.safetensors"
    pickle = weights.with_name("pytorch_model.bin")
    right = load(saved).embed(["a batch"])
    torch.save(load_file(weights), pickle)
    weights.unlink()
    assert torch.equal(load(saved).embed(["a batch"]), right)
    torch.save([1], pickle)
    with pytest.raises(CheckpointError, match="does not hold tensors by name: copy it again"):
        load(saved)


@pytest.mark.parametrize(
    ("file", "keys", "sentence"),
    [
        (
            "sentence_bert_config.json",
            {"query_expansion": {"strategy": "long", "length": 32}},
            "expands queries by 'long' to 32 tokens: known are fixed, min",
        ),
        (
            "sentence_bert_config.json",
            {"query_expansion": "yes"},
            "'yes': it is not a table of keys",
        ),
        (
            "2_MultiVectorMask/config.json",
            {"keep_only_token_ids": [7]},
            "keep_only_token_ids [7]: it is for pictures, and only text is read",
        ),
        ("2_MultiVectorMask/config.json", {"skiplist_words": 3}, "3: it is not a list of texts"),
    ],
)
def test_late_interaction_that_cannot_be_had_is_said(saved, file, keys, sentence):
    change(saved / "config_sentence_transformers.json", model_type="MultiVectorEncoder")
    (saved / "2_MultiVectorMask").mkdir()
    kinds = ("base.modules.transformer.Transformer", "multi_vector_encoder.modules.MultiVectorMask")
    modules = [
        {"type": f"sentence_transformers.{kind}", "path": path}
        for kind, path in zip(kinds, ("", "2_MultiVectorMask"), strict=True)
    ]
    (saved / "modules.json").write_text(json.dumps(modules))
    assert load(saved).sentence.config.late is not None
    change(saved / file, **keys)
    with pytest.raises(CheckpointError) as caught:
        load(saved)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("limit", "expected"), [(100, 100), (10**30, 512), (None, 512), (1e30, 512)]
)
def test_without_a_length_the_tokenizer_and_the_model_give_it(saved, limit, expected):
    change(saved / "sentence_bert_config.json", max_seq_length=None)
    change(saved / "tokenizer_config.json", model_max_length=limit)
    assert load(saved).sentence.config.max_length == expected


def test_weights_may_be_of_another_dtype_than_the_model(saved):
    model = load(saved)
    model.model.to(torch.bfloat16)
    model.save(saved)
    again = load(saved)
    assert next(again.encoder.parameters()).dtype == torch.bfloat16
    assert again.sentence.projections[0].linear.weight.dtype == torch.float32
    assert torch.equal(again.embed(["a"]), model.embed(["a"]))


@pytest.mark.parametrize("module", ["1_Pooling", "2_Dense"])
def test_a_module_without_its_settings_is_no_module(saved, module):
    (saved / module / "config.json").unlink()
    with pytest.raises(
        CheckpointError, match=f"{module}/config.json is missing, and modules.json na"
    ):
        load(saved)
