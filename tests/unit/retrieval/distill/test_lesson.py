import numpy as np
import pytest

from modernbert.base.errors import ConfigError, DataError
from modernbert.data.lesson import read_lesson
from modernbert.retrieval.distill import lesson

TEXTS = [f"passage {n}" for n in range(50)]


class Drawn:
    """A teacher whose vectors lie almost in a plane of five directions."""

    tokenizer = None

    def __init__(self):
        rng = np.random.default_rng(0)
        self.basis = rng.normal(size=(5, 16))
        self.asked = []

    def vectors(self, texts):
        self.asked += texts
        rows = [np.random.default_rng(len(t) * 1000 + int(t.split()[1])) for t in texts]
        found = np.stack([row.normal(size=5) @ self.basis for row in rows])
        return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float16)


def test_a_lesson_is_made_shard_by_shard_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(lesson, "_SHARD", 20)
    teacher, folder = Drawn(), tmp_path / "lesson"
    lesson.write_texts(folder, TEXTS)
    lesson.teach(folder, teacher, TEXTS)
    assert teacher.asked == TEXTS
    (folder / "shards" / "00001.npy").unlink()
    lesson.teach(folder, teacher, TEXTS)
    assert teacher.asked == TEXTS + TEXTS[20:40]
    lesson.finish(folder, "drawn", None)
    read = read_lesson(folder)
    assert read.texts == TEXTS == lesson.read_texts(folder)
    assert read.teacher == "drawn"
    np.testing.assert_array_equal(read.vectors, Drawn().vectors(TEXTS))
    assert lesson.basis_of(folder) is None
    assert not (folder / "shards").exists()


def test_a_narrower_student_gets_the_directions_that_matter(tmp_path):
    teacher, folder = Drawn(), tmp_path / "lesson"
    lesson.write_texts(folder, TEXTS)
    lesson.teach(folder, teacher, TEXTS)
    lesson.finish(folder, "drawn", 5)
    short, whole = read_lesson(folder).vectors.astype(float), teacher.vectors(TEXTS).astype(float)
    assert lesson.width_of(folder) == short.shape[1] == 5
    np.testing.assert_allclose(short @ short.T, whole @ whole.T, atol=5e-3)
    basis = lesson.basis_of(folder)
    np.testing.assert_allclose(lesson.projected(teacher.vectors(TEXTS), basis), short, atol=1e-3)


def test_what_cannot_be_learned_is_refused(tmp_path):
    folder = tmp_path / "lesson"
    lesson.write_texts(folder, TEXTS)
    lesson.teach(folder, Drawn(), TEXTS)
    with pytest.raises(ConfigError, match="a width of 32, and the teacher's vectors have 16: take"):
        lesson.finish(folder, "drawn", 32)
    with pytest.raises(DataError, match="holds no lesson that can be read"):
        read_lesson(folder)
    lesson.finish(folder, "drawn", None)
    (folder / "texts.jsonl").write_text('"one"\n')
    with pytest.raises(DataError, match="has 1 passages and 50 vectors: make it anew"):
        read_lesson(folder)
    (folder / "lesson.json").write_text('{"format": 2}')
    with pytest.raises(DataError, match="a lesson of format 2, and 1 is read here: make it anew"):
        read_lesson(folder)
