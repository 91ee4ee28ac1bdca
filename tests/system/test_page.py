"""The page of a server, in a real browser that nobody touches but by keys."""

import os
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.pages import CONTRASTS, MARKED, library, replied, sent, serving, write_all
from tests.served import ask

IMAGES = Path(__file__).parents[2] / "docs" / "images"
TABS = [
    *("Search", "Similarity", "Fill", "Rerank", "Classify"),
    *("Tags", "Answer", "Choose", "Sparse", "Attention"),
]
EMOJI = "\N{GRINNING FACE}"
KEY = "a key that nobody guesses"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def arguments(folder):
    return write_all(folder)


@pytest.fixture(scope="module")
def url(arguments):
    with serving(*arguments) as address:
        yield address


@pytest.fixture(scope="module")
def guarded_url(arguments, folder):
    with serving(f"words={folder / 'words'}", MODERNBERT_API_KEY=KEY) as address:
        yield address


@pytest.fixture
def visit(browser):
    """Open pages; whatever a test does, they ask their server alone, and nothing in them fails."""
    seen = SimpleNamespace(urls=[], errors=[], refused=[], pages=[])

    def opened(address, **options):
        page = browser.new_page(**({"viewport": {"width": 1100, "height": 800}} | options))
        page.set_default_timeout(10_000)
        page.on("request", lambda request: seen.urls.append((address, request.url)))
        page.on("pageerror", lambda error: seen.errors.append(str(error)))
        page.on("console", lambda said: said.type != "error" or seen.errors.append(said.text))
        page.on("response", lambda reply: reply.ok or seen.refused.append(reply.status))
        seen.pages.append(page)
        page.goto(address + "/")
        return page

    opened.refused = seen.refused
    yield opened
    for page in seen.pages:
        page.close()
    assert all(asked.startswith((f"{address}/", "data:")) for address, asked in seen.urls), (
        seen.urls
    )
    # Chromium says of each refusal that it was one.
    assert [each for each in seen.errors if not each.startswith("Failed to load resource")] == []


def focused(page, what):
    return page.evaluate(f"document.activeElement.{what}")


def reach(page, identity):
    """Press Tab until the element of this id has the focus."""
    for _ in range(60):
        if focused(page, "id") == identity:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"no Tab leads to {identity}")


def show(page, name):
    """Go to a panel by the tabs' arrow keys."""
    page.wait_for_selector("[role=tab]")
    reach(page, page.get_attribute("[role=tab][aria-selected=true]", "id"))
    for _ in TABS:
        if focused(page, "textContent") == name:
            return
        page.keyboard.press("ArrowDown")
    raise AssertionError(f"no arrow leads to {name}")


def write(page, identity, text):
    reach(page, identity)
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(text)


def choose(page, identity, value):
    """Type the name of an option."""
    reach(page, identity)
    page.keyboard.type(value)
    assert page.input_value(f"#{identity}") == value


def answered(page, name):
    """Send what a panel holds, and return its element and its command once there is an answer."""
    if focused(page, "role") == "tab":
        page.keyboard.press("Tab")
    page.keyboard.press("Control+Enter")
    return arrived(page, name)


def arrived(page, name):
    panel = page.locator(f"#panel-{name.lower()}")
    panel.locator(".after > [role=status]", has_text=" ms").wait_for()
    return panel, panel.locator("pre").text_content()


def number(shown):
    return float(shown.replace("\N{MINUS SIGN}", "-"))


def bars(panel):
    return [
        (
            row.locator(".text").text_content(),
            number(row.locator(".number").text_content().rstrip(" %")),
        )
        for row in panel.locator(".bars li").all()
    ]


def assert_bars(panel, expected, scale=1.0, digits=3):
    shown = bars(panel)
    assert [text for text, _ in shown] == [text for text, _ in expected]
    np.testing.assert_allclose(
        [value for _, value in shown],
        [scale * value for _, value in expected],
        atol=0.51 * 10.0**-digits,
    )


def test_there_is_a_panel_for_all_that_is_served_and_for_nothing_else(visit, url, folder):
    page = visit(url)
    page.wait_for_selector("[role=tab]")
    assert page.locator("[role=tab]").all_text_contents() == TABS
    options = page.locator("#fill-model option").all_text_contents()
    assert options == ["words", "sparse", "late", "dense"]


