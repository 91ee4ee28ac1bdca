"""`modernbert export`, and what runs by --runtime, as a shell sees them."""

import json

import pytest

from modernbert import load
from modernbert.cli.main import main
from modernbert.evals.exported import examples_in
from modernbert.model.config import MASKED_LM, HeadConfig
from tests.nets import config_of
from tests.sentence_folders import TEXTS, made

WORDS = ["the", "packed", "batch", "keeps", "its", "tokens", "apart"]
HEADS = {
    "masked_lm": MASKED_LM,
    "sequence": HeadConfig(kind="sequence", labels=("a", "b")),
    "several": HeadConfig(kind="sequence", labels=("a", "b"), problem="multi_label"),
    "tokens": HeadConfig(kind="tokens", labels=("O", "B-X", "I-X")),
    "spans": HeadConfig(kind="spans", labels=("start", "end")),
    "choice": HeadConfig(kind="choice", labels=("score",)),
    "none": None,
}
ROWS = {
    "masked_lm": {"text": " ".join(WORDS * 3)},
    "sequence": {"text": "the packed batch", "label": "a"},
    "several": {"text": "the packed batch", "label": ["a", "b"]},
    "tokens": {"tokens": WORDS, "tags": ["O", "B-X", "I-X", "O", "O", "B-X", "O"]},
    "spans": {
        "question": "what keeps apart?",
        "context": " ".join(WORDS),
        "answers": {"text": ["packed batch"], "answer_start": [4]},
    },
    "choice": {"question": "what is packed?", "choices": ["the batch", "its tokens"], "answer": 0},
    "none": {"sentence1": "the packed batch", "sentence2": "the tokens", "score": 0.5},
}
MEASURED = {
    "masked_lm": "accuracy",
    "sequence": "accuracy",
    "several": "f1_micro",
    "tokens": "f1",
    "spans": "f1",
    "choice": "accuracy",
    "none": "spearman",
}


@pytest.fixture
def run(capsys):
    """Run a command, return its status, what it printed and what it said."""

    def command(*given):
        with pytest.raises(SystemExit) as caught:
            main([*map(str, given)])
        out, said = capsys.readouterr()
        return caught.value.code or 0, out, said

    return command


@pytest.fixture
def model(tmp_path):
    """Save a model with a head."""

    def saved(head, **fields):
        made(head, **fields).save(tmp_path / "model")
        return tmp_path / "model"

    return saved


def rows_file(path, kind):
    rows = [dict(ROWS[kind]) for _ in range(4)]
    if kind == "none":
        for number, row in enumerate(rows):
            row |= {"score": number / 4, "sentence1": " ".join(WORDS[number:])}
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("kind", HEADS)
def test_every_head_is_measured_on_examples(tmp_path, run, model, kind):
    folder, out = model(HEADS[kind]), tmp_path / "out"
    given = ("--examples", rows_file(tmp_path / "rows.jsonl", kind), "--most-lost", 1)
    loose = (*given, "--least-cosine", 0.5)
    status, printed, said = run(
        *("export", folder, "--out", out, "--to", "modernbert", "--int8", "--json", *loose)
    )
    assert status == 0, said
    proof = json.loads(printed)["graphs"]["int8"]["proof"]
    assert proof["metric"] == MEASURED[kind]
    assert "labels are measured too" in said
    assert "texts moves by chance: give 200 or more, or a larger --most-lost" in said
    assert 0.9 < proof["cosine"] < 1


@pytest.mark.parametrize(("kind", "number"), [("choice", 8), ("spans", 4), ("sequence", 4)])
def test_what_a_head_reads_is_compared_whole(tmp_path, model, kind, number):
    folder = model(HEADS[kind])
    given = examples_in(rows_file(tmp_path / "rows.jsonl", kind), load(folder))
    row = ROWS[kind]
    pairs = {
        "choice": [(row.get("question"), each) for each in row.get("choices", ())],
        "spans": [(row.get("question"), row.get("context"))],
        "sequence": [(row.get("text"),)],
    }
    assert len(given.texts) == number
    assert set(given.texts) == set(pairs[kind])


