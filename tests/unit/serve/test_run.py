import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from modernbert.base.errors import CheckpointError, ConfigError, MachineError
from modernbert.cli.main import run as command
from modernbert.serve import run
from modernbert.serve.metrics import Metrics
from modernbert.serve.settings import Settings, variables
from tests.indexes import entries, make_index, write_model
from tests.served import TUNING, ask


@pytest.fixture(autouse=True)
def nothing_is_measured(monkeypatch):
    monkeypatch.setattr(run, "tuned", lambda model, threads, fixed: TUNING)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("served")
    make_index(place, "dense", entries(5))
    write_model(place / "late", "late")
    return place


def opened(models, *indexes):
    shelf = run.opened(list(map(str, models)), Settings(index=indexes), Metrics(), 1)
    for each in shelf.models:
        each.engine.close()
    return shelf


def test_models_have_the_names_of_their_folders_or_those_they_are_given(folder):
    shelf = opened([folder / "late", f"words={folder / 'model'}"])
    assert [each.name for each in shelf.models] == ["late", "words"]
    assert shelf.models[1].source == str(folder / "model")
    written = max(file.stat().st_mtime for file in (folder / "model").iterdir())
    assert shelf.models[1].created == int(written)


def test_an_indexs_model_is_there_once(folder):
    shelf = opened([folder / "late", f"mine={folder / 'model'}"], folder / "index")
    assert [each.name for each in shelf.models] == ["late", "mine"]
    assert shelf.indexes[0].model is shelf.models[1]
    assert shelf.indexes[0].index.model is shelf.models[1].engine.model
    alone = opened([], folder / "index")
    assert [each.name for each in alone.models] == ["model"]
    assert alone.indexes[0].name == "index"
    other = opened([f"model={folder / 'late'}"], folder / "index")
    assert [each.name for each in other.models] == ["model", "model-2"]
    twice = opened([], folder / "index", folder / "index")
    assert [each.name for each in twice.indexes] == ["index", "index-2"]
    assert [each.name for each in twice.models] == ["model"]


def test_what_cannot_be_served_is_said(folder, tmp_path):
    for models, error, says in (
        ([], ConfigError, "there is nothing to serve: name a model, or --index FOLDER"),
        (["a=x", "a=y"], ConfigError, "two models would have one name: write NAME=PATH for one"),
        (["a="], ConfigError, "a model's path is empty: write . for this folder"),
        ([tmp_path / "none"], CheckpointError, "there is no folder"),
    ):
        with pytest.raises(error, match=says):
            opened(models)
    with pytest.raises(CheckpointError, match="holds no index"):
        opened([], tmp_path)


def test_a_port_in_use_is_said_before_models_are_opened():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(MachineError, match=f"cannot listen at 127.0.0.1, port {port} "):
            run.serve(["no such model"], Settings(port=port))


def test_help_names_every_variable(capsys):
    with pytest.raises(SystemExit):
        command(["serve", "--help"])
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert all(name in shown for name in variables())
    assert "--max-waiting-items" in shown
    assert "--api-key " not in shown


def test_deployments_set_variables_that_are_there():
    from tests.architecture.source import ROOT

    for name in ("modernbert.env", "Dockerfile"):
        text = (ROOT / "deploy" / name).read_text(encoding="utf-8")
        named = {word.split("=")[0] for word in text.split() if word.startswith("MODERNBERT_")}
        named |= {
            word.removeprefix("#").split("=")[0]
            for word in text.split()
            if word.startswith("#MODERNBERT_")
        }
        assert named
        assert named <= {*variables()}


def test_an_option_that_would_be_passed_over_is_refused():
    with pytest.raises(ConfigError, match="--index is there twice: name all folders behind one"):
        command(["serve", "--index", "a", "--index", "b"])


def test_wrong_values_of_options_are_one_sentence():
    with pytest.raises(ConfigError, match="--port cannot be read: Input should be less than"):
        command(["serve", "x", "--port", "70000"])
    with pytest.raises(ConfigError, match="--timeout-s cannot be read: "):
        command(["serve", "x", "--timeout-s", "nan"])


@pytest.mark.slow
def test_a_server_answers_soon_and_ends_when_it_is_told(folder):
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "modernbert", "serve", str(folder / "model"), "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"MODERNBERT_LOG_FORMAT": "text"},
    )
    try:
        lines = []
        while not lines or not lines[-1].startswith("listening at "):
            lines.append(process.stderr.readline())
            assert lines[-1], lines
        url = lines[-1].split()[-1]
        assert ask(url + "/embed", {"inputs": "x"}).status == 200
        assert time.monotonic() - started < 30
        assert lines[0].startswith("model: embed, fill; float32 on cpu, ")
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "path=/embed status=200" in rest
    assert rest.rstrip().endswith("ended")


def test_keys_are_asked_for_aloud_where_others_can_reach(monkeypatch, folder, capfd):
    monkeypatch.setattr("uvicorn.Server.run", lambda self, sockets: None)
    run.serve([str(folder / "late")], Settings(host="0.0.0.0", port=0))
    assert "no key is asked for, and 0.0.0.0 can be reached by others: set keys" in (
        capfd.readouterr().err
    )
    run.serve([str(folder / "late")], Settings(host="0.0.0.0", port=0), (b"digest",))
    assert "no key" not in capfd.readouterr().err


def test_without_its_packages_the_way_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydantic_settings", None)
    monkeypatch.delitem(sys.modules, "modernbert.serve.settings", raising=False)
    from modernbert.cli.serve import serve

    with pytest.raises(MachineError, match=r"pip install 'modernbert\[serve\]'"):
        serve(["x"])


def test_commits_of_the_hubs_cache_are_known(folder, tmp_path):
    place = tmp_path / "snapshots" / "abc123"
    shutil.copytree(folder / "model", place)
    shelf = opened([place, folder / "late"])
    assert [each.sha for each in shelf.models] == ["abc123", None]
