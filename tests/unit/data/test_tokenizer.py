import json
import math

import numpy as np
import pytest

from modernbert.base.errors import DataError
from modernbert.data import pieces as module
from modernbert.data.tokenizer import Tokenizer
from tests.corpora import SHARED, needs_shared_data, texts, tokenizer
from tests.sentence_folders import change

REAL = SHARED / "tokenizer" / "modernbert"


@pytest.fixture(scope="module")
def real():
    return Tokenizer.load(REAL)


def test_special_tokens_spelled_out_in_text_stay_text():
    given = "a [MASK] and [SEP][CLS] or [PAD]"
    (ids,) = tokenizer().encode_many([given])
    assert not tokenizer().special_ids & set(ids.tolist())
    assert tokenizer().decode(ids) == given


def test_a_prompt_has_a_mask_and_its_frame():
    ids = tokenizer().encode("the [MASK] batch")
    assert ids[0] == tokenizer().cls_id
    assert ids[-1] == tokenizer().sep_id
    assert (ids == tokenizer().mask_id).sum() == 1
    assert tokenizer().decode(ids, keep_special=True) == "[CLS]the[MASK] batch[SEP]"
    assert tokenizer().decode(ids) == "the batch"


def test_ordinary_ids_are_all_but_special_and_unused():
    inner = json.loads(tokenizer()._spec)
    unused = sum(token["content"].startswith("[unused") for token in inner["added_tokens"])
    assert unused > 0
    assert len(tokenizer().ordinary_ids) == tokenizer().vocab_size - 5 - unused
    assert not tokenizer().special_ids & set(tokenizer().ordinary_ids.tolist())


def test_saved_and_loaded_it_is_the_same(tmp_path):
    tokenizer().save(tmp_path)
    again = Tokenizer.load(tmp_path)
    assert again.fingerprint == tokenizer().fingerprint
    assert again.mask_id == tokenizer().mask_id
    again.save(tmp_path / "twice")
    for file in tmp_path.glob("*.json"):
        assert file.read_bytes() == (tmp_path / "twice" / file.name).read_bytes()


def test_transformers_opens_it_with_equal_ids(tmp_path):
    transformers = pytest.importorskip("transformers")
    tokenizer().save(tmp_path, max_length=77)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert theirs.model_max_length == 77
    assert theirs.model_input_names == ["input_ids", "attention_mask"]
    assert theirs.mask_token_id == tokenizer().mask_id
    for text in [*texts(5), "the [MASK] batch", "naïve  \n\t café 1a"]:
        found = theirs(text)
        assert found["input_ids"] == tokenizer().encode(text).tolist()
        assert set(found) == {"input_ids", "attention_mask"}


@pytest.mark.parametrize(
    ("told", "limit"),
    [
        (12, 12),
        (512.0, 512),
        *((told, None) for told in (int(1e30), 1e30, math.inf, 2, None, "many")),
    ],
)
def test_its_folder_may_name_the_longest_text(tmp_path, told, limit):
    assert tokenizer().max_length is None
    tokenizer().save(tmp_path)
    change(tmp_path / "tokenizer_config.json", model_max_length=told)
    found = Tokenizer.load(tmp_path)
    assert found.max_length == found.lower_cased().max_length == limit


def test_truncation_in_the_file_is_ignored(tmp_path):
    tokenizer().save(tmp_path)
    value = json.loads((tmp_path / "tokenizer.json").read_text())
    value["truncation"] = {
        "direction": "Right",
        "max_length": 4,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(value))
    again = Tokenizer.load(tmp_path)
    assert len(again.encode("one two three four five")) > 4
    assert again.fingerprint == tokenizer().fingerprint


def test_special_tokens_may_have_other_names(tmp_path):
    tokenizer().save(tmp_path)
    for file in tmp_path.iterdir():
        file.write_text(file.read_text().replace("[MASK]", "<mask>"))
    assert Tokenizer.load(tmp_path).mask_id == tokenizer().mask_id


def test_special_tokens_of_the_vocabulary_alone_are_kept(tmp_path):
    tokenizer().save(tmp_path / "first")
    path = tmp_path / "first" / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"added_tokens": []}))
    for other in ("tokenizer_config.json", "special_tokens_map.json"):
        (tmp_path / "first" / other).unlink(missing_ok=True)
    Tokenizer.load(tmp_path / "first").save(tmp_path / "second")
    assert Tokenizer.load(tmp_path / "second").mask_id == tokenizer().mask_id
    found = json.loads((tmp_path / "second" / "special_tokens_map.json").read_text())
    assert found["mask_token"] == "[MASK]"