def test_fill_ranks_what_the_server_ranks(visit, url):
    page = visit(url)
    show(page, "Fill")
    write(page, "fill-text", f"{EMOJI} every [MASK] keeps its [MASK].")
    write(page, "fill-top", "3")
    panel, command = answered(page, "Fill")
    (masks,) = replied(command)
    assert [len(each) for each in masks] == [3, 3]
    expected = [(each["token"], each["probability"]) for mask in masks for each in mask]
    assert_bars(panel, expected, 100, digits=1)


@pytest.mark.parametrize("model", ["words", "late"])
def test_similarity_is_that_of_the_vectors(visit, url, model):
    page = visit(url)
    show(page, "Similarity")
    choose(page, "similarity-model", model)
    write(page, "similarity-texts", f"a batch\n\n  {EMOJI} a batch \nevery token's place")
    panel, command = answered(page, "Similarity")
    texts = ["a batch", f"{EMOJI} a batch", "every token's place"]
    found = replied(command)
    if model == "late":
        expected = found["scores"]
    else:
        assert sent(command)[1]["inputs"] == texts
        expected = np.array(found) @ np.array(found).T
    cells = panel.locator("td.number").all_text_contents()
    shown = np.array([number(each) for each in cells]).reshape(3, 3)
    np.testing.assert_allclose(shown, expected, atol=0.0051)
    names = panel.locator("tbody th").all_text_contents()
    assert names == [f"{number}{text}" for number, text in enumerate(texts, 1)]


def test_search_marks_words_and_shades_tokens(visit, url):
    page = visit(url)
    show(page, "Search")
    write(page, "search-query", "the packed batch")
    panel, command = answered(page, "Search")
    assert sent(command)[1]["token_scores"] is True
    (hits,) = replied(command)["results"]
    assert len(hits) == 2
    articles = panel.locator("article").all()
    for hit, article in zip(hits, articles, strict=True):
        snippet = hit["snippet"]
        assert article.locator("h3").text_content() == (hit["title"] or hit["id"])
        passage = article.locator(".passage")
        marked = passage.evaluate(MARKED)
        assert marked == {"text": snippet["text"], "marks": snippet["highlights"]}
        assert EMOJI in snippet["text"][: marked["marks"][0][0]] or hit["id"] == "b"
        scores = {round(each["score"], 2) for each in snippet["tokens"]}
        titles = [each.get_attribute("title") for each in passage.locator(".shade").all()]
        assert titles
        assert {number(each) for each in titles} <= scores
    assert visit.refused == []


def test_an_index_of_single_vectors_is_searched_too(visit, url):
    page = visit(url)
    show(page, "Search")
    choose(page, "search-index", "dense-index")
    write(page, "search-query", "packed")
    for _ in range(2):
        panel, command = answered(page, "Search")
        assert "token_scores" not in sent(command)[1]
        (hits,) = replied(command)["results"]
        assert panel.locator("article").count() == len(hits)
        assert panel.locator("mark").all_text_contents() == ["packed"]
    assert visit.refused == []


def test_search_keeps_what_meets_the_conditions(visit, url):
    page = visit(url)
    show(page, "Search")
    write(page, "search-query", "packed")
    everything = replied(answered(page, "Search")[1])["results"][0]
    write(page, "search-filter", "n>=1\n\nn=1")
    page.keyboard.press("Control+Enter")
    page.locator("#panel-search pre", has_text="n>=1").wait_for(state="attached")
    panel, command = arrived(page, "Search")
    assert sent(command)[1]["filter"] == ["n>=1", "n=1"]
    (hits,) = replied(command)["results"]
    assert 0 < len(hits) < len(everything)
    assert panel.locator("article").count() == len(hits)
    write(page, "search-filter", "nn>=1")
    page.keyboard.press("Control+Enter")
    said = page.locator("#panel-search [role=alert]:not(:empty)")
    said.wait_for()
    assert "did you mean n?" in said.text_content()


def test_rerank_keeps_the_order_of_the_server(visit, url):
    page = visit(url)
    show(page, "Rerank")
    choose(page, "rerank-model", "pairs")
    panel, command = answered(page, "Rerank")
    body = sent(command)[1]
    found = replied(command)
    assert_bars(panel, [(body["texts"][each["index"]], each["score"]) for each in found])


