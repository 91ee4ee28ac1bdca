"""What people give by mistake: each a sentence and status 2, and nothing of theirs is lost."""

import json
import os
import shutil

import pytest

from modernbert.base.records import to_plain
from modernbert.cli.main import main
from modernbert.data.corpus import Corpus
from modernbert.data.train_tokenizer import train
from tests.corpora import WORDS, texts, tokenizer, write_texts
from tests.runs import called, small_corpus, small_run
from tests.sentence_folders import made


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A tokenizer, and a corpus with the file that starts a run on it."""
    folder = tmp_path_factory.mktemp("place")
    tokenizer().save(folder / "tokenizer")
    small_corpus(folder)
    plain = {"format": 1, "config": to_plain(small_run(folder / "corpus", evaluate_tokens=0))}
    (folder / "small.json").write_text(json.dumps(plain))
    return folder


def prepare(place, given, out, *more):
    return ("prepare", given, "--tokenizer", place / "tokenizer", "--out", out, *more)


def test_an_empty_folder(place, refused, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "nothing to read in" in refused(*prepare(place, tmp_path / "empty", tmp_path / "out"))
    assert "nothing to read in" in refused(
        "train-tokenizer", tmp_path / "empty", "--out", tmp_path / "out"
    )
    assert not (tmp_path / "out").exists()


def test_a_path_that_is_not_there(place, refused, tmp_path):
    sentence = refused(*prepare(place, tmp_path / "no", tmp_path / "out"))
    assert f"{tmp_path / 'no'} does not exist: give a file or a folder with text" in sentence


def test_a_binary_file(place, refused, tmp_path):
    (tmp_path / "a.txt").write_bytes(bytes(range(256)) * 4)
    assert str(tmp_path / "a.txt") in refused(*prepare(place, tmp_path / "a.txt", tmp_path / "out"))


def test_invalid_utf8(place, refused, tmp_path, capsys):
    folder = write_texts(tmp_path / "texts", texts(30))
    (folder / "0001.txt").write_bytes(b"caf\xe9 " * 20)
    strict = prepare(place, folder, tmp_path / "strict", "--invalid-utf8", "stop")
    assert "0001.txt" in refused(*strict)
    with pytest.raises(SystemExit) as caught:
        main([str(each) for each in prepare(place, folder, tmp_path / "out")])
    assert caught.value.code == 0
    said = capsys.readouterr()
    assert "1 documents held bytes that are not UTF-8" in said.out + said.err


def test_documents_without_a_token(place, refused, tmp_path, capsys):
    (tmp_path / "empty.jsonl").write_text('{"text": ""}\n' * 3)
    sentence = refused(*prepare(place, tmp_path / "empty.jsonl", tmp_path / "none"))
    assert "no document is left to train on" in sentence
    rows = [{"text": ""}, *({"text": text} for text in texts(30))]
    (tmp_path / "some.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(SystemExit) as caught:
        main([str(each) for each in prepare(place, tmp_path / "some.jsonl", tmp_path / "out")])
    assert caught.value.code == 0
    said = capsys.readouterr()
    assert "1 documents without a token were dropped" in said.out + said.err


@pytest.fixture
def damaged(place, tmp_path):
    """A copy of the corpus, and the file that starts a run on it."""
    corpus = shutil.copytree(place / "corpus", tmp_path / "corpus")
    plain = json.loads((place / "small.json").read_text())
    plain["config"]["corpus"] = str(corpus)
    (tmp_path / "small.json").write_text(json.dumps(plain))
    return corpus


def test_a_flipped_byte(damaged, refused, tmp_path):
    shard = damaged / "books" / "train-00000.ids"
    data = bytearray(shard.read_bytes())
    data[1000] ^= 1
    shard.write_bytes(data)
    sentence = refused("pretrain", tmp_path / "small.json", "--out", tmp_path / "run")
    assert "train-00000" in sentence
    assert "document" in sentence


def test_another_tokenizer(damaged, refused, tmp_path):
    train(iter(texts(40, seed=5)), 576).save(damaged)
    sentence = refused("pretrain", tmp_path / "small.json", "--out", tmp_path / "run")
    assert f"the tokenizer in {damaged} is not the one the corpus was built with" in sentence
    assert not (tmp_path / "run").exists()


def test_no_corpus(place, refused, tmp_path):
    sentence = refused("pretrain", "tiny", "--corpus", tmp_path, "--out", tmp_path / "run")
    assert str(tmp_path) in sentence
    assert not (tmp_path / "run").exists()


def test_no_tokenizer(place, refused, tmp_path):
    sentence = refused(
        *("prepare", place / "texts-books", "--tokenizer", tmp_path, "--out", tmp_path / "out")
    )
    assert "give a folder that holds tokenizer.json" in sentence


def test_a_full_disk(place, tmp_path):
    out = tmp_path / "corpus"
    arguments = prepare(place, place / "texts-books", out)
    stopped = called(*arguments, limit_bytes=3000)
    assert stopped.returncode == 2, stopped.stderr
    assert stopped.stderr.splitlines()[-1].startswith("error: there is no room: ")
    assert "Traceback" not in stopped.stderr
    assert called(*arguments).returncode == 0


def test_a_faulty_command_in_a_process_of_its_own(tmp_path):
    plain = called("fill", "./no", "[MASK]")
    assert (plain.returncode, plain.stdout) == (2, "")
    assert plain.stderr == "error: there is no folder ./no, and it is no hub id (owner/name)\n"
    shown = called("fill", "./no", "[MASK]", "--debug")
    assert shown.returncode == 1
    assert "Traceback" in shown.stderr
    assert "CheckpointError: there is no folder ./no" in shown.stderr


@pytest.mark.parametrize("verb", ["", "pretrain"])
def test_help_takes_less_than_a_second(verb):
    def once() -> float:
        before = os.times()
        assert called(*[verb] * bool(verb), "--help").returncode == 0
        after = os.times()
        used = after.children_user - before.children_user
        return used + after.children_system - before.children_system

    # The least of three, in a processor's time: this machine does other things too.
    assert min(once() for _ in range(3)) < 1.0


@pytest.mark.slow
def test_one_line_of_fifty_megabytes(place, tmp_path):
    line = " ".join(WORDS * 1000)
    for source in ("long", "short"):
        (tmp_path / source).mkdir()
    (tmp_path / "long" / "long.txt").write_text(line * (50_000_000 // len(line)))
    (tmp_path / "short" / "short.txt").write_text("the packed batch " * 50)
    done = called(
        *("prepare", tmp_path / "long", tmp_path / "short", "--heldout-fraction", "0"),
        *("--tokenizer", place / "tokenizer", "--out", tmp_path / "out"),
    )
    assert done.returncode == 0, done.stderr
    assert Corpus.open(tmp_path / "out").token_counts("train")["long"] > 5_000_000


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "modules.json is not JSON"),
        (
            '[{"type": "sentence_transformers.models.Transformer", "path": "/"}]',
            "outside the folder",
        ),
        ('[{"type": "modeling_mine.Encoder"}]', "type 'modeling_mine.Encoder', which cannot be"),
    ],
)
def test_modules_that_cannot_be_used(content, sentence, refused, tmp_path):
    made().save(tmp_path)
    (tmp_path / "modules.json").write_text(content)
    (tmp_path / "modeling_mine.py").write_text("raise RuntimeError('this ran')")
    assert sentence in refused("fill", tmp_path, "the [MASK]")
