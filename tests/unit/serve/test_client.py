import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from modernbert.base.errors import ConfigError, DataError, MachineError, NumbersError
from modernbert.infer.engine import Engine
from modernbert.retrieval.index import Index
from modernbert.serve.asking import Asker
from modernbert.serve.client import Client
from modernbert.serve.keys import digest_of_key
from modernbert.serve.settings import Settings
from tests.indexes import queries
from tests.served import index_of, models, served
from tests.unit.infer.test_shared import ASKED, plain

TEXTS = ["the packed batch", "every token keeps its place"]


@pytest.mark.parametrize("name", ASKED)
def test_a_client_says_what_an_engine_says(all_models, name):
    client, engine = Client(all_models.url), Engine(models()[name])
    assert client.abilities()[name] == engine.abilities
    for each, given, more in ASKED[name]:
        right = getattr(engine, each)(*given, **more)
        found = getattr(client, each)(*given, **more, model=name)
        if each == "embed":
            assert (found.dtype, found.shape) == (right.dtype, right.shape)
            if found.dtype == np.float32:
                np.testing.assert_allclose(found, right, atol=1e-4)
            else:  # a number beside a border may be rounded to either side of it
                assert (found == right).mean() > 0.9
        else:
            assert plain(found) == plain(right, is_near=True)
            assert type(found[0]) is type(right[0])


def test_pairs_words_and_ids_are_sent_too(all_models):
    client = Client(all_models.url)
    pair = tuple(TEXTS)
    right = Engine(models()["labels"]).classify([pair])
    assert plain(client.classify([pair], model="labels")) == plain(right, is_near=True)
    assert len(client.tag([["the", "place"]])) == 1
    ids = models()["dense"].tokenizer.encode(TEXTS[0])
    found = client.embed([ids, TEXTS[0]], dimensions=np.int64(8), model="dense")
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


def test_tokens_are_compared(all_models):
    client, engine = Client(all_models.url), Engine(models()["late"])
    found = client.maxsim(TEXTS[:1], TEXTS)
    (query,) = engine.token_vectors(TEXTS[:1], is_query=True)
    right = [(query @ each.T).max(1).sum() for each in engine.token_vectors(TEXTS, is_query=False)]
    np.testing.assert_allclose(found, [right], rtol=1e-4)


def test_an_index_is_searched(tmp_path):
    folder = index_of(tmp_path, "dense")
    with served(None, ("pairs",), index=folder) as running:
        found = Client(running.url).search(queries(), number=3)
    right = Index.open(folder).search(queries())
    assert [[hit.id for hit in hits] for hits in found] == [
        [hit.id for hit in hits[:3]] for hits in right
    ]
    assert found[0][0].snippet == right[0][0].snippet
    assert found[0][0].text == right[0][0].text


def test_errors_are_those_of_an_engine(all_models):
    client = Client(all_models.url)
    with pytest.raises(ConfigError, match="there is no model 'none'"):
        client.embed(TEXTS, model="none")
    with pytest.raises(ConfigError, match="no model here that tags words"):
        client.tag(TEXTS, model="dense")
    with pytest.raises(DataError, match="give at least one"):
        client.embed([])
    with pytest.raises(DataError, match=r"the text has no \[MASK\]"):
        client.fill(["x"])
    with pytest.raises(DataError, match="is no pair of a question and a text: give both"):
        client.answer(["where"])
    with pytest.raises(DataError, match="options is a single text: give a list of texts"):
        client.choose(["x"], ["ab"])
    with pytest.raises(DataError, match="filter is a single text"):
        client.search(["x"], filter="year>=2020")
    with pytest.raises(DataError, match=r"^texts: Field required$"):
        Client(all_models.url + "/v1").embed(["a"])
    with pytest.raises(ConfigError, match="5 is no address of a server"):
        Client(5)
    with pytest.raises(DataError, match="there are 1 questions and 2 lists of options: give one"):
        client.choose(["x"], [["a", "b"], ["c", "d"]])
    with pytest.raises(DataError, match="is neither a text nor a pair of texts: give either"):
        client.classify([("a", "b", "c")])
    with pytest.raises(ConfigError, match="'localhost' is no address of a server: give one such"):
        Client("localhost")
    with pytest.raises(
        MachineError, match=r"no server answers at http://127\.0\.0\.1:1: start one"
    ):
        Client("http://127.0.0.1:1").embed(TEXTS)


