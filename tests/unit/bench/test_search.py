import json

import numpy as np
import pytest

from modernbert.base.errors import ConfigError, DataError
from modernbert.bench.cases import SearchCase
from modernbert.cli.bench import bench

pytest.importorskip("usearch", reason="usearch is not installed here")

SMALL = ["search", "--dim", "16", "--queries", "5", "--number", "3"]


def test_the_command_appends_a_row_of_drawn_and_of_given_vectors(tmp_path):
    assert bench([*SMALL, "--vectors", "300", "--out", str(tmp_path)]) == 0
    vectors = np.random.default_rng(0).standard_normal((65, 8)).astype(np.float16)
    np.save(tmp_path / "some.npy", vectors)
    given = ["--given", str(tmp_path / "some.npy"), "--numbers", "int8", "--out", str(tmp_path)]
    assert bench([*SMALL, *given]) == 0
    drawn, read = map(json.loads, (tmp_path / "search.jsonl").read_text().splitlines())
    assert (drawn["vectors"], drawn["dim"], drawn["given"]) == (300, 16, "")
    assert (read["vectors"], read["dim"], read["given"]) == (60, 8, "some.npy")
    for row in (drawn, read):
        assert row["recall"] > 0.9
        assert row["open_ms"] < 100
        assert all(len(row[key]) == 3 for key in ("exact_ms", "approximate_ms"))
        assert row["graph_bytes"] > 0
    assert read["vector_bytes"] < 60 * 8 + 200


def test_what_cannot_be_measured_is_refused(tmp_path):
    for fields in ({"queries": 3}, {"vectors": 0}):
        with pytest.raises(ConfigError, match="every size is 1 or more, and queries 4 or more"):
            SearchCase(**fields)
    (tmp_path / "a.npy").write_text("no")
    np.save(tmp_path / "b.npy", np.zeros((5, 4)))
    for name, pattern in (("a", "a.npy holds no vectors"), ("b", r"shape \(5, 4\): give more")):
        with pytest.raises(DataError, match=pattern):
            bench([*SMALL, "--given", str(tmp_path / f"{name}.npy"), "--out", str(tmp_path)])
