"""Measured rows become speeds of a plan, and what is no row is refused."""

import json

import pytest
from benchmarks.rows import HERE

from modernbert.base.errors import ConfigError
from modernbert.recipes import recipe
from modernbert.train.plan_devices import DEVICES
from modernbert.train.plan_measured import efficiencies, read

ROW = {
    "bench": "training",
    "model": "modernbert-base",
    "context_length": 1024,
    "precision": "bfloat16",
    "gpu": "NVIDIA H100 80GB HBM3",
    "token_flops": 800e6,
    "sides": {
        "packed": {"tokens_per_second": 400_000.0},
        "packed recomputed": {"tokens_per_second": 300_000.0},
        "packed compiled": {"failed": "no memory"},
    },
}
LONG = ROW | {"context_length": 8192, "token_flops": 1300e6}
LARGE = ROW | {"model": "modernbert-large", "token_flops": 2300e6}


def file_of(folder, *rows):
    path = folder / "rows.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n\n" for row in rows))
    return path


def found(path, name="modernbert-base", device="h100", precision="bfloat16", side="packed"):
    return efficiencies(path, recipe(name), DEVICES[device], precision, side)


def test_each_phase_takes_the_row_of_its_length(tmp_path):
    path = file_of(tmp_path, LARGE, ROW, LONG, ROW | {"gpu": "NVIDIA L4"})
    first, context, decay = found(path)
    peak = DEVICES["h100"].bfloat16_flops
    assert first.share == pytest.approx(400_000 * 800e6 / peak)
    assert context.share == decay.share == pytest.approx(400_000 * 1300e6 / peak)
    assert first.seconds_a_token == 0
    assert first.source == f"measured: {path}, line 3, modernbert-base at 1024, packed"
    (again, *_) = found(path, side="packed recomputed")
    assert again.share < first.share


def test_the_nearest_shape_stands_for_another(tmp_path):
    path = file_of(tmp_path, ROW, LARGE)
    assert "line 3" in found(path, "ettin-1b")[0].source
    assert "line 1" in found(path, "ettin-17m")[0].source


def test_of_two_alike_the_last_counts(tmp_path):
    faster = ROW | {"sides": {"packed": {"tokens_per_second": 500_000.0}}}
    shares = [found(file_of(tmp_path, *rows))[0].share for rows in ((ROW, faster), (faster, ROW))]
    assert shares[0] == pytest.approx(shares[1] * 500 / 400)


def test_rows_of_this_project_are_read():
    path = HERE / "training.jsonl"
    assert len(read(path, "packed")) > 3
    shares = [each.share for each in found(path, "ettin-17m", device="cpu", precision="float32")]
    assert all(0 < share < 1 for share in shares)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], r"\(it has none of that side\): measure one with `modernbert bench training`"),
        (
            [ROW | {"gpu": None, "precision": "float32"}],
            "has no training row of H100 SXM 80 GB in bfloat16 with the side 'packed' "
            r"\(it has cpu in float32\)",
        ),
        ([ROW | {"bench": "efficiency"}, ROW | {"model": "mine"}], "it has none of that side"),
        ([ROW, {"bench": "training"}], "line 3 is no row of `modernbert bench training`: take it"),
        ([7], "line 1 is no row of"),
    ],
)
def test_files_without_such_rows_are_refused(tmp_path, rows, message):
    with pytest.raises(ConfigError, match=message):
        found(file_of(tmp_path, *rows))


def test_a_side_that_failed_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="with the side 'packed compiled'"):
        found(file_of(tmp_path, ROW), side="packed compiled")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    for path in (tmp_path / "absent", tmp_path, tmp_path / "bytes"):
        with pytest.raises(ConfigError, match="cannot be read: give a file of rows such as"):
            found(path)
