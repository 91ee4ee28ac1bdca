"""What serving software reads of a saved folder: every key is there, of its type, and right.

Two tables stand for text-embeddings-inference (Candle backend, commit 0d124dc) and vLLM 0.33:
file, key, type, and what the value must be for the folder to mean there what it means here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from transformers import AutoConfig

import modernbert
from modernbert.infer.pretrained import Pretrained
from modernbert.model.config import MASKED_LM, HeadConfig
from modernbert.model.sentence import ACTIVATIONS, Sentence
from modernbert.model.sentence_config import (
    DenseShape,
    Expansion,
    LateInteraction,
    Normalize,
    Pool,
    SentenceConfig,
)
from tests.sentence_folders import DIM, made, read

TANH = "torch.nn.modules.activation.Tanh"
IDENTITY = "torch.nn.modules.linear.Identity"
PROMPTS = {"query": "search: ", "document": ""}


def with_sentence(*steps, late=None) -> Pretrained:
    torch.manual_seed(0)
    model = made()
    told = SentenceConfig(max_length=100, steps=steps, prompts=dict(PROMPTS), late=late)
    model.sentence = Sentence(told)
    return model


def classifier(*labels) -> Pretrained:
    return made(head=HeadConfig(kind="sequence", labels=labels, pooling="cls"))


MODELS: dict[str, Callable[[], Pretrained]] = {
    "bare": lambda: made(head=None),
    "masked LM": lambda: made(head=MASKED_LM),
    "several labels": lambda: classifier("bad", "fair", "good"),
    "one label": lambda: classifier("score"),
    "sentence": lambda: with_sentence(
        Pool(("cls",)),
        DenseShape(in_dim=DIM, out_dim=8, has_bias=True, activation=TANH),
        Normalize(),
    ),
    "late interaction": lambda: with_sentence(
        DenseShape(in_dim=DIM, out_dim=8, has_bias=False, activation=IDENTITY),
        Normalize(),
        late=LateInteraction(
            form="ColBERT", query_length=32, document_length=90, expansion=Expansion()
        ),
    ),
}
SCORED = ("several labels", "one label")
POOLED = ("bare", "masked LM", "sentence")


@dataclass(frozen=True, slots=True)
class Saved:
    """A folder, and the model it was made of."""

    name: str
    model: Pretrained
    folder: Path

    def json(self, file: str) -> Any:
        return read(self.folder / file)

    @property
    def shape(self):
        return self.model.config

    @property
    def labels(self) -> tuple[str, ...]:
        return self.model.head.config.labels

    def tensors(self, inside: str = "") -> dict[str, tuple[int, ...]]:
        with safe_open(self.folder / inside / "model.safetensors", framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


@pytest.fixture(scope="module", params=MODELS)
def saved(request, tmp_path_factory):
    model = MODELS[request.param]()
    folder = tmp_path_factory.mktemp("model") / "saved"
    model.save(folder)
    return Saved(request.param, model, folder)


# config.json, as text-embeddings-inference reads it: strictly.
TEI: dict[str, tuple[type, Callable[[Any], Any]]] = {
    "vocab_size": (int, lambda shape: shape.vocab_size),
    "hidden_size": (int, lambda shape: shape.dim),
    "intermediate_size": (int, lambda shape: shape.mlp_dim),
    "num_hidden_layers": (int, lambda shape: shape.num_layers),
    "num_attention_heads": (int, lambda shape: shape.num_heads),
    "hidden_activation": (str, lambda shape: shape.activation),
    "classifier_activation": (str, lambda shape: shape.activation),
    "max_position_embeddings": (int, lambda shape: shape.max_length),
    "initializer_range": (float, lambda shape: shape.init_std),
    "initializer_cutoff_factor": (float, lambda shape: shape.init_cutoff),
    "norm_eps": (float, lambda shape: shape.norm_eps),
    "layer_norm_eps": (float, lambda shape: shape.norm_eps),
    "norm_bias": (bool, lambda shape: shape.norm_bias),
    "pad_token_id": (int, lambda shape: shape.pad_id),
    "cls_token_id": (int, lambda shape: shape.cls_id),
    "sep_token_id": (int, lambda shape: shape.sep_id),
    "bos_token_id": (int, lambda shape: shape.cls_id),
    "eos_token_id": (int, lambda shape: shape.sep_id),
    "global_rope_theta": (float, lambda shape: shape.global_rope_theta),
    "local_rope_theta": (float, lambda shape: shape.local_rope_theta),
    "global_attn_every_n_layers": (int, lambda shape: shape.global_every),
    "local_attention": (int, lambda shape: shape.local_window),
    "attention_bias": (bool, lambda shape: shape.attention_bias),
    "attention_dropout": (float, lambda shape: 0.0),
    "model_type": (str, lambda shape: "modernbert"),
}


@pytest.mark.parametrize("key", TEI)
def test_tei_finds_its_key_in_config_json(saved, key):
    kind, expected = TEI[key]
    value = saved.json("config.json")[key]
    assert type(value) is kind
    assert value == expected(saved.shape)


def test_tei_and_vllm_find_the_dtype_and_one_architecture(saved):
    keys = saved.json("config.json")
    assert keys["dtype"] == keys["torch_dtype"] == "float32"
    (architecture,) = keys["architectures"]
    assert architecture.endswith("Classification") == (saved.name in SCORED)
    if saved.name in ("bare", *SCORED):
        assert architecture in ("ModernBertModel", "ModernBertForSequenceClassification")


def test_tei_finds_the_length_and_the_tokenizer(saved):
    length = saved.json("sentence_bert_config.json")["max_seq_length"]
    assert type(length) is int
    assert length == (saved.model.sentence.config.max_length)
    assert (saved.folder / "tokenizer.json").is_file()
    told = saved.json("tokenizer_config.json")
    assert told["model_max_length"] == length
    assert told["model_input_names"] == ["input_ids", "attention_mask"]


def test_tei_finds_how_to_pool(saved):
    path = saved.folder / "1_Pooling" / "config.json"
    assert path.exists() == (saved.name in POOLED)
    if saved.name not in POOLED:
        return
    keys, mode = read(path), "cls" if saved.name == "sentence" else "mean"
    assert keys["pooling_mode_cls_token"] is (mode == "cls")
    assert keys["pooling_mode_mean_tokens"] is (mode == "mean")
    others = [key for key in keys if key.startswith("pooling_mode_")]
    assert sum(keys[key] for key in others) == 1
    # vLLM and sentence-transformers from 5.4 on.
    assert keys["pooling_mode"] == mode
    assert keys["word_embedding_dimension"] == DIM


def test_tei_and_vllm_find_the_prompts(saved):
    keys = saved.json("config_sentence_transformers.json")
    assert all(type(text) is str for text in keys["prompts"].values())
    assert keys["default_prompt_name"] is None
    if saved.name == "sentence":
        assert keys["prompts"] == PROMPTS


def test_tei_and_vllm_find_the_labels(saved):
    keys = saved.json("config.json")
    if saved.name not in SCORED:
        assert not {"num_labels", "id2label", "label2id"} & keys.keys()
        return
    assert keys["num_labels"] == len(saved.labels)
    assert keys["id2label"] == {str(row): label for row, label in enumerate(saved.labels)}
    assert keys["label2id"] == {label: row for row, label in enumerate(saved.labels)}
    assert keys["classifier_pooling"] == "cls"
    # vLLM's pooler head is a GELU whatever the file says.
    assert keys["classifier_activation"] == "gelu"


def test_tei_and_vllm_find_the_tensors(saved):
    """No bias in the head but the classifier's; names with `model.` or all without."""
    found = saved.tensors()
    prefix = "model."
    assert found[f"{prefix}embeddings.tok_embeddings.weight"] == (saved.shape.vocab_size, DIM)
    assert f"{prefix}layers.0.attn_norm.weight" not in found
    assert "decoder.weight" not in found
    outside = {name: shape for name, shape in found.items() if not name.startswith(prefix)}
    dense = {"head.dense.weight": (DIM, DIM), "head.norm.weight": (DIM,)}
    if saved.name == "bare":
        assert outside == {}
    elif saved.name in SCORED:
        rows = len(saved.labels)
        scores = {"classifier.weight": (rows, DIM), "classifier.bias": (rows,)}
        assert outside == dense | scores
    else:
        assert outside == dense | {"decoder.bias": (saved.shape.vocab_size,)}