def test_numbers_that_are_none_say_how_to_name_them(tmp_path, run, model):
    folder, rows = model(None), tmp_path / "rows.jsonl"
    kept = [{"sentence1": "a batch", "sentence2": "tokens", "label": "far"}] * 4
    rows.write_text("".join(json.dumps(row) + "\n" for row in kept))
    status, _, said = run("export", folder, "--out", tmp_path / "out", "--examples", rows)
    assert (status, "or name it with --label" in said) == (2, True), said


def test_columns_that_a_head_does_not_read_are_refused(tmp_path, run, model):
    for kind, given, words in (
        ("tokens", ("--text", "tokens"), "columns of tags have names of their own"),
        ("none", ("--choices", "score"), "--choices is for models that choose among"),
        ("none", ("--text", "sentence1", "--label", "score"), "name both, by --text and"),
    ):
        made(HEADS[kind]).save(tmp_path / kind)
        rows = rows_file(tmp_path / f"{kind}.jsonl", kind)
        asked = ("export", tmp_path / kind, "--out", tmp_path / "out", "--examples", rows)
        status, _, said = run(*asked, *given)
        assert (status, words in said) == (2, True), said


def test_lines_are_words_with_tags_or_texts(tmp_path):
    made(HEADS["tokens"]).save(tmp_path / "tags")
    made(None).save(tmp_path / "vectors")
    words, texts = tmp_path / "words.conll", tmp_path / "texts.tsv"
    words.write_text("the\tO\nbatch\tB-X\n\nits\tO\ntokens\tI-X\n")
    texts.write_text("text\tlabel\n" + "the packed batch\ta\n" * 3)
    tags, vectors = load(tmp_path / "tags"), load(tmp_path / "vectors")
    found = [examples_in(*each) for each in ((words, tags), (words, vectors), (texts, tags))]
    assert [given.metric is None for given in found] == [False, True, True]
    assert list(found[0].texts) == list(found[1].texts) == ["the batch", "its tokens"]
    assert list(found[2].texts) == ["the packed batch"] * 3
    lines = tmp_path / "queries.txt"
    lines.write_text("batch\ntokens\n")
    assert list(examples_in(lines, vectors).texts) == ["batch", "tokens"]


def test_columns_are_named_where_they_cannot_be_guessed(tmp_path, run, model):
    folder, out = model(HEADS["sequence"]), tmp_path / "out"
    rows = tmp_path / "rows.jsonl"
    kept = [{"a": "the packed batch", "b": "its tokens apart", "c": "b"}] * 4
    rows.write_text("".join(json.dumps(row) + "\n" for row in kept))
    loose = ("--to", "modernbert", "--int8", "--least-cosine", 0.5, "--most-lost", 1, "--json")
    asked = ("export", folder, "--out", out, "--examples", rows, *loose)
    status, printed, said = run(*asked, "--text", "a", "--label", "c")
    assert status == 0, said
    proof = json.loads(printed)["graphs"]["int8"]["proof"]
    assert (proof["metric"], proof["texts"]) == ("accuracy", 4 + 1 + 8)
    assert "holds 4 texts: a proof on so few says little, give 16 or more" in said
    status, _, said = run(*asked, "--text", "d")
    assert (status, "has no column 'd'" in said) == (2, True), said


def test_running_text_and_own_texts_will_do(tmp_path, run, model):
    folder, out = model(HEADS["sequence"]), tmp_path / "out"
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(text.replace("\n", " ") for text in TEXTS if text.strip()))
    asked = ("export", folder, "--out", out, "--to", "modernbert", "--int8", "--least-cosine", 0.5)
    status, printed, said = run(*asked, "--examples", texts)
    assert status == 0, said
    assert "no labels that this model gives" in said
    assert printed.splitlines()[-1].startswith("int8")