@pytest.mark.parametrize("pair", ["", "every token"])
def test_classify_shows_every_label(visit, url, pair):
    page = visit(url)
    show(page, "Classify")
    write(page, "classify-pair", pair)
    panel, command = answered(page, "Classify")
    assert isinstance(sent(command)[1]["inputs"], dict if pair else str)
    (labels,) = replied(command)
    expected = [(each["label"], each["score"]) for each in labels]
    assert_bars(panel, expected, 100, digits=1)


def test_tags_mark_the_characters_of_each_span(visit, url):
    page = visit(url)
    show(page, "Tags")
    text = f"{EMOJI}{EMOJI} the packed {EMOJI} batch\nkeeps 'documents' apart"
    write(page, "tags-text", text)
    panel, command = answered(page, "Tags")
    (entities,) = replied(command)
    assert any(each["start"] > 3 for each in entities)
    marked = panel.locator(".said").evaluate(MARKED)
    assert marked["text"] == text
    assert marked["marks"] == [[each["start"], each["end"]] for each in entities]
    labels = panel.locator(".said .label").all_text_contents()
    assert labels == [each["label"] for each in entities]
    spans = panel.locator("tbody tr td:first-child").all_text_contents()
    assert spans == [each["text"] for each in entities]


def test_answer_marks_the_best_one_in_its_text(visit, url):
    page = visit(url)
    show(page, "Answer")
    write(page, "answer-context", f"{EMOJI} every token {EMOJI} keeps its place")
    panel, command = answered(page, "Answer")
    (answers,) = replied(command)
    marked = panel.locator(".said").evaluate(MARKED)
    assert marked["marks"] == [[answers[0]["start"], answers[0]["end"]]]
    assert_bars(panel, [(each["text"], each["score"]) for each in answers], 100, digits=1)


def test_choose_orders_the_options(visit, url):
    page = visit(url)
    show(page, "Choose")
    panel, command = answered(page, "Choose")
    (options,) = replied(command)
    assert len(options) == 3
    expected = [(each["text"], each["score"]) for each in options]
    assert_bars(panel, expected, 100, digits=1)


def test_sparse_names_the_heaviest_tokens(visit, url):
    page = visit(url)
    show(page, "Sparse")
    write(page, "sparse-top", "4")
    panel, command = answered(page, "Sparse")
    (tokens,) = replied(command)
    best = sorted(tokens, key=lambda each: -each["value"])[:4]
    ids = [[each["index"]] for each in best]
    asked = {"model": "sparse", "ids": ids, "skip_special_tokens": False}
    names = ask(f"{url}/decode", asked).json
    assert_bars(panel, list(zip(names, [each["value"] for each in best], strict=True)))


