"""Models with a vector a token: folders of PyLate and of sentence-transformers, here and there."""

import json
import string

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer

import modernbert
from tests.parity.lines import IS_VERSION_4
from tests.parity.tolerance import assert_as_accurate
from tests.sentence_folders import DIM, QUERIES, TEXTS, change, made, read

# Theirs warn of their own renaming.
pytestmark = [
    pytest.mark.skipif(
        IS_VERSION_4, reason="says it as sentence-transformers 6 does: see test_older_libraries.py"
    ),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
st = pytest.importorskip("sentence_transformers")

PROMPTS = {"query": "every ", "document": "the token: "}
LONG_QUERIES = [*QUERIES, TEXTS[1]]
FIXED = {"strategy": "fixed", "length": 32}
EXPANSIONS = {
    "none": None,
    "unread": FIXED,
    "read": FIXED | {"attend": True},
    # Longer than half a window: some of what fills up sees nothing in local layers.
    "far": FIXED | {"length": 90},
    "at least": {"strategy": "min", "length": 24, "token": "[SEP]"},
}


@pytest.fixture(scope="module")
def body(tmp_path_factory):
    folder = tmp_path_factory.mktemp("body") / "model"
    made(local_window=64).save(folder)
    return str(folder)


def of_theirs(body, expansion, folder, prompts=PROMPTS):
    """Save a model of their own making."""
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    torch.manual_seed(0)
    lengths = {"document_length": 60, "query_length": None if expansion else 20}
    first = Transformer(body, query_expansion=expansion, **lengths)
    on_tokens = {"module_input_name": "token_embeddings"}
    dense = Dense(DIM, 12, bias=False, activation_function=torch.nn.Identity(), **on_tokens)
    mask = MultiVectorMask(skiplist_words=[",", "!"], skiplist_tasks=["document"])
    model = st.MultiVectorEncoder(
        modules=[first, dense, mask, Normalize(**on_tokens)],
        device="cpu",
        prompts=dict(prompts),
    )
    model.save_pretrained(str(folder))
    return folder


def of_pylate(body, folder, **keys):
    """Write a folder as PyLate 1.6 does: prefixes are tokens, and nothing is said of norms."""
    model = modernbert.load(body)
    tokenizer = Tokenizer.from_str(model.tokenizer._spec)
    tokenizer.add_tokens([AddedToken("[Q] "), AddedToken("[D] ")])
    bigger = made(vocab_size=tokenizer.get_vocab_size(), local_window=64)
    bigger.save(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    change(folder / "tokenizer_config.json", pad_token="[MASK]")
    types = ("sentence_transformers.models.Transformer", "pylate.models.Dense.Dense")
    modules = [
        {"idx": number, "name": str(number), "path": path, "type": kind}
        for number, (kind, path) in enumerate(zip(types, ("", "1_Dense"), strict=True))
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    own = {
        "__version__": {"sentence_transformers": "5.3.0"},
        "model_type": "ColBERT",
        "prompts": {"query": "", "document": ""},
        "similarity_fn_name": "MaxSim",
        "query_prefix": "[Q] ",
        "document_prefix": "[D] ",
        "query_length": 32,
        "document_length": 180,
        "attend_to_expansion_tokens": False,
        "skiplist_words": list(string.punctuation),
        "do_query_expansion": True,
    }
    (folder / "config_sentence_transformers.json").write_text(json.dumps(own | keys))
    text = {"max_seq_length": 179, "do_lower_case": False}
    (folder / "sentence_bert_config.json").write_text(json.dumps(text))
    (folder / "1_Dense").mkdir()
    dense = {
        "in_features": DIM,
        "out_features": 12,
        "bias": False,
        "activation_function": "torch.nn.modules.linear.Identity",
        "use_residual": False,
    }
    (folder / "1_Dense" / "config.json").write_text(json.dumps(dense))
    weight = torch.randn(12, DIM, generator=torch.Generator().manual_seed(1))
    save_file({"linear.weight": weight}, folder / "1_Dense" / "model.safetensors")
    return folder


def run(model):
    """Give their vectors of queries and documents, one tensor of each."""
    sides = (model.encode_query(LONG_QUERIES), model.encode_document(TEXTS))
    return [[len(x) for x in side] for side in sides], [torch.cat(list(side)) for side in sides]


def assert_same(folder):
    theirs = st.MultiVectorEncoder(str(folder), device="cpu")
    counts, naive = run(theirs)
    _, truth = run(theirs.double())
    model = modernbert.load(folder)
    ours = [
        model.token_vectors(LONG_QUERIES, is_query=True),
        model.token_vectors(TEXTS, is_query=False),
    ]
    assert [[len(x) for x in side] for side in ours] == counts
    for side, one, right in zip(ours, naive, truth, strict=True):
        assert_as_accurate(torch.cat(side), one, right)
    return model, counts, naive


def assert_saved_alike(model, counts, naive, folder):
    model.save(folder)
    again, new_counts, new_naive = assert_same(folder)
    assert new_counts == counts
    for one, other in zip(naive, new_naive, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    assert again.sentence.config == model.sentence.config


@pytest.mark.parametrize("name", EXPANSIONS)
def test_their_folders_give_their_vectors_and_ours_give_them_there(body, name, tmp_path):
    folder = of_theirs(body, EXPANSIONS[name], tmp_path / "theirs")
    model, counts, naive = assert_same(folder)
    assert_saved_alike(model, counts, naive, tmp_path / "ours")


@pytest.mark.parametrize("name", EXPANSIONS)
@pytest.mark.parametrize("marks", [("", ""), ("[MASK]", "")])
def test_what_pylate_can_say_is_written_in_its_words(body, name, marks, tmp_path):
    prompts = dict(zip(("query", "document"), marks, strict=True))
    folder = of_theirs(body, EXPANSIONS[name], tmp_path / "theirs", prompts)
    model, counts, naive = assert_same(folder)
    assert_saved_alike(model, counts, naive, tmp_path / "ours")
    told = read(tmp_path / "ours" / "config_sentence_transformers.json")
    kinds = [each["type"] for each in read(tmp_path / "ours" / "modules.json")]
    if name == "at least":
        assert told["model_type"] == "MultiVectorEncoder"
        return
    assert told["model_type"] == "ColBERT"
    assert (told["query_prefix"], told["document_prefix"]) == marks
    assert told["prompts"] == {"query": "", "document": ""}
    expected = (EXPANSIONS[name] or {"length": 20})["length"]
    assert (told["query_length"], told["document_length"]) == (expected, 60)
    assert kinds == [f"sentence_transformers.models.{each}" for each in ("Transformer", "Dense")]


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"attend_to_expansion_tokens": True, "skiplist_words": []},
        {"do_query_expansion": False, "query_length": 12, "document_length": 30},
    ],
)
def test_folders_of_pylate_give_the_same_and_stay_what_they_are(body, keys, tmp_path):
    folder = of_pylate(body, tmp_path / "pylate", **keys)
    model, counts, naive = assert_same(folder)
    assert_saved_alike(model, counts, naive, tmp_path / "ours")
    told, before = (
        read(each / "config_sentence_transformers.json") for each in (tmp_path / "ours", folder)
    )
    before.pop("__version__")
    assert told == before | {"default_prompt_name": None}


def test_prefixes_are_one_token_before_the_text(body, tmp_path):
    model = modernbert.load(of_pylate(body, tmp_path / "pylate"))
    from modernbert.infer.reading import side_of

    (query,) = side_of(model.tokenizer, model.sentence.config, ["the batch"], is_query=True)
    start = [model.tokenizer.cls_id, model.tokenizer.id_of("[Q] ")]
    alone = model.tokenizer.encode("the batch").tolist()
    expected = [*start, *alone[1:]]
    assert query.ids.tolist() == expected + [model.tokenizer.mask_id] * (32 - len(expected))
    assert query.num_read == len(expected)
