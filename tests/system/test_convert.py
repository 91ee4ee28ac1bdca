"""The command line on checkpoint files: what comes out opens elsewhere; what is wrong is a line."""

import json
import os
import subprocess
import sys

import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

from modernbert.batch import pack
from modernbert.cli.main import main
from modernbert.infer.pretrained import Pretrained, load
from tests.corpora import tokenizer
from tests.flexbert import composer, model_of, saved, settings_of, tensors_of
from tests.runs import called
from tests.sentence_folders import made

TEXT = "the packed batch keeps documents apart"


@pytest.fixture
def checkpoint(tmp_path):
    model = model_of()
    return saved(composer(model, settings_of(model.config), tokenizer()), tmp_path / "ep0.pt")


@pytest.fixture
def refused(capsys):
    """Run a command that must fail; return its one sentence."""

    def run(*arguments) -> str:
        with pytest.raises(SystemExit) as caught:
            main([str(each) for each in arguments])
        said = capsys.readouterr()
        assert (caught.value.code, said.out) == (2, "")
        (sentence,) = said.err.splitlines()
        return sentence

    return run


@pytest.mark.slow
def test_from_a_checkpoint_to_a_folder_that_others_open(checkpoint, tmp_path):
    seen = called("inspect", checkpoint, "--json")
    assert (seen.returncode, seen.stderr) == (0, "")
    assert json.loads(seen.stdout)["form"] == "Composer checkpoint"

    done = called("convert", checkpoint, tmp_path / "new")
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()[1:2]] == ["read back"]
    assert done.stdout.splitlines()[-1].startswith("transformers ")
    assert "Traceback" not in done.stderr

    theirs = AutoModelForMaskedLM.from_pretrained(tmp_path / "new").eval()
    ids = AutoTokenizer.from_pretrained(tmp_path / "new")(TEXT, return_tensors="pt")
    with torch.no_grad():
        logits = theirs(**ids).logits[0]
        expected = model_of()(pack([ids["input_ids"][0].tolist()]))
    assert torch.equal(logits.argmax(-1), expected.argmax(-1))

    again = called("convert", tmp_path / "new", tmp_path / "half", "--dtype", "bfloat16")
    assert again.returncode == 0, again.stderr
    seen = called("inspect", tmp_path / "half")
    assert "bfloat16" in seen.stdout


@pytest.mark.slow
def test_where_transformers_is_not_installed_the_rest_is_still_checked(checkpoint, tmp_path):
    """A package of that name that is not there is what a machine without it looks like."""
    code = (
        "import sys\n"
        "sys.modules['transformers'] = None\n"
        "from modernbert.cli.main import main\n"
        "main(sys.argv[1:])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "convert", checkpoint, tmp_path / "new"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "transformers: not installed, so not asked"


class Touches:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.system, (f"touch {self.path}",))


@pytest.mark.parametrize("verb", ["convert", "inspect"])
def test_a_pickle_with_code_in_it(refused, tmp_path, verb):
    content = composer(model_of()) | {"callback": Touches(tmp_path / "ran")}
    path = saved(content, tmp_path / "bad.pt")
    sentence = refused(verb, path, *[tmp_path / "new"] * (verb == "convert"))
    assert f"{path} asks for posix.system, which could run code, so it is not read" in sentence
    assert sorted(each.name for each in tmp_path.iterdir()) == ["bad.pt"]


@pytest.mark.parametrize("verb", ["convert", "inspect"])
def test_a_truncated_file(refused, checkpoint, tmp_path, verb):
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[: len(whole) // 2])
    sentence = refused(verb, checkpoint, *[tmp_path / "new"] * (verb == "convert"))
    assert f"{checkpoint} is no checkpoint of torch, or not a whole one" in sentence
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("verb", ["convert", "inspect"])
@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("gone/ep0.pt", "there is no file gone/ep0.pt: check the path"),
        ("./gone", "there is no folder ./gone, and it is no hub id (owner/name)"),
        ("owner/name", "owner/name is neither a folder nor whole in the hub's cache, and"),
    ],
)
def test_a_source_that_is_not_there(refused, tmp_path, monkeypatch, verb, source, sentence):
    monkeypatch.chdir(tmp_path)
    assert sentence in refused(verb, source, *["new"] * (verb == "convert"))
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("name", ["README.md", "model.safetensors", "config.json", "page.pt"])
def test_another_type_of_file(refused, tmp_path, name):
    (tmp_path / name).write_text("# A model\n")
    sentence = refused("convert", tmp_path / name, tmp_path / "new")
    assert f"{name} is no checkpoint of torch, or not a whole one: give a file that" in sentence


def test_wrong_shapes(refused, tmp_path):
    model = model_of()
    content = composer(model, settings_of(model.config), tokenizer())
    content["state"]["model"]["model.bert.final_norm.weight"] = torch.ones(31)
    path = saved(content, tmp_path / "ep0.pt")
    sentence = refused("convert", path, tmp_path / "new")
    assert "final_norm.weight has shape [31], a model of this config has [32]" in sentence
    assert not (tmp_path / "new").exists()


def test_another_encoder(refused, tmp_path):
    model = model_of()
    settings = settings_of(model.config) | {"normalization": "rmsnorm"}
    path = saved(composer(model, settings, tokenizer()), tmp_path / "ep0.pt")
    sentence = refused("convert", path, tmp_path / "new")
    assert "trained with normalization 'rmsnorm', a ModernBERT has 'layernorm'" in sentence


def test_a_target_that_is_there(refused, checkpoint, tmp_path):
    Pretrained(model_of(), tokenizer()).save(tmp_path / "new")
    before = (tmp_path / "new" / "config.json").stat().st_mtime_ns
    sentence = refused("convert", checkpoint, tmp_path / "new")
    assert f"{tmp_path / 'new'} is there already: give a new folder for the model" in sentence
    assert (tmp_path / "new" / "config.json").stat().st_mtime_ns == before


def test_what_must_be_told(refused, tmp_path):
    path = saved(tensors_of(model_of()), tmp_path / "weights.pt")
    assert "is that of no preset: give --config" in refused("convert", path, tmp_path / "new")
    tell = ("--preset", "bsae")
    assert "there is no preset 'bsae'" in refused("convert", path, tmp_path / "new", *tell)
    tell = ("--config", tmp_path / "no.yaml")
    assert "there is no config " in refused("convert", path, tmp_path / "new", *tell)


def test_a_config_of_another_model_type(refused, tmp_path):
    Pretrained(model_of(), tokenizer()).save(tmp_path / "old")
    keys = json.loads((tmp_path / "old" / "config.json").read_text()) | {"model_type": "bert"}
    (tmp_path / "old" / "config.json").write_text(json.dumps(keys))
    for verb, more in (("inspect", ()), ("convert", (tmp_path / "new",))):
        sentence = refused(verb, tmp_path / "old", *more)
        assert "config.json has model_type 'bert', and only 'modernbert' can be read" in sentence


@pytest.mark.filterwarnings("ignore:only this package opens the folder:UserWarning")
def test_transformers_is_not_asked_about_options_of_the_shape(tmp_path, capsys):
    made(norm="rms", qk_norm=True).save(tmp_path / "model")
    with pytest.raises(SystemExit) as ended:
        main(["convert", str(tmp_path / "model"), str(tmp_path / "out")])
    assert ended.value.code == 0
    assert "knows nothing of norm, qk_norm: not asked" in capsys.readouterr().out
    assert load(tmp_path / "out").config.options == (("norm", "rms"), ("qk_norm", True))
