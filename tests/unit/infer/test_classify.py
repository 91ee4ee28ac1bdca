import io
import json

import pytest
import torch

from modernbert.base.errors import ConfigError, DataError
from modernbert.batch import pack
from modernbert.data.columns import Columns
from modernbert.data.table import open_table
from modernbert.infer.classify import classify, label_scores
from modernbert.infer.engine import Engine
from modernbert.infer.predict import Writer, form_of, predict
from modernbert.infer.pretrained import load
from modernbert.infer.sayings import Wishes
from modernbert.infer.work import computed
from modernbert.model.config import HeadConfig
from modernbert.model.hf_kept import TEXT_COLUMNS
from tests.sentence_folders import change, made

TEXTS = ["the packed batch", "every token keeps its place", "apart " * 40]
LABELS = ("sea", "land", "air")


def model(problem="single_label", labels=LABELS):
    return made(HeadConfig(kind="sequence", labels=labels, problem=problem))


def test_scores_are_the_model_s_own_and_keep_their_order():
    ours = model()
    found = label_scores(ours, TEXTS)
    for text, row in zip(TEXTS, found, strict=True):
        with torch.no_grad():
            alone = ours(pack([ours.tokenizer.encode(text).tolist()]))
        torch.testing.assert_close(row[None], alone, rtol=1e-4, atol=1e-5)


def test_the_likeliest_label_comes_first():
    for labels, scores in zip(classify(model(), TEXTS), label_scores(model(), TEXTS), strict=True):
        assert labels[0].name == LABELS[scores.argmax()]
        assert sum(label.score for label in labels) == pytest.approx(1)
    several = classify(model("multi_label"), TEXTS)[0]
    right = label_scores(model("multi_label"), TEXTS)[0].sigmoid().sort(descending=True)
    assert [label.score for label in several] == pytest.approx(right.values.tolist())
    (value,) = classify(model("regression", ("stars",)), TEXTS)[0]
    assert value.score == pytest.approx(
        label_scores(model("regression", ("stars",)), TEXTS)[0].item()
    )


def test_pairs_are_read_as_in_training():
    ours = model()
    (scores,) = label_scores(ours, [("the packed batch", "every token")])
    tokens = ours.tokenizer
    one, two = (ids.tolist() for ids in tokens.encode_many(["the packed batch", "every token"]))
    ids = [tokens.cls_id, *one, tokens.sep_id, *two, tokens.sep_id]
    with torch.no_grad():
        torch.testing.assert_close(scores[None], ours(pack([ids])), rtol=1e-4, atol=1e-5)


def limited(head, folder, limit):
    """The model as it is read from a folder whose tokenizer names a limit."""
    made(head).save(folder)
    change(folder / "tokenizer_config.json", model_max_length=limit)
    return load(folder)


def test_a_text_is_cut_where_the_tokenizer_s_folder_says(tmp_path):
    ours = limited(HeadConfig(kind="sequence", labels=LABELS), tmp_path, 12)
    long, tokens = "every token keeps its place apart " * 9, ours.tokenizer
    ids = [*tokens.encode(long).tolist()[:11], tokens.sep_id]
    with torch.no_grad():
        right = ours(pack([ids]))
    torch.testing.assert_close(label_scores(ours, [long]), right, rtol=1e-4, atol=1e-5)
    change(tmp_path / "tokenizer_config.json", model_max_length=int(1e30))
    whole = load(tmp_path)
    assert (ours.max_length, whole.max_length) == (12, 512)
    assert not torch.allclose(label_scores(whole, [long]), right, rtol=1e-3)


@pytest.mark.parametrize("kind", ["tokens", "spans", "choice"])
def test_other_heads_are_given_no_more_than_that(tmp_path, kind, monkeypatch):
    names = {"labels": ("O", "B-X")} if kind == "tokens" else {}
    engine = Engine(limited(HeadConfig(kind=kind, **names), tmp_path, 24))
    read, text = [], "every token keeps its place apart " * 20
    asked = {
        "tokens": ("tag", [text]),
        "spans": ("answer", [("who", text)]),
        "choice": ("choose", [text], [["a place", "a token"]]),
    }
    name, *given = asked[kind]
    monkeypatch.setattr(
        "modernbert.infer.engine.computed",
        lambda model, work: (
            read.extend(each.ids for each in work.documents) or computed(model, work)
        ),
    )
    getattr(engine, name)(*given)
    assert max(map(len, read)) == 24


