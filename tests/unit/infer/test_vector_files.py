import json

import numpy as np
import pytest

from modernbert.base.errors import ConfigError
from modernbert.cli.main import run
from modernbert.infer.pretrained import load
from tests.corpora import texts
from tests.indexes import write_model

TEXTS = texts(25, 3, 40)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("files")
    rows = (json.dumps({"id": f"d{n}", "text": text}) for n, text in enumerate(TEXTS))
    (place / "docs.jsonl").write_text("\n".join(rows), encoding="utf-8")
    for kind in ("dense", "late"):
        write_model(place / kind, kind)
    return place


def embedded(folder, kind, name, *more):
    out = folder / f"{kind}-{name}"
    given = ["embed", str(folder / kind), str(folder / "docs.jsonl"), "--out", str(out)]
    assert run([*given, "--shard-documents", "7", *more]) == 0
    assert not out.with_name(out.name + ".parts").exists()
    return out


def read(out):
    """Return ids and, for each document, its vectors."""
    if out.suffix == ".jsonl":
        rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
        return [row["id"] for row in rows], [np.array(row["vector"]) for row in rows]
    if out.suffix == ".parquet":
        table = pytest.importorskip("pyarrow.parquet").read_table(out)
        return table["id"].to_pylist(), [np.array(each) for each in table["vector"].to_pylist()]
    lines = out.with_suffix(".ids.jsonl").read_text(encoding="utf-8").splitlines()
    vectors, lengths = np.load(out), out.with_suffix(".lengths.npy")
    parts = np.split(vectors, np.cumsum(np.load(lengths))[:-1]) if lengths.exists() else [*vectors]
    return [json.loads(line)["id"] for line in lines], parts


@pytest.mark.parametrize("name", ["vectors.npy", "vectors.parquet", "vectors.jsonl"])
@pytest.mark.parametrize("kind", ["dense", "late"])
def test_one_file_holds_all_vectors_in_their_order(folder, kind, name):
    ids, vectors = read(embedded(folder, kind, name))
    model = load(folder / kind)
    right = [*model.embed(TEXTS)] if kind == "dense" else model.token_vectors(TEXTS, is_query=False)
    assert ids == [f"d{number}" for number in range(25)]
    for one, other in zip(vectors, right, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_numbers_of_less_width_are_written_as_they_were_asked_for(folder):
    halves = np.load(embedded(folder, "dense", "halves.npy", "--dtype", "float16"))
    assert halves.dtype == np.float16
    _, bytes_ = read(embedded(folder, "dense", "bytes.jsonl", "--dtype", "int8"))
    np.testing.assert_allclose(bytes_, halves, atol=0.02)


def test_files_of_other_kinds_are_refused(folder):
    with pytest.raises(ConfigError, match=r"vectors\.csv would be a folder: name a \.npy"):
        embedded(folder, "dense", "vectors.csv")


def test_a_file_that_was_begun_goes_on_and_one_that_is_there_stays(folder, monkeypatch):
    from modernbert.infer import bulk

    real, written = bulk.write_shard, []

    def stopped(*given):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(given[3])
        real(*given)

    monkeypatch.setattr(bulk, "write_shard", stopped)
    with pytest.raises(KeyboardInterrupt):
        embedded(folder, "dense", "again.jsonl")
    assert not (folder / "dense-again.jsonl").exists()
    monkeypatch.setattr(
        bulk, "write_shard", lambda *given: written.append(given[3]) or real(*given)
    )
    again = embedded(folder, "dense", "again.jsonl")
    assert written == [0, 1, 2, 3]
    assert again.read_bytes() == embedded(folder, "dense", "whole.jsonl").read_bytes()
    with pytest.raises(ConfigError, match=r"again.jsonl exists: name another file, or remove it"):
        embedded(folder, "dense", "again.jsonl")
