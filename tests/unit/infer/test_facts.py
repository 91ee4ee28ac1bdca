import json
import shutil

import pytest
import torch

from modernbert.base.errors import CheckpointError
from modernbert.infer.facts import facts_of, spelled_layers
from modernbert.infer.pretrained import Pretrained
from modernbert.model import stored
from modernbert.model.config import HeadConfig
from modernbert.model.sentence import Sentence
from modernbert.model.sentence_config import DenseShape, Pool, SentenceConfig
from tests import flexbert
from tests.corpora import tokenizer
from tests.flexbert import model_of, saved, settings_of, tensors_of
from tests.nets import config_of
from tests.unit.model.test_folder import change

IDENTITY = "torch.nn.modules.linear.Identity"


@pytest.fixture
def place(tmp_path):
    Pretrained(model_of(), tokenizer()).save(tmp_path / "model")
    return tmp_path / "model"


def size(model):
    return sum(weight.numel() for weight in model.parameters())


def test_a_folder(place):
    model, found = model_of(), facts_of(str(place))
    assert found.form == "sentence-transformers folder"
    assert found.config == model.config
    assert found.head == model.head_config
    assert sum(found.parameters.values()) == size(model)
    assert found.parameters["attention"] == 4 * 4 * 32 * 32
    assert found.parameters["mlp"] == 4 * 3 * 32 * 48
    assert (found.parameters["embeddings"], found.parameters["decoder"]) == (512 * 32, 512)
    assert found.size_bytes == (place / stored.WEIGHTS).stat().st_size
    assert found.dtypes == ("float32",)
    assert found.tokenizer.num_ids == 512
    assert found.tokenizer.kind == "BPE after ByteLevel"
    assert found.tokenizer.special_ids == {"unk": 0, "cls": 1, "sep": 2, "pad": 3, "mask": 4}
    assert {each.verdict for each in found.opens if each.tool != "vLLM"} == {"yes"}


def test_weights_are_not_read(place):
    """A hole as large as the weights, behind their header, is as good."""
    weights = place / stored.WEIGHTS
    whole = weights.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    weights.write_bytes(whole[:header] + bytes(len(whole) - header))
    assert sum(facts_of(str(place)).parameters.values()) == size(model_of())


def test_a_classifier(tmp_path):
    head = HeadConfig(kind="sequence", labels=("ham", "spam"), pooling="cls")
    Pretrained(model_of(head=head).to(torch.bfloat16), tokenizer()).save(tmp_path)
    found = facts_of(str(tmp_path))
    assert (found.head, found.pooling, found.dtypes) == (head, "cls", ("bfloat16",))
    assert found.parameters["classifier"] == 2 * 32 + 2


@pytest.mark.parametrize(
    ("pooling", "said"),
    [
        ({"pooling_mode": "mean"}, "mean"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls_token"),
        ({"pooling_mode_max_tokens": True, "pooling_mode_mean_tokens": True}, "max and mean"),
    ],
)
def test_a_sentence_transformers_folder(place, pooling, said):
    types = [f"sentence_transformers.models.{name}" for name in ("Transformer", "Pooling")]
    (place / "modules.json").write_text(json.dumps([{"type": each} for each in types]))
    (place / "1_Pooling").mkdir(exist_ok=True)
    (place / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    found = facts_of(str(place))
    assert (found.form, found.modules) == ("sentence-transformers folder", tuple(types))
    assert found.pooling == said


def test_a_damaged_module_is_told_of(place):
    types = [f"sentence_transformers.models.{name}" for name in ("Transformer", "Pooling")]
    modules = [{"type": types[0], "path": ""}, {"type": types[1], "path": "1_Pooling"}]
    (place / "modules.json").write_text(json.dumps(modules))
    (place / "1_Pooling").mkdir(exist_ok=True)
    pooling = place / "1_Pooling" / "config.json"
    pooling.unlink(missing_ok=True)
    ours = facts_of(str(place)).opens[0]
    assert (ours.tool, ours.verdict) == ("modernbert", "no")
    assert "1_Pooling/config.json is missing, and modules.json names it" in ours.why
    pooling.write_text(json.dumps({"pooling_mode": "mean", "embedding_dimension": 32}))
    assert facts_of(str(place)).opens[0].verdict == "yes"


def test_a_damaged_file_of_a_dense_layer_is_told_of_every_tool(place):
    dense = DenseShape(in_dim=32, out_dim=8, has_bias=True, activation=IDENTITY)
    config = SentenceConfig(max_length=64, steps=(Pool(), dense))
    Pretrained(model_of(), tokenizer(), Sentence(config)).save(place)
    opens = {each.tool: each for each in facts_of(str(place)).opens}
    assert opens["sentence-transformers"].verdict == "yes"
    weights = place / "2_Dense" / stored.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:50])
    opens = {each.tool: each for each in facts_of(str(place)).opens}
    assert opens["modernbert"].verdict == "no"
    assert opens["sentence-transformers"].why == "2_Dense/model.safetensors is missing or broken"


