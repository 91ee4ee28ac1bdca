"""Models from a hub on this machine: revisions, tokens, the cache, and what goes wrong."""

import re
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import modernbert
from modernbert.base.errors import CheckpointError
from modernbert.infer import hub as hub_module
from modernbert.infer.export.export import Asked, export_model
from modernbert.infer.hub import folder_of
from tests.loopback import Hub, Repository, commit_of, environment, loads, running
from tests.unit.infer.test_pretrained import made

NEEDED = {
    "config.json",
    "model.safetensors",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "1_Pooling/config.json",
    "2_Dense/config.json",
    "2_Dense/model.safetensors",
    "3_Dense/pytorch_model.bin",
}
NOT_NEEDED = {
    "onnx/model.onnx",
    "onnx/config.json",
    "openvino/openvino_model.xml",
    "pytorch_model.bin",
    "model.fp16.safetensors",
    "checkpoint-500/model.safetensors",
    "training_args.bin",
    "README.md",
}
OFFERED = Path("site-packages") / "offered"
REACH = (
    "a/b is neither a folder nor whole in the hub's cache, and the hub is out of reach: "
    "check the path, or the network"
)
MODEL = {"id": "a/b"}
OFFLINE = {"HF_HUB_OFFLINE": "1"}
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def commits(tmp_path_factory):
    """Three commits, told apart by the context length of their models; no two files are equal."""
    folders = {}
    for number, length in enumerate((64, 32, 16)):
        folder = tmp_path_factory.mktemp("commit") / "repository"
        made(max_length=length).save(folder)
        folders[commit_of(number)] = folder
        for name in (
            NEEDED - {str(path.relative_to(folder)) for path in folder.rglob("*")}
        ) | NOT_NEEDED:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(f"{name} of {length}")
    return folders


@pytest.fixture
def hub(commits):
    names = {"main": commit_of(0), "better": commit_of(1), "v1.0": commit_of(2)}
    with running(Hub({"a/b": Repository(commits, names)})) as hub:
        yield hub


@pytest.mark.slow
def test_a_revision_is_a_branch_a_tag_or_a_commit(hub, tmp_path):
    revisions = ["better", "v1.0", commit_of(1)]
    given = [MODEL, *(MODEL | {"revision": revision} for revision in revisions)]
    given[0] = MODEL | {"save": str(tmp_path / "copy")}
    assert loads(hub.url, tmp_path, *given) == ["64", "32", "16", "32"]
    assert hub.fetched() == NEEDED
    assert '\nbase_model: "a/b"\n' in (tmp_path / "copy" / "README.md").read_text()
    # What was fetched once is there without a hub, by all of these names.
    for url, more in ((NOWHERE, {}), (hub.url, OFFLINE)):
        assert loads(url, tmp_path, *given, **more) == ["64", "32", "16", "32"]
    assert loads(hub.url, tmp_path, {"id": "a/b@v1.0"}) == ["16"]
    missing = MODEL | {"revision": commit_of(3)}
    assert loads(NOWHERE, tmp_path, missing) == [REACH]


@pytest.mark.slow
def test_what_a_runtime_reads_is_downloaded_and_no_more(tmp_path):
    folder = tmp_path / "model"
    made().save(folder)
    asked = Asked(forms=("int8",), least_cosine=0.5)
    export_model(str(folder), modernbert.load(folder), ["a text", "another"], asked, folder)
    for name in ("onnx/model.onnx", "openvino/openvino_model.xml"):
        (folder / name).parent.mkdir()
        (folder / name).write_text("not read")
    commits = {commit_of(0): folder}
    with running(Hub({"a/b": Repository(commits, {"main": commit_of(0)})})) as hub:
        assert loads(hub.url, tmp_path, MODEL | {"runtime": "int8"}) == ["64"]
    assert {"int8/model.safetensors", "export.json"} <= hub.fetched()
    assert not any(name.startswith(("onnx/", "openvino/")) for name in hub.fetched())
    assert loads(NOWHERE, tmp_path, MODEL | {"runtime": "int8"}, **OFFLINE) == ["64"]


@pytest.mark.slow
def test_a_private_model_is_given_to_who_has_its_token(hub, tmp_path):
    hub.repositories["a/b"].token = "secret"
    wrong, right = MODEL | {"token": "guess"}, MODEL | {"token": "secret"}
    assert loads(hub.url, tmp_path / "1", MODEL, wrong, right) == [
        "the hub has no model a/b, or it is private: check the name, or give a token in HF_TOKEN",
        "the hub does not take this token for a/b: give another one, or none",
        "64",
    ]
    assert loads(hub.url, tmp_path / "2", MODEL, HF_TOKEN="secret") == ["64"]
    sent = {authorization for _, path, authorization in hub.asked if "/resolve/" in path}
    assert sent == {"Bearer secret"}