def test_tei_and_vllm_know_every_module(saved):
    modules = saved.json("modules.json")
    types = [module["type"].removeprefix("sentence_transformers.models.") for module in modules]
    assert types == {
        "sentence": ["Transformer", "Pooling", "Dense", "Normalize"],
        "late interaction": ["Transformer", "Dense"],
    }.get(saved.name, ["Transformer"] if saved.name in SCORED else ["Transformer", "Pooling"])
    assert [module["idx"] for module in modules] == list(range(len(modules)))
    assert [type(module[key]) for module in modules for key in ("name", "path")] == (
        [str] * 2 * len(modules)
    )
    assert modules[0]["path"] == ""
    assert all((saved.folder / module["path"]).is_dir() for module in modules)


@pytest.mark.parametrize("saved", ["sentence", "late interaction"], indirect=True)
def test_tei_and_vllm_find_the_projection(saved):
    inside = "2_Dense" if saved.name == "sentence" else "1_Dense"
    keys = saved.json(f"{inside}/config.json")
    assert {key: keys[key] for key in ("in_features", "out_features")} == {
        "in_features": DIM,
        "out_features": 8,
    }
    assert keys["bias"] is (saved.name == "sentence")
    assert keys["activation_function"] in ACTIVATIONS
    assert keys["activation_function"] in (TANH, IDENTITY)
    bias = {"linear.bias": (8,)} if keys["bias"] else {}
    assert saved.tensors(inside) == {"linear.weight": (8, DIM)} | bias


