import pytest

pytest.importorskip("datatrove", reason="datatrove is not installed")

from modernbert.base.errors import ConfigError
from modernbert.cli.main import run
from modernbert.data.clean.report import read_report
from tests.unit.data.clean.planted import prose, read_lines, write_lines


@pytest.mark.slow
def test_sources_are_cleaned_and_each_says_what_it_lost(tmp_path, capfd):
    first = write_lines(tmp_path / "first.jsonl.gz", [prose(1), prose(2)])
    second = write_lines(tmp_path / "b.jsonl.gz", [prose(2), prose(3), "short"])
    (tmp_path / "test.txt").write_text(prose(3))
    out = tmp_path / "out"
    limits = ["--gopher-quality.min-words", "20", "--workers", "1"]
    sets = ["--decontaminate", f"held={tmp_path / 'test.txt'}"]
    assert run(["clean", str(first), f"two={second}", "--out", str(out), *limits, *sets]) == 0
    said = capfd.readouterr().err
    assert "first: 2 of 2 documents are kept\n" in said
    assert (
        "two: 0 of 3 documents are kept; dropped by gopher-quality 1, decontaminate 1, exact 1"
        in said
    )
    assert "what was dropped and why is in" in said
    assert [line["text"] for line in read_lines(out / "first")] == [prose(1), prose(2)]
    assert read_report(out).plan.options.gopher_quality.min_words == 20
    assert "holds words of held" in (out / "report.html").read_text()
    assert run(["clean", str(first), f"two={second}", "--out", str(out), *limits, *sets]) == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "there is nothing to clean: name texts, as in books=texts"),
        (["a", "--filters", "gopher-qualty"], "did you mean gopher-quality?"),
        (["a", "--language", "en", "eng"], "--language 'eng' is not known: did you mean en"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, options, said):
    with pytest.raises(ConfigError) as caught:
        run(["clean", *options, "--out", str(tmp_path / "out")])
    assert said in str(caught.value)
    assert not (tmp_path / "out").exists()
