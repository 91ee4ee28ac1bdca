"""What cannot be taken up is refused with a sentence, and stays as it is."""

import dataclasses
import json
import os
import shutil

import pytest

from modernbert.base.errors import CheckpointError, ConfigError, DataError, MachineError
from modernbert.train import run as runs
from modernbert.train.checkpoint import found
from tests.corpora import make_corpus
from tests.runs import called, small_run


@pytest.fixture
def begun(corpus_folder, tmp_path):
    """A run that was started and left."""
    run = runs.create(small_run(corpus_folder), tmp_path / "run")
    run.close()
    return run.folder


def test_a_run_is_trained_by_one_process_at_a_time(begun):
    first = runs.resume(begun)
    message = f"{begun} is being trained by process {os.getpid()}: stop that one first"
    with pytest.raises(ConfigError) as caught:
        runs.resume(begun)
    assert str(caught.value) == message
    second = called("pretrain", "--resume", begun)
    assert (second.returncode, second.stderr) == (2, f"error: {message}\n")
    first.close()
    runs.resume(begun).close()


def test_a_folder_in_use_is_not_started_anew(begun, corpus_folder):
    with pytest.raises(ConfigError) as caught:
        runs.create(small_run(corpus_folder), begun)
    assert str(caught.value) == (
        f"{begun} is not empty: continue it with `modernbert pretrain --resume {begun}`, "
        "or give another folder"
    )


def test_a_start_that_was_killed_early_can_be_repeated(corpus_folder, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".lock").write_text("1")
    (folder / ".partial-run.json").write_text("{")
    runs.create(small_run(corpus_folder), folder).close()
    assert not (folder / ".partial-run.json").exists()


