import json
from pathlib import Path

import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers

from modernbert.data.tokenizer import Tokenizer
from modernbert.data.train_tokenizer import SPECIALS, train
from modernbert.data.vocabulary import entries, match
from tests.corpora import SHARED, needs_shared_data, texts, tokenizer

REAL = SHARED / "tokenizer" / "modernbert"


def with_specials(model, pre=None, decoder=None, normalizer=None) -> Tokenizer:
    inner = tokenizers.Tokenizer(model)
    inner.pre_tokenizer, inner.decoder, inner.normalizer = pre, decoder, normalizer
    inner.add_special_tokens([AddedToken(name, special=True) for name in SPECIALS])
    return Tokenizer(inner)


def word_piece(*words) -> Tokenizer:
    vocabulary = {name: number for number, name in enumerate([*SPECIALS, *words])}
    return with_specials(
        models.WordPiece(vocabulary, unk_token="[UNK]"),
        pre_tokenizers.BertPreTokenizer(),
        decoders.WordPiece(),
        normalizers.BertNormalizer(lowercase=True),
    )


def unigram(*words, **more) -> Tokenizer:
    listed = [(name, 0.0) for name in SPECIALS] + [(word, -float(len(word))) for word in words]
    return with_specials(
        models.Unigram(listed, 0, **more), pre_tokenizers.Metaspace(), decoders.Metaspace()
    )


def byte_level(*words) -> Tokenizer:
    """A tokenizer of single bytes and these words, whose merges build each from its left."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [(word[:end], word[end]) for word in words for end in range(1, len(word))]
    names = [*SPECIALS, *alphabet, *dict.fromkeys(a + b for a, b in merges)]
    return with_specials(
        models.BPE({name: number for number, name in enumerate(names)}, merges),
        pre_tokenizers.ByteLevel(add_prefix_space=False),
        decoders.ByteLevel(),
    )


def surfaces(tokens: Tokenizer) -> dict[int, bytes]:
    return {entry.token: entry.surface for entry in entries(tokens)}


def permuted(tokens: Tokenizer) -> tuple[Tokenizer, dict[int, int]]:
    """Return the same tokenizer with its ids in reverse order, and each new id's old one."""
    spec = json.loads(json.dumps(tokens.spec))
    last = tokens.vocab_size - 1
    named = spec["model"]["vocab"] | {each["content"]: each["id"] for each in spec["added_tokens"]}
    spec["model"]["vocab"] = {name: last - i for name, i in named.items()}
    for each in spec["added_tokens"]:
        each["id"] = last - each["id"]
    spec["added_tokens"].sort(key=lambda each: each["id"])
    for each in spec["post_processor"]["special_tokens"].values():
        each["ids"] = [last - i for i in each["ids"]]
    new = Tokenizer(tokenizers.Tokenizer.from_str(json.dumps(spec)))
    return new, {last - i: i for i in range(tokens.vocab_size)}


def found(old: Tokenizer, new: Tokenizer) -> dict[bytes, tuple[bytes, ...]]:
    """Return each new token's bytes with the bytes of the old tokens it is made of."""
    theirs, sources = surfaces(old), match(old, new).sources
    return {
        bytes_: tuple(theirs[i] for i in sources[token]) for token, bytes_ in surfaces(new).items()
    }


def test_the_same_vocabulary_in_another_order_is_found_whole():
    old = tokenizer()
    new, origin = permuted(old)
    result = match(old, new)
    assert result.sources == tuple((origin[token],) for token in range(new.vocab_size))
    assert (result.num_kept, result.num_averaged, result.num_fresh) == (512, 0, 0)


def test_a_byte_level_token_that_is_new_is_made_of_its_pieces():
    old, new = byte_level("Ġthe"), byte_level("Ġtheory", "Ã©t")
    pairs = found(old, new)
    assert pairs[b" the"] == (b" the",)
    assert pairs[b" theo"] == (b" the", b"o")
    assert pairs[b" theory"] == (b" the", b"o", b"r", b"y")
    assert pairs["ét".encode()] == (b"\xc3", b"\xa9", b"t")


def test_part_of_a_letter_is_spelled_byte_by_byte():
    old, new = byte_level(), byte_level("ð\x9f".replace("\x9f", "Ł"))
    assert found(old, new)[b"\xf0\x9f"] == (b"\xf0", b"\x9f")


def test_kinds_of_tokenizers_are_compared_by_what_their_tokens_say():
    bpe = byte_level("Ġthe", "Ġtoken", "ing")
    pieces = word_piece("the", "token", "##ing", ",", "##s", "thing")
    pairs = found(bpe, pieces)
    assert pairs[b" the"] == (b" the",)
    assert pairs[b"ing"] == (b"ing",)
    assert pairs[b","] == (b",",)
    assert pairs[b"s"] == (b"s",)
    assert pairs[b" thing"] == (b" th", b"ing")
    spoken = unigram("\u2581the", "\u2581token", "ing", "s", "<0x41>", byte_fallback=True)
    pairs = found(pieces, spoken)
    assert pairs[b" the"] == (b" the",)
    assert pairs[b"ing"] == (b"ing",)
    assert pairs[b"A"] == ()  # WordPiece knows no such letter
    assert found(spoken, pieces)[b" token"] == (b" token",)


