"""Models that cannot be opened: each a sentence and status 2, nothing run, nothing allocated."""

import json
import os
import pickle
import resource
import shutil
import struct
import subprocess

import pytest
import torch
from safetensors.torch import load_file, save_file

from modernbert.model.stored import CONFIG, INDEX, WEIGHTS
from tests.runs import called, command, environment
from tests.unit.infer.test_pretrained import made

TEXT = "the [MASK] batch"
NORM = "model.final_norm.weight"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "model"
    made().save(folder)
    return folder


@pytest.fixture
def model(whole, tmp_path):
    """A copy to break."""
    return shutil.copytree(whole, tmp_path / "model")


def configure(model, **changed):
    keys = json.loads((model / CONFIG).read_text()) | changed
    (model / CONFIG).write_text(json.dumps(keys))


def change(model, **tensors):
    save_file(load_file(model / WEIGHTS) | tensors, model / WEIGHTS, metadata={"format": "pt"})


def cuts(data: bytes) -> list[int]:
    """Return lengths to cut a file at: in and around its header, and among its tensors."""
    header = 8 + struct.unpack("<Q", data[:8])[0]
    return [
        0,
        1,
        7,
        8,
        9,
        header // 2,
        header - 1,
        header,
        header + 1,
        len(data) // 2,
        len(data) - 1,
    ]


def test_a_truncated_file(model, refused):
    data = (model / WEIGHTS).read_bytes()
    for length in cuts(data):
        (model / WEIGHTS).write_bytes(data[:length])
        sentence = refused("fill", model, TEXT)
        assert f"{model / WEIGHTS} is broken (" in sentence, length
        assert sentence.endswith("): copy or download it again")