@pytest.mark.slow
def test_what_the_hub_does_not_give_is_said(hub, tmp_path, commits):
    names = {"main": commit_of(0)}
    hub.repositories["a/gated"] = Repository(commits, names, is_gated=True)
    hub.repositories["a/gone"] = Repository(commits, names, status=410)
    hub.repositories["a/ill"] = Repository(commits, names, status=500)
    given = [
        {"id": "nobody/nothing"},
        {"id": "nobody/nothing", "token": "any"},
        {"id": "a/gated", "token": "any"},
        {"id": "a/b", "revision": "betta"},
        {"id": "a/b@beta", "revision": "main"},
        {"id": "@beta"},
        {"id": "a/gone"},
        {"id": "a/ill"},
    ]
    unknown = (
        "the hub has no model nobody/nothing, or it is private: check the name, or give a token in "
        "HF_TOKEN"
    )
    *said, gone, ill = loads(hub.url, tmp_path, *given)
    assert said == [
        unknown,
        unknown,
        "a/gated is gated: ask for access on its page, then give your token in HF_TOKEN",
        "a/b has no revision 'betta': give a branch, a tag or a commit",
        "a/b@beta names another revision than 'main': leave one of the two out",
        "there is no folder '@beta', and it is no hub id (owner/name)",
    ]
    refused = r"the hub does not give a/{} \(.*{}.*\): {}"
    assert re.fullmatch(refused.format("gone", 410, "check the name, .+"), gone)
    assert re.fullmatch(refused.format("ill", 500, "repeat the command later"), ill)


@pytest.mark.slow
def test_an_address_of_the_hub_that_is_none_is_said(tmp_path):
    assert loads("hub.example", tmp_path, MODEL) == [
        "HF_ENDPOINT is 'hub.example': give an address that begins with https://, or unset it"
    ]


@pytest.mark.slow
def test_a_download_that_breaks_off_leaves_no_half_model(hub, tmp_path):
    repository = hub.repositories["a/b"]
    repository.cut["model.safetensors"] = 1000
    (said,) = loads(hub.url, tmp_path, MODEL)
    assert re.fullmatch(r"the download of a/b broke off \(.+\): repeat the command", said)
    assert loads(hub.url, tmp_path, MODEL, **OFFLINE) == [REACH]
    assert not list(tmp_path.rglob("snapshots/*/model.safetensors"))
    # The line breaks once more, and then holds.
    repository.cut["model.safetensors"] = 1
    assert loads(hub.url, tmp_path, MODEL) == ["64"]
    (found,) = tmp_path.rglob("snapshots/*/model.safetensors")
    whole = repository.commits[commit_of(0)] / "model.safetensors"
    assert found.read_bytes() == whole.read_bytes()


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_is_said(hub, tmp_path):
    (tmp_path / "hub").write_text("in the way")
    (said,) = loads(hub.url, tmp_path, MODEL)
    assert re.fullmatch(
        r"a/b cannot be written to the hub's cache \(.+\): make room, or name another folder in "
        "HF_HOME",
        said,
    )


@pytest.mark.slow
def test_the_command_line_takes_hub_ids(hub, tmp_path):
    hub.repositories["a/b"].token = "secret"

    def fill(*more):
        return command("fill", "a/b", "the [MASK]", *more)

    def command(*words):
        return subprocess.run(
            [sys.executable, "-m", "modernbert", *words],
            capture_output=True,
            text=True,
            env=environment(hub.url, tmp_path, HF_TOKEN="secret"),
            timeout=60,
            check=False,
        )

    done = fill("--revision", "better")
    assert (done.returncode, done.stdout[:9]) == (0, "[MASK] 1:"), done.stderr
    assert any("/revision/better" in path for _, path, _ in hub.asked)
    hub.asked.clear()
    done = command("fill", "a/b@v1.0", "the [MASK]")
    assert done.returncode == 0, done.stderr
    assert any("/revision/v1.0" in path for _, path, _ in hub.asked)
    failed = fill("--revision", "betta")
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr == (
        "error: a/b has no revision 'betta': give a branch, a tag or a commit\n"
    )


def test_only_the_hub_has_revisions(tmp_path):
    assert folder_of(tmp_path) == tmp_path
    with pytest.raises(CheckpointError, match="and only the hub has revisions: leave 'v2' out"):
        folder_of(tmp_path, revision="v2")


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="is a file: give the folder that holds the model"):
        folder_of(tmp_path / "config.json")


def test_an_installed_package_offers_models_by_name(tmp_path, monkeypatch):
    asked = []

    def entries(*, group, name):
        asked.append((group, name))
        entry = EntryPoint(name, "tests.unit.infer.test_hub:OFFERED", group)
        return [entry] if name == "offered" else []

    monkeypatch.setattr(hub_module, "entry_points", entries)
    assert folder_of("offered") == OFFERED
    assert asked == [("modernbert.models", "offered")]
    message = "the model mini is in a package of its own: pip install modernbert-mini"
    with pytest.raises(CheckpointError, match=message):
        folder_of("mini")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "offered").mkdir()
    assert folder_of("offered") == Path("offered")