def test_any_kind_has_a_fingerprint_and_survives_its_files(tmp_path):
    for name, tokens in (("pieces", word_piece("the", "##s")), ("spoken", unigram("\u2581the"))):
        tokens.save(tmp_path / name)
        again = Tokenizer.load(tmp_path / name)
        assert again.fingerprint == tokens.fingerprint
        assert match(tokens, again).num_kept == tokens.vocab_size
    assert word_piece("the").fingerprint != word_piece("##s").fingerprint


def test_special_tokens_are_found_by_their_role_and_text_never_is_one():
    old, new = byte_level("Ġthe"), unigram("\u2581the", "[CLS]x")
    result = match(old, new)
    roles = [(i,) for i in (old.unk_id, old.cls_id, old.sep_id, old.pad_id, old.mask_id)]
    assert [result.sources[i] for i in new.role_ids] == roles
    special = set(old.role_ids)
    ordinary = [result.sources[i] for i in new.ordinary_ids.tolist()]
    assert not any(special & set(ids) for ids in ordinary)


def test_names_of_special_tokens_may_differ(tmp_path):
    spec = json.loads(json.dumps(tokenizer().spec))
    text = json.dumps(spec).replace("[CLS]", "<s>").replace("[MASK]", "<mask>")
    (tmp_path / "tokenizer.json").write_text(text)
    names = {"cls_token": "<s>", "mask_token": {"content": "<mask>"}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(names))
    new = Tokenizer.load(tmp_path)
    sources = match(tokenizer(), new).sources
    assert sources[new.cls_id] == (tokenizer().cls_id,)
    assert sources[new.mask_id] == (tokenizer().mask_id,)


def test_unused_tokens_are_matched_by_name_and_never_spelled():
    small, large = train(iter(texts(3, longest=5)), 512), train(iter(texts(3, longest=5)), 576)
    sources = match(small, large).sources
    names = {i: name for name, i in ((t["content"], t["id"]) for t in large.spec["added_tokens"])}
    unused = {i: name for i, name in names.items() if name.startswith("[unused")}
    known = {t["content"]: t["id"] for t in small.spec["added_tokens"]}
    assert len(unused) > 64
    for token, name in unused.items():
        assert sources[token] == ((known[name],) if name in known else ())


@needs_shared_data
def test_the_real_tokenizer_is_read_whole():
    real = Tokenizer.load(Path(REAL))
    pairs = surfaces(real)
    assert len(pairs) == 50_368
    assert pairs[real.encode(" the")[1]] == b" the"
    text = "naïve café 🤗 x = 3\n"
    assert b"".join(pairs[i] for i in real.encode(text)[1:-1].tolist()) == text.encode()
    ours, sources = surfaces(tokenizer()), match(real, tokenizer()).sources
    unknown = {ours[token] for token in tokenizer().ordinary_ids.tolist() if not sources[token]}
    # The thirteen bytes that UTF-8 never uses.
    assert unknown == {bytes([each]) for each in (0xC0, 0xC1, *range(0xF5, 0x100))}


def with_blanks(*words, blanks) -> Tokenizer:
    """A byte-level tokenizer that also looks for runs of blanks before anything else."""
    spec = json.loads(json.dumps(byte_level(*words).spec))
    size = byte_level(*words).vocab_size
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "special": False}
    spec["added_tokens"] += [
        {"id": size + n, "content": blank, "normalized": True, **flags}
        for n, blank in enumerate(blanks)
    ]
    return Tokenizer(tokenizers.Tokenizer.from_str(json.dumps(spec)))


def test_tokens_that_decode_alike_keep_their_own_rows():
    tokens = with_blanks("\u0120\u0120", "the", blanks=["  ", "   "])
    assert match(tokens, tokens).sources == tuple((i,) for i in range(tokens.vocab_size))


def test_of_tokens_that_decode_alike_the_one_in_use_is_taken():
    old, new = with_blanks("\u0120\u0120", blanks=["  "]), byte_level("\u0120\u0120")
    used = old.encode_many(["  "])[0].tolist()
    assert used == [old.vocab_size - 1]
    (twin,) = new.encode_many(["  "])[0].tolist()
    assert match(old, new).sources[twin] == tuple(used)


@needs_shared_data
def test_the_real_tokenizer_s_rows_are_kept_one_by_one():
    real = Tokenizer.load(REAL)
    sources = match(real, real).sources
    assert [entry.token for entry in entries(real) if sources[entry.token] != (entry.token,)] == []