def test_what_cannot_be_labelled_is_said():
    with pytest.raises(ConfigError, match="no head that labels texts: make one with `modernbert f"):
        classify(made(), TEXTS)
    assert classify(model(), []) == classify(model("regression", ("stars",)), []) == []
    for text in (None, ("a", "b", "c"), ("a", 1)):
        with pytest.raises(DataError, match="is neither a text nor a pair of texts: give either"):
            classify(model(), [text])
    learned = model()
    learned.model.kept = {TEXT_COLUMNS: ["first", "second"]}
    with pytest.raises(DataError, match="learned from pairs of texts: give pairs of texts"):
        classify(learned, ["one"])
    learned.model.kept = {TEXT_COLUMNS: ["text"]}
    with pytest.raises(DataError, match="learned from single texts: give single texts"):
        classify(learned, [("one", "two")])
    with pytest.raises(DataError, match="some of the texts are pairs and some are not: give them"):
        classify(model(), ["one", ("one", "two")])


def table_of(path, count=700):
    rows = [{"id": n, "text": f"text number {n}", "label": "?"} for n in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return open_table(path, "test"), rows


def test_rows_come_back_in_order_with_what_is_said_of_them(tmp_path):
    table, rows = table_of(tmp_path / "t.jsonl")
    found = list(predict(model(), table, Columns(), Wishes(gives_all=True)))
    assert [{key: row[key] for key in rows[0]} for row in found] == rows
    labels = classify(model(), [row["text"] for row in rows])
    assert [row["prediction"] for row in found] == [each[0].name for each in labels]
    assert [row["probability"] for row in found] == pytest.approx(
        [each[0].score for each in labels]
    )
    assert found[0]["probabilities"].keys() == set(LABELS)


def test_rows_are_read_as_they_are_asked_for(tmp_path):
    table, _ = table_of(tmp_path / "t.jsonl", count=5000)
    first = next(iter(predict(model(), table, Columns(), Wishes())))
    assert first["id"] == 0
    assert table.bytes_read < table.size_bytes


def test_several_labels_are_a_list_and_numbers_are_numbers(tmp_path):
    table, _ = table_of(tmp_path / "t.jsonl", count=9)
    for row in predict(model("multi_label"), table, Columns(), Wishes()):
        assert all(share > 0.5 for share in row["probability"])
        assert len(row["prediction"]) == len(row["probability"])
    for row in predict(model("regression", ("stars",)), table, Columns(), Wishes(gives_all=True)):
        assert isinstance(row["prediction"], float)
        assert "probability" not in row


def test_columns_of_the_file_stay_as_they_are(tmp_path, capsys):
    rows = [{"text": f"text {n}", "prediction": "mine"} for n in range(1200)]
    rows[3] |= {"model_prediction": 1, "number": 2}
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = open_table(tmp_path / "t.jsonl", "test")
    found = list(predict(model(), table, Columns("text"), Wishes()))
    assert [{key: each[key] for key in row} for each, row in zip(found, rows, strict=True)] == rows
    new = {"model_model_prediction", "probability"}
    assert all(each.keys() - row.keys() == new for each, row in zip(found, rows, strict=True))
    said = "the file has a column 'prediction': the model's is called 'model_model_prediction'"
    assert capsys.readouterr().err.count(said) == 1


def test_rows_are_written_as_lines_or_cells():
    rows = [{"text": 'a "b"\n', "prediction": ["x", "y"], "more": {"x": 1}}, {"text": "c"}]
    lines, cells = io.StringIO(), io.StringIO()
    assert Writer(lines, "jsonl").write(rows) == 2
    assert [json.loads(line) for line in lines.getvalue().splitlines()] == rows
    Writer(cells, "csv").write(rows)
    assert cells.getvalue() == 'text,prediction,more\n"a ""b""\n",x|y,"{""x"": 1}"\nc,,\n'


def test_what_a_csv_cannot_hold_is_said_once(capsys):
    rows = [{"text": "a"}, *({"text": "b", "id": n, "when": 1} for n in range(9))]
    lines, cells = io.StringIO(), io.StringIO()
    Writer(lines, "jsonl").write(rows)
    assert not capsys.readouterr().err
    Writer(cells, "csv").write(rows)
    assert cells.getvalue() == "text\na\n" + "b\n" * 9
    said = "left out, since the first row does not have them: id, when; a .jsonl keeps them\n"
    assert capsys.readouterr().err == said


def test_the_form_follows_from_the_name(tmp_path):
    assert form_of(tmp_path / "A.CSV") == "csv"
    with pytest.raises(ConfigError, match=r"is neither \.jsonl nor \.csv: name one of these"):
        form_of(tmp_path / "out.txt")