def test_what_cannot_be_asked_is_said(all_models):
    with pytest.raises(DataError, match="texts is a single text: give a list of texts"):
        Client(all_models.url).embed("abc")
    with pytest.raises(ConfigError, match="is no address of a server"):
        Client("http://127.0.0.1:99999")
    small = served(Settings(max_body_bytes=1000), ("dense",))
    with small as running, pytest.raises(DataError, match="the body has more than 1,000 bytes"):
        Client(running.url).embed(["a" * 5_000_000])


def test_keys_are_sent():
    with served(None, ("dense",), digests=(digest_of_key("clé 🔑".encode()),)) as running:
        assert Client(running.url + "/", key="clé 🔑").embed(TEXTS).shape == (2, 32)
        with pytest.raises(ConfigError, match="a key is missing or wrong"):
            Client(running.url).embed(TEXTS)
        with pytest.raises(ConfigError, match=r"^a key is missing or wrong"):
            Client(running.url).abilities()
    with pytest.raises(ConfigError, match="a character that no header can hold"):
        Client(key="key\n")


def test_a_client_comes_again_when_it_is_told_to(monkeypatch):
    waits = []
    monkeypatch.setattr("modernbert.serve.asking.time", SimpleNamespace(sleep=waits.append))
    with served(Settings(max_waiting_items=1), ("dense",)) as running:
        room = running.shelf.models[0].engine.room
        assert room.take(1)
        with pytest.raises(MachineError, match="ask again in 1 s"):
            Client(running.url, tries=3).embed(["x"])
        assert waits == [1.0, 1.0]
        room.give_back(1)
        assert Client(running.url).embed(["x"]).shape == (1, 32)


def test_connections_are_kept_and_opened_anew():
    with served(None, ("dense",)) as running:
        asker = Asker(running.url, None, timeout_s=30, tries=1)
        asker.ask("/embed", {"inputs": "x"})
        (first,) = asker._idle
        asker.ask("/embed", {"inputs": "x"})
        assert asker._idle == [first]
        first.sock.close()  # as if the server had closed it meanwhile
        assert len(asker.ask("/embed", {"inputs": "x"})[0]) == 32
        with ThreadPoolExecutor(4) as threads:
            found = threads.map(lambda _: len(asker.ask("/embed", {"inputs": "x"})), range(8))
            assert {*found} == {1}
        assert 1 <= len(asker._idle) <= 5


def test_what_took_too_long_is_not_asked_again(monkeypatch):
    asked = []

    def once(*_):
        asked.append(1)
        return 503, {}, b'{"error": "the answer was not there after 8 s: send less at a time"}'

    monkeypatch.setattr(Asker, "_once", once)
    with pytest.raises(MachineError, match="send less at a time"):
        Client().embed(["x"])
    assert len(asked) == 1


def test_another_server_is_not_taken_for_one(monkeypatch):
    monkeypatch.setattr(Asker, "_once", lambda *_: (200, {}, b"<html>"))
    with pytest.raises(MachineError, match="and not as `modernbert serve` does: check the"):
        Client(tries=0).embed(["x"])


def test_numbers_that_are_none_are_said(all_models, monkeypatch):
    monkeypatch.setattr(Asker, "_once", lambda *_: (500, {}, b'{"error": "NaN"}'))
    with pytest.raises(NumbersError, match="NaN"):
        Client(all_models.url).embed(["x"])


def test_a_client_needs_neither_torch_nor_the_servers_packages():
    code = (
        "import sys, modernbert; modernbert.Client; import modernbert.serve.settings\n"
        "sys.exit(' '.join({'torch', 'starlette', 'uvicorn'} & {*sys.modules}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.stderr.strip() == ""