def test_what_means_nothing_is_refused(tmp_path, run, model):
    folder, out = model(None), tmp_path / "out"
    empty, short = tmp_path / "empty.txt", tmp_path / "short.txt"
    empty.write_text("\n\n")
    short.write_text("a b\n")
    for asked, words in (
        (("--to",), "--to names nothing: give onnx, openvino or modernbert"),
        (("--to", "modernbert"), "--to modernbert needs no export but in 8 bits: add --int8"),
        (("--least-cosine", 2), "--least-cosine is 2.0 and --most-lost 0.005: give numbers from"),
        (("--text", "a"), "--text, --pair, --label and --choices are columns of --examples: give"),
        (("--examples", empty), "holds no text: give a file with some"),
    ):
        status, _, said = run("export", folder, "--out", out, *asked)
        assert (status, words in said) == (2, True), said
    made(MASKED_LM).save(tmp_path / "masked")
    status, _, said = run("export", tmp_path / "masked", "--out", out, "--examples", short)
    assert (status, "has more than 7 tokens: give longer ones" in said) == (2, True), said
    assert not out.exists()


@pytest.fixture
def rounded(tmp_path, run, model):
    """Export a model in 8 bits to a folder of its own."""

    def exported(head):
        folder, out = model(head), tmp_path / "out"
        loose = ("--to", "modernbert", "--int8", "--least-cosine", 0.5)
        assert run("export", folder, "--out", out, *loose)[0] == 0
        return folder, out

    return exported


def test_predictions_are_made_in_eight_bits(tmp_path, run, rounded):
    folder, out = rounded(HEADS["sequence"])
    rows = tmp_path / "t.txt"
    rows.write_text("\n".join(" ".join(WORDS[n:]) for n in range(4)))
    exact, here, there = (
        [json.loads(line) for line in run("predict", *given)[1].splitlines()]
        for given in (
            (folder, rows),
            (folder, rows, "--runtime", "int8"),
            (out, rows, "--runtime", "int8"),
        )
    )
    assert here == there != exact
    assert [row["prediction"] for row in here] == [row["prediction"] for row in exact]
    status, _, said = run("predict", out, rows)
    way = "was exported, and no weights: name one with --runtime, int8"
    assert (status, way in said) == (2, True), said


def test_masks_are_filled_in_eight_bits(run, rounded):
    _, out = rounded(MASKED_LM)
    asked = ("fill", out, "the packed [MASK] keeps", "--runtime", "int8", "--as-json")
    status, printed, said = run(*asked)
    assert status == 0, said
    assert len(json.loads(printed)[0]) == 5


def test_what_computed_vectors_is_kept_beside_them(tmp_path, run, rounded):
    _, out = rounded(None)
    documents = tmp_path / "documents.jsonl"
    documents.write_text(
        "".join(json.dumps({"id": str(n), "text": " ".join(WORDS[n:])}) + "\n" for n in range(5))
    )
    vectors, index = tmp_path / "vectors", tmp_path / "index"
    status, _, said = run("embed", out, documents, "--out", vectors, "--runtime", "int8")
    assert (status, "computed in 8 bits on cpu" in said) == (0, True), said
    assert json.loads((vectors / "embeddings.json").read_text())["runtime"] == "int8"
    other = ("--runtime", "onnx")
    status, _, said = run("embed", out, documents, "--out", vectors, *other)
    assert (status, "holds no graph 'onnx'" in said) == (2, True), said
    status, _, said = run("index", out, documents, "--out", index, "--runtime", "int8")
    assert status == 0, said
    assert json.loads((index / "index.json").read_text())["runtime"] == "int8"
    status, printed, said = run("search", index, " ".join(WORDS), "--json")
    assert status == 0, said
    assert '"0"' in printed.splitlines()[0]


def test_shapes_that_have_no_eight_bits_of_their_own_still_run(tmp_path, run):
    config = config_of(attention_bias=True, mlp_bias=True, num_layers=2)
    folder = tmp_path / "biased"
    fields = {name: getattr(config, name) for name in ("attention_bias", "mlp_bias", "num_layers")}
    made(MASKED_LM, **fields, tie_embeddings=False).save(folder)
    status, printed, said = run("fill", folder, "the [MASK]", "--runtime", "int8", "--as-json")
    assert status == 0, said
    assert len(json.loads(printed)) == 1