# What vLLM reads, it reads through the config class of transformers.
VLLM: dict[str, Callable[[Saved], Any]] = {
    "hidden_size": lambda saved: saved.shape.dim,
    "layer_types": lambda saved: [
        "full_attention" if saved.shape.is_global(layer) else "sliding_attention"
        for layer in range(saved.shape.num_layers)
    ],
    "local_attention": lambda saved: saved.shape.local_window,
    "norm_eps": lambda saved: saved.shape.norm_eps,
    "hidden_activation": lambda saved: saved.shape.activation,
    "max_position_embeddings": lambda saved: saved.shape.max_length,
    "classifier_pooling": lambda saved: "cls" if saved.name in SCORED else "mean",
    "num_labels": lambda saved: len(saved.labels) if saved.name in SCORED else 2,
    "vocab_size": lambda saved: saved.shape.vocab_size,
}


@pytest.mark.parametrize("key", VLLM)
def test_vllm_finds_its_value_in_the_config_of_transformers(saved, key):
    config = AutoConfig.from_pretrained(saved.folder)
    assert getattr(config, key) == VLLM[key](saved)


def test_vllm_turns_positions_by_the_right_angles(saved):
    config = AutoConfig.from_pretrained(saved.folder)
    thetas = {kind: told["rope_theta"] for kind, told in config.rope_parameters.items()}
    assert thetas == {
        "full_attention": saved.shape.global_rope_theta,
        "sliding_attention": saved.shape.local_rope_theta,
    }


@pytest.mark.parametrize("saved", ["late interaction"], indirect=True)
def test_pylate_finds_its_keys(saved):
    keys = saved.json("config_sentence_transformers.json")
    assert keys["model_type"] == "ColBERT"
    assert (keys["query_length"], keys["document_length"]) == (32, 90)
    assert keys["do_query_expansion"] is True
    assert keys["attend_to_expansion_tokens"] is False
    assert keys["skiplist_words"] == []
    assert type(keys["query_prefix"]) is type(keys["document_prefix"]) is str


def test_the_folder_is_the_same_model_when_it_is_opened_again(saved):
    again = modernbert.load(saved.folder)
    if saved.name == "late interaction":
        ours, theirs = (m.token_vectors(["a"], is_query=True)[0] for m in (again, saved.model))
    else:
        ours, theirs = (m.embed(["a"], prompt="query") for m in (again, saved.model))
    assert torch.equal(ours, theirs)