def test_wrong_shapes_and_kinds_of_numbers(model, refused):
    change(model, **{NORM: torch.ones(31)})
    assert "final_norm.weight has shape [31], config.json asks for [32]" in refused(
        "fill", model, TEXT
    )
    change(model, **{NORM: torch.ones(32, dtype=torch.int8)})
    assert "final_norm.weight holds torch.int8, and only torch.float64, torch.float32" in refused(
        "fill", model, TEXT
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers(model, refused, value):
    weight = torch.ones(32)
    weight[17] = value
    change(model, **{NORM: weight})
    assert refused("fill", model, TEXT).endswith(
        "final_norm.weight holds NaN or Inf, and so would answers: take an earlier checkpoint"
    )


def test_a_missing_or_damaged_tokenizer(model, refused):
    spec = json.loads((model / "tokenizer.json").read_text())
    (model / "tokenizer.json").write_text("not JSON")
    assert "tokenizer.json is not a tokenizer that can be read: " in refused("fill", model, TEXT)
    spec["model"]["vocab"]["0"] = spec["model"]["vocab"]["1"]
    (model / "tokenizer.json").write_text(json.dumps(spec))
    assert "the tokenizer gives both '0' and '1' the id " in refused("fill", model, TEXT)
    (model / "tokenizer_config.json").write_text("[" * 100_000)
    assert "tokenizer_config.json is not JSON: " in refused("fill", model, TEXT)
    (model / "tokenizer.json").unlink()
    assert f"no tokenizer at {model / 'tokenizer.json'}" in refused("fill", model, TEXT)


class Code:
    """What a pickle may do to who opens it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_with_code_in_it_is_not_opened(model, tmp_path):
    (model / WEIGHTS).unlink()
    ran = tmp_path / "ran"
    (model / "pytorch_model.bin").write_bytes(pickle.dumps(Code(ran)))
    done = called("fill", model, TEXT)
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {model} has no model.safetensors: give a folder with safetensors, or make one by "
        f"`modernbert convert {model / 'pytorch_model.bin'} DST`\n"
    )
    done = called("convert", model / "pytorch_model.bin", tmp_path / "made")
    assert done.returncode == 2
    assert "pytorch_model.bin is no checkpoint of torch" in done.stderr
    assert not ran.exists()
    pickle.loads((model / "pytorch_model.bin").read_bytes())
    assert ran.exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is not JSON (Expecting value"),
        ("{", "is not JSON (Expecting property name"),
        ("\ufeff{}", "is not JSON ("),
        ("[1]", "does not hold a JSON object"),
        ("[" * 100_000, "is not JSON ("),
        ('{"num_hidden_layers": 1' + "0" * 5000 + "}", "is not JSON ("),
        ("{}", "has model_type None, and only 'modernbert' can be read"),
        ('{"model_type": "bert"}', "has model_type 'bert', and only"),
    ],
)
def test_a_config_that_is_none(model, refused, text, sentence):
    (model / CONFIG).write_text(text)
    assert f"config.json {sentence}" in refused("fill", model, TEXT)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"hidden_size": "wide"}, "config.json has hidden_size 'wide', which is no whole number"),
        (
            {"vocab_size": -5},
            "config.json cannot be used: vocab_size, hidden_size, intermediate_size",
        ),
        ({"architectures": "Model"}, "config.json has architectures 'Model', which is no list"),
        ({"layer_types": "local"}, "config.json has layer_types 'local', which is no list"),
        ({"classifier_pooling": "max"}, "has classifier_pooling 'max': known are cls, mean"),
        ({"classifier_dropout": 1}, "has classifier_dropout 1.0: it must lie from 0 to below 1"),
        ({"vocab_size": 513}, "has shape [512, 32], config.json asks for [513, 32]"),
    ],
)
def test_values_that_cannot_be(model, refused, changed, sentence):
    configure(model, **changed)
    assert sentence in refused("fill", model, TEXT)


@pytest.mark.parametrize(
    "changed",
    [
        {"vocab_size": 10**12},
        {"hidden_size": 2**40, "num_attention_heads": 2},
        {"intermediate_size": 10**15},
        {"num_hidden_layers": 10**9},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_absurd_sizes_take_no_memory_and_no_time(model, changed):
    configure(model, **changed, layer_types=None)

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))

    done = subprocess.run(
        command("fill", model, TEXT),
        capture_output=True,
        text=True,
        env=environment(),
        preexec_fn=limit,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(f"error: {model}/config.json asks for an encoder of ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("index", "named"),
    [
        ({"weight_map": {"a": "../../secret"}}, "names '../../secret' for weights"),
        ({"weight_map": {"a": "/secret"}}, "names '/secret' for weights"),
        ({"weight_map": {"a": ".."}}, "names '..' for weights"),
        ({"weight_map": {"a": ["x"]}}, "names ['x'] for weights"),
    ],
)
def test_an_index_that_names_other_files(model, refused, index, named):
    (model / WEIGHTS).rename(model.parent / "secret")
    (model / INDEX).write_text(json.dumps(index))
    sentence = refused("fill", model, TEXT)
    assert named in sentence
    assert sentence.endswith("which is no safetensors file beside it: copy it again")
    (model / INDEX).write_text(json.dumps({"weight_map": [index]}))
    assert refused("fill", model, TEXT).endswith("has no object weight_map: copy it again")


def test_no_model(refused, tmp_path):
    assert "there is no folder ./no" in refused("fill", "./no", "[MASK]")
    assert "config.json is missing" in refused("fill", tmp_path, "[MASK]")
    (tmp_path / "file").write_text("x")
    assert refused("fill", tmp_path / "file", "[MASK]").endswith(
        "file is a file: give the folder that holds the model"
    )


def test_files_that_cannot_be_read(model, refused):
    (model / WEIGHTS).unlink()
    (model / WEIGHTS).mkdir()
    assert f"{model / WEIGHTS} is broken (" in refused("fill", model, TEXT)
    (model / CONFIG).unlink()
    (model / CONFIG).symlink_to(CONFIG)
    assert refused("fill", model, TEXT).endswith(
        "config.json cannot be read (Too many levels of symbolic links)"
    )
    (model / CONFIG).unlink()
    (model / CONFIG).mkdir()
    assert refused("fill", model, TEXT).endswith("config.json cannot be read (Is a directory)")


def test_a_folder_that_may_not_be_read(model, refused):
    refused("fill", model, "no mask")  # what a lazy import needs is read before
    model.parent.chmod(0o000)
    user = os.geteuid()
    try:
        os.seteuid(user or 65534)  # root may read everything
        assert refused("fill", model, TEXT) == f"error: {model} cannot be read (Permission denied)"
    finally:
        os.seteuid(user)
        model.parent.chmod(0o700)


def test_a_hub_id_without_a_network(tmp_path):
    done = called("fill", "nobody/nothing", TEXT, HF_HOME=str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: nobody/nothing is neither a folder nor whole in the hub's cache, and the hub is "
        "out of reach: check the path, or the network\n"
    )