def test_a_start_that_was_refused_leaves_nothing(corpus_folder, tmp_path):
    config = small_run(corpus_folder)
    weighted = dataclasses.replace(config.phases[1], source_weights={"boks": 1.0})
    config = dataclasses.replace(config, phases=(config.phases[0], weighted))
    with pytest.raises(ConfigError, match="'boks', which is not in the corpus"):
        runs.create(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_made_is_named(corpus_folder, tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(MachineError, match=f"{place} cannot be written: "):
            runs.create(small_run(corpus_folder), place)


def test_a_changed_corpus_is_refused(tmp_path):
    corpus = make_corpus(tmp_path, {"books": 20})
    run = runs.create(small_run(corpus.folder), tmp_path / "run")
    run.close()
    shutil.rmtree(corpus.folder)
    shutil.rmtree(tmp_path / "texts-books")
    make_corpus(tmp_path, {"books": 21})
    with pytest.raises(DataError) as caught:
        runs.resume(run.folder)
    assert str(caught.value) == (
        f"{corpus.folder} is not the corpus that {run.folder} began with: "
        "prepare it again from the same text and tokenizer, or start a new run"
    )
    with pytest.raises(DataError):
        runs.resume(run.folder)


def test_a_run_and_its_corpus_can_move_together(tmp_path):
    corpus = make_corpus(tmp_path / "here", {"books": 20})
    runs.create(small_run(corpus.folder), tmp_path / "here" / "run").close()
    assert str(tmp_path) not in (tmp_path / "here" / "run" / "run.json").read_text()
    (tmp_path / "here").rename(tmp_path / "there")
    (tmp_path / "link").symlink_to(tmp_path / "there" / "run")
    for folder in (tmp_path / "there" / "run", tmp_path / "link"):
        run = runs.resume(folder)
        run.close()
        assert run.corpus.fingerprint == corpus.fingerprint


def test_a_corpus_that_moved_alone_is_taken_from_its_new_place(tmp_path):
    corpus = make_corpus(tmp_path, {"books": 20})
    runs.create(small_run(corpus.folder), tmp_path / "run").close()
    corpus.folder.rename(tmp_path / "moved")
    with pytest.raises(DataError):
        runs.resume(tmp_path / "run")
    run = runs.resume(tmp_path / "run", str(tmp_path / "moved"))
    run.close()
    assert run.corpus.fingerprint == corpus.fingerprint


def test_a_folder_that_cannot_be_locked_is_named(begun):
    (begun / ".lock").unlink()
    (begun / ".lock").mkdir()
    with pytest.raises(MachineError, match=r"\.lock cannot be written: Is a directory"):
        runs.resume(begun)


def test_a_run_killed_before_its_first_checkpoint_gets_one_before_it_takes_a_step(begun):
    (first,) = found(begun / "checkpoints")
    before = {path.name: path.read_bytes() for path in first.glob("*.safetensors")}
    first.rename(first.with_name(".partial-step-00000000"))
    runs.resume(begun).close()
    (again,) = found(begun / "checkpoints")
    assert {path.name: path.read_bytes() for path in again.glob("*.safetensors")} == before


@pytest.mark.parametrize("name", ["model.safetensors", "trainer/optimizer.safetensors"])
def test_a_damaged_checkpoint_is_refused(begun, name):
    (saved,) = found(begun / "checkpoints")
    data = bytearray((saved / name).read_bytes())
    data[-1] ^= 1
    (saved / name).write_bytes(data)
    with pytest.raises(CheckpointError) as caught:
        runs.resume(begun)
    assert str(caught.value) == (
        f"{saved / name} is missing or was altered since it was written: remove {saved} to go on "
        "from the checkpoint before it"
    )


@pytest.mark.parametrize("odd", [b"\xff\xfe", b"5\n", b'{"step": "x"}\n', b'{"step": 3, "l'])
def test_odd_bytes_among_the_rows_are_left_out(begun, odd):
    (begun / "metrics.jsonl").write_bytes(b'{"step": 0, "loss": 1.5}\n' + odd)
    runs.resume(begun).close()
    assert (begun / "metrics.jsonl").read_text() == '{"step": 0, "loss": 1.5}\n'


def test_a_corpus_without_held_out_text_is_said_before_training(tmp_path, capsys):
    corpus = make_corpus(tmp_path, {"books": 20}, heldout_fraction=0.0)
    runs.create(small_run(corpus.folder), tmp_path / "run").close()
    assert "no held-out loss will be measured" in capsys.readouterr().err
    runs.create(small_run(corpus.folder, evaluate_tokens=0), tmp_path / "other").close()
    assert "held-out loss" not in capsys.readouterr().err


def test_a_model_larger_than_memory_is_refused(corpus_folder, tmp_path):
    config = small_run(corpus_folder)
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, dim=2_000_000))
    with pytest.raises(MachineError, match=r"the model has .* weights and needs .* GB for them"):
        runs.create(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_written_model_has_the_first_phase_s_angles(begun):
    written = json.loads((begun / "run.json").read_text())["config"]
    first = written["phases"][0]
    for name in ("global_rope_theta", "local_rope_theta"):
        assert written["model"][name] == first[name]
    assert written["model"]["max_length"] == first["context_length"]


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"holds no run: it has no run\.json"):
        runs.resume(tmp_path)


def test_another_format_is_refused(begun):
    plain = json.loads((begun / "run.json").read_text())
    (begun / "run.json").write_text(json.dumps(plain | {"format": 7}))
    with pytest.raises(CheckpointError, match="has format 7, this version reads format 1"):
        runs.resume(begun)


def test_a_broken_description_is_refused(begun):
    (begun / "run.json").write_text('{"format": 1, "con')
    with pytest.raises(CheckpointError, match=r"run\.json is not JSON"):
        runs.resume(begun)


def test_a_description_without_a_configuration_is_refused(begun):
    (begun / "run.json").write_text('{"format": 1}')
    with pytest.raises(ConfigError, match=r"run\.json: config is None, which is not a table"):
        runs.resume(begun)


def test_a_field_nobody_knows_is_refused(begun):
    plain = json.loads((begun / "run.json").read_text())
    plain["config"]["phases"][1]["peek_lr"] = 1.0
    (begun / "run.json").write_text(json.dumps(plain))
    with pytest.raises(ConfigError) as caught:
        runs.resume(begun)
    assert "config.phases[1] has no field 'peek_lr': did you mean peak_lr?" in str(caught.value)


def test_a_model_of_another_shape_is_refused(begun):
    plain = json.loads((begun / "run.json").read_text())
    plain["config"]["model"]["num_layers"] = 2
    (begun / "run.json").write_text(json.dumps(plain))
    (saved,) = found(begun / "checkpoints")
    with pytest.raises(CheckpointError) as caught:
        runs.resume(begun)
    assert str(caught.value) == f"{saved} holds a model of another shape than the run trains"
