import json

from lab.record import note_of, rows_of, write_record


def test_a_record_holds_what_the_run_measured_and_no_path(finished, tmp_path):
    write_record(finished.folder, tmp_path / "small")
    names = ("run.json", "metrics.jsonl", "evaluations.jsonl", "curve.png", "note.md")
    assert sorted(names) == sorted(path.name for path in (tmp_path / "small").iterdir())
    note = (tmp_path / "small" / "note.md").read_text(encoding="utf-8")
    last = rows_of(finished.folder / "evaluations.jsonl")[-1]
    assert f"| all | {last['loss']:.3f} | {last['masked_accuracy']:.1%} |" in note
    kept = rows_of(tmp_path / "small" / "metrics.jsonl")
    steps = rows_of(finished.folder / "metrics.jsonl")
    assert kept == steps
    assert f"{steps[-1]['tokens'] / 1e6:.1f}M tokens" in note


def test_long_metrics_are_thinned_to_means(finished, tmp_path):
    steps = rows_of(finished.folder / "metrics.jsonl") * 30
    (tmp_path / "run").mkdir()
    for name in ("run.json", "evaluations.jsonl"):
        (tmp_path / "run" / name).write_text((finished.folder / name).read_text())
    lines = (json.dumps(row) + "\n" for row in steps)
    (tmp_path / "run" / "metrics.jsonl").write_text("".join(lines))
    write_record(tmp_path / "run", tmp_path / "record")
    kept = rows_of(tmp_path / "record" / "metrics.jsonl")
    size = -(-len(steps) // 300)
    assert 150 <= len(kept) <= 300
    first = sum(row["loss"] for row in steps[:size]) / size
    assert abs(kept[0]["loss"] - first) < 1e-12
    assert kept[0]["step"] == steps[size - 1]["step"]


def test_every_record_s_note_is_made_from_its_rows():
    from tests.architecture.source import ROOT

    for folder in (ROOT / "lab" / "records").iterdir():
        described = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        evaluations = rows_of(folder / "evaluations.jsonl")
        table = note_of(folder.name, described, rows_of(folder / "metrics.jsonl"), evaluations)
        note = (folder / "note.md").read_text(encoding="utf-8")
        assert table.split("Held-out text")[1] in note
