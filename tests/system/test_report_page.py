"""The page of runs in a real browser: nothing is fetched, nothing sticks out, all can be read."""

import pytest

from modernbert.evals.report import write_page
from modernbert.evals.seen_run import see_all
from tests.pages import CONTRASTS
from tests.runs import shortened, small_corpus, small_run, trained

pytestmark = pytest.mark.slow

SHAPES = """
() => [...document.querySelectorAll("figure > svg polyline")].map((line) => {
  const style = getComputedStyle(line);
  return [style.stroke, style.strokeDasharray];
})
"""
"""JavaScript that returns how each line of the charts is drawn."""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """One run, and three that differ in seed and length."""
    place = tmp_path_factory.mktemp("runs")
    corpus = small_corpus(place / "corpus")
    usual = small_run(corpus)
    long = "a-run-with-a-name-that-is-wider-than-any-phone-was-ever-made-and-then-some"
    folders = [
        trained(config, place / name).folder
        for name, config in (
            ("usual", usual),
            (long, small_run(corpus, seed=3)),
            ("short", shortened(usual, 3000)),
        )
    ]
    write_page(see_all(folders[:1]), place / "one.html")
    write_page(see_all(folders), place / "three.html")
    return place


@pytest.mark.parametrize("name", ["one", "three"])
@pytest.mark.parametrize("width", [360, 1000])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_asks_nobody_and_can_be_read_anywhere(browser, pages, name, width, scheme):
    asked, failed = [], []
    view = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    view.on("request", lambda request: asked.append(request.url))
    view.on("console", lambda said: failed.append(said.text))
    view.goto((pages / f"{name}.html").as_uri())
    assert (len(asked), failed) == (1, [])
    outer, inner = view.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert outer <= inner
    told = view.evaluate(CONTRASTS)
    assert min(contrast for _, contrast in told["texts"]) >= 4.5
    assert (told["ground"] < 0.1) == (scheme == "dark")
    view.close()


def test_lines_of_runs_differ_in_colour_and_in_dashes(browser, pages):
    view = browser.new_page()
    view.goto((pages / "three.html").as_uri())
    drawn = view.evaluate(SHAPES)
    assert len({colour for colour, _ in drawn}) == 3
    assert len({dashes for _, dashes in drawn}) == 3
    view.close()


def test_what_is_folded_opens_by_keys(browser, pages):
    view = browser.new_page()
    view.goto((pages / "one.html").as_uri())
    shut = view.locator("details").first
    assert not shut.locator("table").is_visible()
    view.keyboard.press("Tab")
    view.keyboard.press("Enter")
    assert shut.locator("table").is_visible()
    assert "checkpoint" in shut.inner_text()
    view.close()