def test_a_folder_without_a_tokenizer(place):
    (place / "tokenizer.json").unlink()
    found = facts_of(str(place))
    assert found.tokenizer is None
    assert [each.tool for each in found.opens if each.verdict == "yes"] == [
        "transformers 5",
        "transformers 4.57",
    ]


def test_a_composer_file(tmp_path):
    model = model_of()
    content = flexbert.composer(model, settings_of(model.config), tokenizer())
    found = facts_of(str(saved(content, tmp_path / "ep0.pt")))
    assert (found.form, found.unsaid) == ("Composer checkpoint", "")
    assert sum(found.parameters.values()) == size(model)
    assert (found.config.max_length, found.config.vocab_size) == (64, 512)
    assert found.tokenizer.num_ids == 512
    assert {each.verdict for each in found.opens} == {"no"}


def test_a_shape_is_shown_even_if_nothing_says_the_longest_text(tmp_path):
    model = model_of()
    content = flexbert.composer(model, settings_of(model.config), tokenizer())
    files = content["state"]["integrations"]["huggingface"]["tokenizer"]
    files["tokenizer_config"]["content"]["model_max_length"] = 10**30
    found = facts_of(str(saved(content, tmp_path / "ep0.pt")))
    assert (found.config.max_length, found.config.num_heads, found.unsaid) == (0, 2, "")


def test_tensors_alone_leave_the_shape_open(tmp_path):
    found = facts_of(str(saved(tensors_of(model_of()), tmp_path / "weights.pt")))
    assert (found.form, found.config, found.layers) == ("tensors saved by torch", None, "")
    assert found.unsaid.endswith("is that of no preset: give --config FILE or --preset NAME")


def test_a_broken_file_is_named(place):
    (place / "modules.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"modules\.json is not JSON .*: copy it again"):
        facts_of(str(place))


@pytest.mark.parametrize("content", ["[]", "{}", "3", '"x"', "null", "[1]", "[[]]"])
def test_files_of_another_shape_are_looked_over(place, content):
    for name in ("modules.json", "sentence_bert_config.json"):
        (place / name).write_text(content)
    for name in ("1_Pooling", "2_Dense"):
        (place / name).mkdir(exist_ok=True)
        (place / name / "config.json").write_text(content)
    found = facts_of(str(place))
    assert (found.modules, found.pooling) == ((), "")


@pytest.mark.parametrize(
    "inside", [3, [], {"tokenizer": [1]}, {"tokenizer": {"a": 1}}, {"model": 1}]
)
def test_an_odd_composer_file_is_looked_over(tmp_path, inside):
    content = flexbert.composer(model_of())
    content["state"]["integrations"]["huggingface"] = inside
    found = facts_of(str(saved(content, tmp_path / "ep0.pt")))
    assert found.config is None


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"num_layers": 5, "global_every": 2}, "5, 3 global and 2 local: one in 2 is global"),
        ({"global_every": 1}, "3, all global"),
        ({"layer_kinds": ("local",) * 3}, "3, all local"),
        ({"layer_kinds": ("local", "local", "global")}, "3, 1 global and 2 local: 2 local, 1 glob"),
    ],
)
def test_patterns_in_words(fields, words):
    assert spelled_layers(config_of(**fields)).startswith(words)


def test_what_does_not_fit_is_told_in_place_of_who_opens_it(place):
    change(place, **{"model.final_norm.weight": torch.ones(31)})
    found = facts_of(str(place))
    assert "final_norm.weight has shape [31], config.json asks for [32]" in found.fault
    assert {(each.verdict, each.why) for each in found.opens} == {("no", found.fault)}


def test_a_tensor_that_is_there_twice_is_told(place):
    change(place, **{"final_norm.weight": torch.ones(32)})
    assert "tensors twice, with model. before their names and without" in facts_of(str(place)).fault


def test_a_lone_file_of_safetensors_is_no_pickle(place, tmp_path):
    lone = tmp_path / "lone.safetensors"
    shutil.copy(place / stored.WEIGHTS, lone)
    found = facts_of(str(lone))
    assert found.form == "tensors without a config.json"
    assert found.opens[0].why == "it is weights alone: `modernbert convert` makes a folder of it"