def test_attention_is_walked_through_by_arrow_keys(visit, url):
    page = visit(url)
    show(page, "Attention")
    panel, command = arrived(page, "Attention")
    assert "Layer 0 is global" in panel.locator(".kind").text_content()
    marked = panel.locator(".global input").evaluate_all("found => found.map(each => each.value)")
    assert marked == [str(each) for each in replied(command)["global_layers"]]
    panel.locator("input[name=layer]:checked").focus()
    page.keyboard.press("ArrowRight")
    panel.locator(".kind", has_text="Layer 1 is local").wait_for()
    assert [focused(page, "name"), focused(page, "value")] == ["layer", "1"]
    found = replied(panel.locator("pre").text_content())
    assert (found["layer"], found["window"]) == (1, 128)
    assert "64 to either side" in panel.locator(".kind").text_content()
    assert panel.locator("[role=option]").count() == len(found["tokens"])

    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert focused(page, "role") == "listbox"
    for key in ("End", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    row = len(found["tokens"]) - 3
    assert panel.locator("[aria-selected=true]").get_attribute("id") == f"token-{row}"
    weights = np.array(found["weights"][row])
    share = panel.locator(f"#token-{weights.argmax()}").evaluate(
        "each => each.style.getPropertyValue('--share')"
    )
    assert float(share) == 1
    said = panel.locator(".tokens + [role=status]").text_content()
    assert f"({100 * weights.max():.1f} %)" in said
    page.keyboard.press("Control+Enter")
    page.locator("#panel-attention [aria-busy]").wait_for(state="detached")
    assert focused(page, "role") == "listbox"
    assert panel.locator("[aria-selected=true]").get_attribute("id") == f"token-{row}"


def test_attention_says_where_it_ends(visit, url):
    page = visit(url)
    show(page, "Attention")
    arrived(page, "Attention")
    for text, is_cut in (("every token", False), ("every token keeps its place " * 100, True)):
        write(page, "attention-text", text)
        page.keyboard.press("Control+Enter")
        panel = page.locator("#panel-attention")
        panel.locator("p", has_text="is not read here").wait_for(
            state="attached" if is_cut else "detached"
        )
        assert (panel.locator("[role=option]").count() == 256) == is_cut


def test_attention_draws_what_the_window_hides(visit, url):
    page = visit(url)
    show(page, "Attention")
    panel, _ = arrived(page, "Attention")
    corner = """canvas => {
      const read = (x, y) => [...canvas.getContext("2d").getImageData(x, y, 1, 1).data].join();
      return [read(canvas.width - 2, 8), read(canvas.width / 2, canvas.height / 2)];
    }"""
    seen = panel.locator("canvas").evaluate(corner)
    panel.locator("input[name=layer]:checked").focus()
    page.keyboard.press("ArrowRight")
    panel.locator(".kind", has_text="is local").wait_for()
    hidden = panel.locator("canvas").evaluate(corner)
    assert hidden[0] == "236,237,234,255"
    assert seen[0] != hidden[0] != hidden[1]


def test_every_panel_has_an_example_and_no_control_is_without_a_name(visit, url):
    page = visit(url)
    for name in TABS:
        show(page, name)
        panel, command = answered(page, name)
        assert panel.locator(".out > *").count() > 0
        assert command.startswith(f"curl '{url}/")
        controls = panel.locator("input, textarea, select").all()
        assert all(
            each.get_attribute("aria-label") or each.evaluate("each => each.labels.length")
            for each in controls
        )
    assert visit.refused == []


def test_what_the_server_refuses_is_said_in_its_words(visit, url):
    page = visit(url)
    show(page, "Fill")
    write(page, "fill-text", "nothing is hidden")
    page.keyboard.press("Control+Enter")
    alert = page.locator("#panel-fill [role=alert]:not(:empty)")
    alert.wait_for()
    body = {"model": "words", "inputs": "nothing is hidden"}
    assert alert.text_content() == ask(f"{url}/fill", body).json["error"]
    write(page, "fill-text", "a [MASK]")
    answered(page, "Fill")
    assert alert.count() == 0
    assert visit.refused == [422]


def test_a_server_that_is_gone_is_said(visit, url):
    page = visit(url)
    show(page, "Choose")
    page.route("**/choose", lambda route: route.abort())
    page.keyboard.press("Tab")
    page.keyboard.press("Control+Enter")
    page.get_by_text("The server does not answer").wait_for()
    assert page.locator("#panel-choose .button").first.is_enabled()


def test_a_panel_sends_one_request_at_a_time(visit, url):
    page = visit(url)
    show(page, "Choose")
    held = []
    page.route("**/choose", lambda route: held.append(route))
    reach(page, "choose-question")
    button = page.locator("#panel-choose form .button")
    while focused(page, "textContent") != "Choose":
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_timeout(50)
    assert button.is_disabled()
    reach(page, "choose-question")
    page.keyboard.press("Control+Enter")
    page.keyboard.press("Enter")
    page.wait_for_timeout(50)
    assert len(held) == 1
    held[0].continue_()
    arrived(page, "Choose")
    assert button.is_enabled()


def test_a_key_is_asked_for_and_kept_out_of_commands(visit, guarded_url):
    page = visit(guarded_url)
    page.wait_for_selector("#key:not([hidden])")
    assert page.locator("[role=tab]").count() == 0
    for key in ("wrong", KEY):
        assert focused(page, "id") == "key-text"
        page.keyboard.type(key)
        page.keyboard.press("Enter")
        if key != KEY:
            page.get_by_text("The server does not know this key.").wait_for()
    page.wait_for_selector("[role=tab]")
    assert page.locator("#key").is_hidden()
    assert page.locator("[role=tab]").all_text_contents() == ["Similarity", "Fill", "Attention"]
    show(page, "Fill")
    _, command = answered(page, "Fill")
    assert KEY not in command
    assert "Authorization: Bearer $KEY" in command
    assert set(visit.refused) == {401}


def test_throughput_is_measured_while_the_page_is_looked_at(visit, url):
    page = visit(url)
    show(page, "Choose")
    polls = []
    page.on("request", lambda request: polls.append(request.url.endswith("/metrics")))
    page.locator("#live dd").first.wait_for()
    answered(page, "Choose")
    page.locator("#live dd", has_text=re.compile(r"[1-9]")).first.wait_for()
    requests, tokens, waiting = page.locator("#live dd").all_text_contents()
    assert 0 < float(requests) < float(tokens)
    assert waiting == "0"
    assert page.locator("#live polyline[points]").count() == 2
    page.evaluate(
        """() => {
          Object.defineProperty(document, "visibilityState", { value: "hidden" });
          document.dispatchEvent(new Event("visibilitychange"));
        }"""
    )
    page.wait_for_timeout(100)
    before = sum(polls)
    assert before
    page.wait_for_timeout(2200)
    assert sum(polls) == before


def test_nothing_is_wider_than_a_phone(visit, url):
    page = visit(url, viewport={"width": 360, "height": 740})
    for name in TABS:
        show(page, name)
        panel, _ = answered(page, name)
        panel.locator("summary").focus()
        page.keyboard.press("Enter")
        widths = "[document.documentElement.scrollWidth, innerWidth]"
        wide, room = page.evaluate(widths)
        assert wide <= room == 360, name
        inside = panel.locator(".out > *").evaluate_all(
            "found => found.every(each => each.getBoundingClientRect().right <= innerWidth)"
        )
        assert inside, name


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_in_both_schemes(visit, url, scheme):
    page = visit(url, color_scheme=scheme)
    for name in TABS:
        show(page, name)
        answered(page, name)
        found = page.evaluate(CONTRASTS)
        assert (found["ground"] < 0.02) == (scheme == "dark")
        assert len(found["texts"]) > 20
        assert [each for each in found["texts"] if each[1] < 4.5] == [], name
    show(page, "Fill")
    write(page, "fill-text", "nothing is hidden")
    page.keyboard.press("Control+Enter")
    page.locator("#panel-fill [role=alert]:not(:empty)").wait_for()
    found = page.evaluate(CONTRASTS)
    assert [each for each in found["texts"] if each[1] < 4.5] == []


PICTURES = {
    "search": ("Search", "light", 1100),
    "similarity": ("Similarity", "light", 1100),
    "attention": ("Attention", "dark", 1100),
    "tags": ("Tags", "dark", 1100),
    "phone": ("Similarity", "light", 360),
}


@pytest.mark.skipif(
    "MODERNBERT_SCREENSHOTS" not in os.environ, reason="MODERNBERT_SCREENSHOTS is not set"
)
def test_pictures_are_taken(visit, folder):
    # A tagger is worth a picture once it has learned something: its folder may be named.
    from PIL import Image

    told = os.environ["MODERNBERT_SCREENSHOTS"]
    tagger = [f"tagger={told}"] if Path(told).is_dir() else []
    with serving("mini", *tagger, "--index", str(library(folder))) as address:
        for picture, (name, scheme, width) in PICTURES.items():
            if name == "Tags" and not tagger:
                continue
            page = visit(address, color_scheme=scheme, viewport={"width": width, "height": 700})
            show(page, name)
            if name == "Tags":
                write(page, "tags-text", "George Washington lived in Virginia in 1790.")
            panel, _ = answered(page, name)
            if name == "Attention":
                layer = panel.locator("input[name=layer]:checked")
                layer.focus()
                page.keyboard.press("ArrowRight")
                panel.locator(".kind", has_text="local").wait_for()
                panel.locator("#token-101").click()
            for _ in range(8):  # so that there is some throughput to see
                page.wait_for_timeout(700)
                answered(page, name)
            page.evaluate("document.activeElement.blur()")
            IMAGES.mkdir(exist_ok=True)
            path = IMAGES / f"page-{picture}.png"
            page.screenshot(path=path, full_page=True)
            Image.open(path).quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
            assert path.stat().st_size < 150_000
