import json
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from modernbert.base.errors import ConfigError, MachineError
from modernbert.bench.runtimes import OURS
from modernbert.bench.serving import opened_of
from modernbert.bench.serving_case import ServingCase
from modernbert.bench.serving_contest import Contest, Sample, Turn, difference_of
from modernbert.bench.serving_report import facts_of, report
from modernbert.bench.serving_servers import (
    INFINITY,
    NAIVE,
    Server,
    running,
    servers,
    vector_of,
    versions_of,
)
from modernbert.cli.main import main
from modernbert.infer.pretrained import Pretrained
from tests.corpora import texts, tokenizer
from tests.nets import config_of, lively
from tests.unit.bench.test_serving_figures import point

SERVES = """
import json, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(b"")
    def do_POST(self):
        told = json.loads(self.rfile.read(int(self.headers["content-length"])))
        vector = [len(each) for each in told.get("inputs", told.get("input"))]
        tei = self.path == "/embed"
        self.answer(json.dumps([vector] if tei else {"data": [{"embedding": vector}]}).encode())
    def answer(self, body):
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    tokens = tokenizer()
    ids = {"pad_id": tokens.pad_id, "cls_id": tokens.cls_id, "sep_id": tokens.sep_id}
    config = config_of(vocab_size=tokens.vocab_size, max_length=64, **ids)
    place = tmp_path_factory.mktemp("serving") / "model"
    Pretrained(lively(config), tokens).save(place)
    return place


def server_of(code, name="other", dialect="tei"):
    return Server(name=name, command=(sys.executable, "-c", code, "{port}"), dialect=dialect)


def turn(tokens, idle=(10.0, 20.0, 30.0), beside=(20.0, 40.0, 50.0)):
    return Turn(
        {1: point(tokens, 10.0), 4: point(3 * tokens, 10 * tokens)},
        point(query=idle),
        point(query=beside, document=(500.0, 600.0, 700.0)),
    )


def test_the_best_peer_sets_the_bound():
    turns = {OURS: [turn(4.0), turn(6.0)], "slow": [turn(1.0)] * 2, "quick": [turn(2.0)] * 2}
    found = facts_of(turns, {"gone": "it failed"})
    assert (found["best_peer"], found["bound_ms"]) == ("quick", 20.0)
    sides = found["sides"]
    # At 4 clients ours takes longer than the bound.
    assert sides[OURS]["within_bound"]["clients"] == 1
    assert sides["quick"]["within_bound"]["clients"] == 4
    assert sides["quick"]["within_bound"]["ours_is_faster"] == pytest.approx(5 / 6, abs=1e-3)
    assert sides["slow"]["points"]["4"]["ours_is_faster"] == 5.0
    assert sides["slow"]["points"]["4"]["quartiles"] == [4.5, 5.5]
    assert sides[OURS]["short"]["p95_over_idle_p95"] == 2.0
    assert sides[OURS]["short"]["p95_over_idle_p50"] == 4.0
    assert sides["gone"] == {"failed": "it failed"}
    said = report(found)
    assert "Most within a p95 of 20 ms, that of quick:" in said
    assert "| slow | 4 | 1.0 | 3 | 5.00 (4.50 to 5.50) |" in said
    assert "| modernbert | 10 / 20 / 30 | 20 / 40 / 50 | 2.00 | 4.00 | 500 / 600 / 700 |" in said


def test_ours_alone_has_nothing_beside_it():
    found = facts_of({OURS: [turn(4.0)] * 2}, {})
    assert (found["best_peer"], found["bound_ms"]) == (None, None)
    assert "Most within" not in report(found)


def test_a_side_whose_points_all_have_errors_is_not_within_the_bound():
    bad = Turn({1: point(0.0, errors=3)}, point(), point())
    found = facts_of({OURS: [turn(4.0)] * 2, "bad": [bad] * 2}, {})
    assert found["sides"]["bad"]["within_bound"] is None
    assert "ours_is_faster" not in found["sides"]["bad"]["points"]["1"]
    assert "| bad | - | - | - | - |" in report(
        facts_of({OURS: [turn(4.0)] * 2, "bad": [bad] * 2, "quick": [turn(2.0)] * 2}, {})
    )


@pytest.mark.parametrize("dialect", ["tei", "openai"])
def test_a_server_runs_as_long_as_it_is_needed(tmp_path, dialect):
    with running(server_of(SERVES, dialect=dialect), tmp_path / "log") as port:
        assert vector_of(port, dialect, "abc") == [3]
    assert vector_of(port, dialect, "abc") is None


def test_a_server_that_ends_is_told_with_its_last_words(tmp_path):
    server = server_of("raise SystemExit('no such model')", name="theirs")
    with (
        pytest.raises(MachineError, match=r"theirs does not answer.*\(no such model\): try .*-c"),
        running(server, tmp_path / "log"),
    ):
        pass


def test_a_peer_with_other_vectors_is_left_out_and_ours_is_not(tmp_path, capsys):
    contest = Contest(tmp_path, ServingCase(), Sample(["a", "bb"], [[1.0], [-1.0]]))
    assert contest.seconds(server_of(SERVES)) is None
    assert "the vectors of other differ by 2, and 0.001 is let pass" in contest.failures["other"]
    assert "other is left out" in capsys.readouterr().err
    silent = SERVES.replace('self.path == "/embed"', "1 / 0")
    with pytest.raises(MachineError, match=f"{OURS} gives some texts no vector: leave it out"):
        contest.seconds(server_of(silent, name=OURS))


def test_vectors_of_any_length_are_compared():
    assert difference_of([[3.0, 4.0]], [[0.6, 0.8]]) < 1e-12
    assert difference_of([[1.0, 0.0]], [[0.0, 1.0]]) == pytest.approx(2**0.5)
    assert difference_of([[1.0, 0.0]], [[1.0]]) == float("inf")


def test_infinity_is_asked_for_and_need_not_be_there():
    python = Path(sys.executable)
    assert [each.name for each in servers(Path("model"), None, 1)] == [OURS, NAIVE]
    assert [each.name for each in servers(Path("model"), python, 1)] == [OURS, NAIVE, INFINITY]
    assert versions_of(python) is None


def test_a_preset_gets_weights_and_reads_long_documents():
    opened = opened_of("tiny", texts(40))
    assert opened.sentence.config.max_length == 8192
    assert opened.embed(["the packed batch"]).shape == (1, 128)


@pytest.mark.parametrize("fields", [{"rounds": 1}, {"clients": ()}, {"clients": (0,)}])
def test_senseless_sizes_are_refused(fields):
    with pytest.raises(ConfigError, match="rounds is 2 or more, seconds above 0, and every other"):
        ServingCase(**fields)


def test_every_kind_of_request_is_sent():
    with pytest.raises(ConfigError, match="leave at least 1 to each kind, and to queries"):
        ServingCase(passages=99, documents=1)


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("fastapi"), reason="fastapi is not installed here")
def test_the_command_appends_a_row(model, tmp_path):
    asked = ["bench", "serving", model, "--infinity", sys.executable, "--out", tmp_path]
    sizes = ["--clients", "2", "--seconds", "0.5", "--rounds", "2", "--documents", "10"]
    with pytest.raises(SystemExit) as caught:
        main([*map(str, asked), *sizes])
    assert not caught.value.code
    (row,) = map(json.loads, (tmp_path / "serving.jsonl").read_text().splitlines())
    assert (row["model"], row["best_peer"], row["clients"]) == ("model", NAIVE, [2])
    for name in (OURS, NAIVE):
        found = row["sides"][name]["points"]["2"]
        assert found["errors"] == 0
        assert found["tokens_per_second"] > 0
        assert found["latency_ms"]["all"][0] > 0
        assert row["sides"][name]["short"]["p95_over_idle_p50"] > 0
    assert "No module named" in row["sides"][INFINITY]["failed"]
    assert row["length_quartiles"]["document"] == [64, 64, 64]
