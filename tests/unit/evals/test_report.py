import json
import re
import shutil
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from modernbert.base.errors import CheckpointError
from modernbert.evals.chart import Band, Series, chart
from modernbert.evals.examples import Example, examples_of
from modernbert.evals.report import report_of, steps_of, write_report
from modernbert.infer.pretrained import load
from modernbert.infer.replies import Guess

EMPTY = {"meta", "br", "line", "circle", "rect", "polyline"}


class Page(HTMLParser):
    """Fails where a tag is closed that was not open; collects text."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.tags, self.links = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href")]
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(html: str) -> Page:
    """Parse a page that must be whole and stand alone."""
    page = Page()
    page.feed(html)
    page.close()
    assert page.open == []
    assert page.links == []
    assert not re.search(r"https?:|url\(|@import|<script|nan|inf\b", html)
    return page


@pytest.fixture
def folder(finished, tmp_path):
    target = tmp_path / "run"
    target.mkdir()
    for name in ("run.json", "metrics.jsonl", "evaluations.jsonl", "events.jsonl"):
        shutil.copy(finished.folder / name, target)
    return target


def page_of(folder, examples=()) -> Page:
    write_report(folder, folder / "report.html", examples)
    return read((folder / "report.html").read_text(encoding="utf-8"))


def test_a_report_stands_alone_and_shows_every_curve(folder):
    page = page_of(folder)
    assert page.tags.count("figure") == 10
    text = " ".join(page.text)
    for part in ("Loss", "Learning rate", "Tokens a second", "Packing fill", "held out", "MFU"):
        assert part in text
    for phase in ("pretrain", "context", "decay"):
        assert phase in text
    assert f"Held-out text, step {len(steps_of(folder))}" in text


def test_examples_are_shown_and_escaped(folder):
    example = Example("a/b", "x < 1 && ", "<b>", " y", [Guess("<b>", 0.5, 7), Guess("c", 0.25, 8)])
    page = page_of(folder, [example])
    assert "<b>" in page.text
    assert "b" not in page.tags
    assert "x < 1 && " in page.text


def test_a_report_of_a_run_that_took_no_step(folder):
    for name in ("metrics.jsonl", "evaluations.jsonl"):
        (folder / name).unlink()
    assert "No step was taken yet." in page_of(folder).text
    (folder / "metrics.jsonl").touch()
    assert "No step was taken yet." in page_of(folder).text


def test_half_a_last_line_is_left_out(folder):
    rows = steps_of(folder)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 40, "to')
    assert steps_of(folder) == rows
    page_of(folder)


def test_a_report_of_one_step(folder):
    first = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)[0]
    (folder / "metrics.jsonl").write_text(first)
    (folder / "evaluations.jsonl").unlink()
    assert page_of(folder).tags.count("figure") == 9  # none of held-out text alone


def test_a_folder_without_a_run_has_no_report(tmp_path):
    with pytest.raises(CheckpointError, match="holds no run"):
        write_report(tmp_path, tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_names_are_escaped(folder):
    description = json.loads((folder / "run.json").read_text())
    description["config"]["phases"][0]["name"] = "<i>first</i>"
    description["config"]["corpus"] = "/data/<corpus>"
    (folder / "run.json").write_text(json.dumps(description))
    page = page_of(folder)
    assert "i" not in page.tags
    assert "A pretraining run on <corpus>" in page.text


def points(svg: str) -> list[tuple[float, float]]:
    (line,) = re.findall(r'points="([^"]*)"', svg)
    return [tuple(map(float, pair.split(","))) for pair in line.split()]


def test_a_chart_draws_higher_values_higher():
    drawn = points(chart("t", [Series("s", [0, 50, 100], [1.0, 3.0, 2.0])]))
    assert [x for x, _ in drawn] == sorted(x for x, _ in drawn)
    heights = [y for _, y in drawn]
    assert heights[1] < heights[2] < heights[0]
    assert all(60 <= x <= 720 - 12 and 22 <= y <= 240 - 26 for x, y in drawn)


@pytest.mark.parametrize(
    "values", [[], [0.0], [5.0, 5.0], [-3000.0, 2.0], [1e-9, 2e-9], [1e12, 2e12]]
)
def test_any_values_can_be_drawn(values):
    read(chart("t", [Series("s", range(len(values)), values)], [Band("b", 0, 1)]))


def test_what_is_not_finite_is_left_out():
    values = [1.0, float("nan"), float("inf"), 2.0]
    assert len(points(chart("t", [Series("s", [1, 2, 3, 4], values)]))) == 2


def test_many_points_are_thinned():
    assert len(points(chart("t", [Series("s", range(100_000), range(100_000))]))) <= 1200


def test_examples_hide_one_token_of_held_out_text(finished):
    model = load(finished.finish())
    examples = examples_of(model, finished.corpus, 4)
    assert len(examples) == 4
    assert examples == examples_of(model, finished.corpus, 4)
    for each in examples:
        assert len(each.answer.strip()) >= 1
        assert "/heldout-" in each.where
        shares = [guess.probability for guess in each.guesses]
        assert shares == sorted(shares, reverse=True)
        assert 0 < sum(shares) <= 1 + 1e-6


def test_a_finished_runs_report_has_examples(finished, folder):
    finished.finish()
    report_of(finished.folder, folder / "report.html")
    text = read((folder / "report.html").read_text(encoding="utf-8")).text
    assert "Hidden tokens in held-out text" in text


def test_a_run_without_its_corpus_still_has_a_report(folder):
    report_of(folder, folder / "report.html")
    text = read((folder / "report.html").read_text(encoding="utf-8")).text
    assert "Hidden tokens in held-out text" not in text
    assert any("Held-out text, step" in part for part in text)


def labels(svg: str, kind: str) -> list[str]:
    """Return the texts of one class: the y axis ends its labels, x axis and bands centre them."""
    return re.findall(rf'class="{kind}">([^<]*)</text>', svg)


@pytest.mark.parametrize("values", [[0.0, 1e-4, 3e-4], [130_200.0, 130_500.0, 130_900.0]])
def test_no_two_ticks_of_an_axis_read_alike(values):
    found = labels(chart("t", [Series("s", [0, 1, 2], values)]), "end")
    assert len(found) == len(set(found)) > 2


def test_what_hardly_changes_is_drawn_flat():
    values = [0.9990, 0.9991, 0.9990]
    heights = [y for _, y in points(chart("t", [Series("s", [0, 1, 2], values)]))]
    assert max(heights) - min(heights) < 20


def test_an_axis_ends_at_the_most_there_can_be():
    found = labels(chart("t", [Series("s", [0, 1], [0.0, 99.9])], unit="%", most=100), "end")
    assert max(float(label.removesuffix("%")) for label in found) <= 100


def test_names_of_narrow_bands_do_not_cover_each_other():
    bands = [Band("pretraining", 0, 98), Band("extension", 98, 99), Band("decay", 99, 100)]
    drawn = chart("t", [Series("s", [0, 100], [1.0, 2.0])], bands)
    places = re.findall(r'<text x="([\d.]+)" y="16" class="middle">([^<]*)<', drawn)
    assert [name for _, name in places] == ["pretraining", "extension", "decay"]
    middles = [float(x) for x, _ in places]
    for (left, right), name in zip(pairwise(middles), ("extension", "decay"), strict=True):
        assert right - left > 5 * len(name)