def test_what_is_no_tokenizer_is_refused(tmp_path):
    with pytest.raises(DataError, match="no tokenizer at"):
        Tokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(DataError, match="not a tokenizer that can be read"):
        Tokenizer.load(tmp_path)
    tokenizer().save(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(DataError, match=r"tokenizer_config\.json is not JSON"):
        Tokenizer.load(tmp_path)


def test_a_tokenizer_without_mask_is_refused(tmp_path):
    tokenizer().save(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    config["mask_token"] = "<blank>"
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match=r"has no <blank>: masked language modelling needs"):
        Tokenizer.load(tmp_path)


def awkward_text():
    parts = [
        "It's 12a3b, isn't it?  Two spaces,\ttab\n\nlines \n mixed\r\n",
        "Ünïcödé e\u0301 \u0301x 日本語。テスト 😀 a\u00a0b\u2028c \x1cd\x1f e ",
        "[unused7] |||IP_ADDRESS||| x|||EMAIL_ADDRESS|||y [MASK]\n    def f(x):\n        pass\n",
        "0x1f2e3d4c5b6a " * 3,
    ]
    rng = np.random.default_rng(0)
    return "".join(rng.choice(parts, 60))


@pytest.mark.parametrize("size", [60, 100, 333])
def test_cutting_a_long_text_changes_no_id(monkeypatch, size):
    check_cut(tokenizer(), size, monkeypatch)


@needs_shared_data
@pytest.mark.parametrize("size", [60, 100, 333])
def test_cutting_changes_no_id_of_the_real_tokenizer(monkeypatch, real, size):
    check_cut(real, size, monkeypatch)


def check_cut(tokenizer, size, monkeypatch):
    text = awkward_text()
    (whole,) = tokenizer.encode_many([text])
    monkeypatch.setattr(module, "PIECE_CHARS", size)
    pieces = list(module.pieces_of(text, is_cuttable=tokenizer._is_cuttable))
    assert "".join(pieces) == text
    assert len(pieces) > 5
    assert max(map(len, pieces)) < 2 * size
    np.testing.assert_array_equal(tokenizer.encode_many([text, "x"])[0], whole)


@pytest.mark.parametrize("limit", [1, 7, 64, 100_000])
def test_the_begin_of_a_text_has_the_ids_of_the_whole(limit):
    many = [*texts(6, 2, 400), "", " " * 3000, "x" * 3000, "a " * 4000, "7b" * 900]
    whole, begun = (tokenizer().encode_texts(many, "a prompt: ", each) for each in (None, limit))
    for one, other in zip(whole, begun, strict=True):
        assert one[:limit].tolist() == other[:limit].tolist()
    assert (sum(map(len, begun)) < sum(map(len, whole)) / 2) == (limit < 100)


@needs_shared_data
def test_the_begins_of_real_texts_have_the_ids_of_the_whole(real):
    lines = (SHARED / "long" / "openstax-qa" / "corpus.jsonl").read_text().splitlines()[:40]
    many = [json.loads(line)["text"] for line in lines]
    whole, begun = (real.encode_texts(many, "", each) for each in (None, 200))
    assert [ids[:200].tolist() for ids in whole] == [ids[:200].tolist() for ids in begun]
    assert sum(map(len, begun)) < sum(map(len, whole)) / 4


def test_a_text_without_a_place_to_cut_is_cut_all_the_same(monkeypatch):
    monkeypatch.setattr(module, "PIECE_CHARS", 10)
    text = "日本語テスト" * 40
    assert max(map(len, module.pieces_of(text, is_cuttable=True))) == 20
    assert tokenizer().decode(tokenizer().encode_many([text])[0]) == text


@needs_shared_data
def test_transformers_agrees_on_the_real_tokenizer(tmp_path, real):
    transformers = pytest.importorskip("transformers")
    real.save(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in [*texts(3), "def f(x):\n        return [MASK]", "naïve  \n\t café 1a"]:
        assert theirs(text)["input_ids"] == real.encode(text).tolist()


@needs_shared_data
def test_the_real_tokenizer_is_understood(real):
    assert real.vocab_size == 50368
    assert (real.unk_id, real.cls_id, real.sep_id, real.pad_id, real.mask_id) == (
        50280,
        50281,
        50282,
        50283,
        50284,
    )
    assert len(real.ordinary_ids) == 50368 - 83 - 7
    (ids,) = real.encode_many(["[MASK]<|endoftext|>[SEP]"])
    assert not real.special_ids & set(ids.tolist())
    assert real.encode_many(["|||IP_ADDRESS|||", "x    y"])[0].tolist() == [0]
    assert real._is_cuttable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the packed", ["the", "packed"]),
        ("two  blanks\tand a tab", None),
        ("na\u00efve caf\u00e9 \U0001f600\U0001f44d\U0001f3fd", None),
        ("\u65b0\u3057\u3044 \u6771\u4eac a\u200bb", None),
        ("", []),
    ],
)
def test_offsets_are_of_the_text_without_blanks(text, expected):
    ((ids, offsets),) = tokenizer().encode_with_offsets([text])
    assert np.array_equal(ids, tokenizer().encode_many([text])[0])
    assert offsets.shape == (len(ids), 2)
    parts = [text[start:stop] for start, stop in offsets.tolist()]
    assert all(part == part.strip() or not part.strip() for part in parts)
    covered = {place for start, stop in offsets.tolist() for place in range(start, stop)}
    assert covered >= {place for place, char in enumerate(text) if not char.isspace()}
    if expected is not None:
        assert "".join(parts) == "".join(expected)
