import pytest

from modernbert.kernels.scaling import RopeScaling
from modernbert.model.config import MASKED_LM, HeadConfig
from modernbert.model.hf_config import to_hf
from modernbert.model.opens import TOOLS, Contents, misread, openings
from tests.nets import config_of

OLD = ("global_attn_every_n_layers", "global_rope_theta", "local_rope_theta")
NEW = ("layer_types", "rope_parameters")
SEQUENCE = HeadConfig(kind="sequence", labels=("a", "b"))
LEGACY = [
    {"type": f"sentence_transformers.models.{name}", "path": path}
    for name, path in (("Transformer", ""), ("Pooling", "1_Pooling"), ("Dense", "2_Dense"))
]
RENAMED = [{"type": "sentence_transformers.base.modules.transformer.Transformer"}]
POOLING = {
    "word_embedding_dimension": 32,
    "pooling_mode_cls_token": False,
    "pooling_mode_mean_tokens": True,
}
SENTENCE = {
    "modules.json": LEGACY,
    "1_Pooling/config.json": POOLING,
    "2_Dense/config.json": {"in_features": 32, "out_features": 8, "activation_function": "a.Tanh"},
    "2_Dense/model.safetensors": None,
}
TWICE = RopeScaling(kind="linear", factor=2.0)
ALL = list(TOOLS)
T5, T4, ST, OLD_ST, TEI, VLLM = ALL


def contents(head=None, drop=(), files=None, without="", gone=(), keys=None, tensors=(), **fields):
    """A folder as we write it, with some things changed."""
    written = to_hf(config_of(**fields), dtype="float32", head=head) | (keys or {})
    config = {key: value for key, value in written.items() if key not in drop}
    usual = {"config.json": config, "model.safetensors": None, "tokenizer.json": {"model": {}}}
    kept = {name: content for name, content in usual.items() if name not in gone} | (files or {})
    kept.pop(without, None)
    return Contents(kept, frozenset(tensors))


def answers(found):
    return {each.tool: (each.verdict, each.why) for each in openings(found)}


@pytest.mark.filterwarnings("ignore:transformers 4 cannot")
@pytest.mark.parametrize(
    ("changed", "others"),
    [
        ({}, {}),
        ({"head": SEQUENCE}, {}),
        ({"files": SENTENCE}, {}),
        ({"keys": {"pad_token_id": 96}}, {T5: "no", T4: "no", ST: "no", OLD_ST: "no", VLLM: "no"}),
        (
            {"files": {"tokenizer_config.json": {"tokenizer_class": "TokenizersBackend"}}},
            {T4: "no", OLD_ST: "no"},
        ),
        ({"files": {"modules.json": []}}, {ST: "no", OLD_ST: "no"}),
        (
            {"files": {"config_sentence_transformers.json": {"prompts": [1]}}},
            {ST: "no", OLD_ST: "no"},
        ),
        (
            {"files": {"config_sentence_transformers.json": {"model_type": "ColBERT"}}},
            {TEI: "wrong", VLLM: "wrong"},
        ),
        (
            {"keys": {"rope_parameters": {"full_attention": None}}},
            {T5: "no", ST: "no", OLD_ST: "no", VLLM: "no"},
        ),
        ({"head": MASKED_LM}, {VLLM: "no"}),
        ({"head": HeadConfig(kind="tokens", labels=("a", "b"))}, {TEI: "no"}),
        ({"head": HeadConfig(kind="spans")}, {TEI: "no", VLLM: "no"}),
        ({"drop": NEW}, {}),
        ({"drop": OLD}, {T4: "wrong", OLD_ST: "wrong", TEI: "no"}),
        ({"drop": OLD, "global_every": 3, "num_layers": 4}, {TEI: "no"}),
        (
            {"drop": OLD, "global_every": 3, "global_rope_theta": 1e4},
            {T4: "wrong", OLD_ST: "wrong", TEI: "no"},
        ),
        (
            {"layer_kinds": ("local", "global", "global")},
            {T4: "wrong", OLD_ST: "wrong", TEI: "wrong"},
        ),
        (
            {"drop": NEW, "keys": {"local_rope_theta": None}},
            {T5: "no", ST: "no", OLD_ST: "no", VLLM: "no", TEI: "no"},
        ),
        ({"tensors": ["model.layers.0.mlp.Wi.weight", "decoder.bias"]}, {}),
        ({"tensors": ["layers.0.mlp.Wi.weight", "final_norm.weight"]}, {}),
        (
            {"tensors": ["model.layers.0.mlp.Wi.weight", "final_norm.weight"]},
            {T4: "wrong", OLD_ST: "wrong"},
        ),
        ({"tensors": ["layers.0.mlp.Wi.weight", "decoder.bias"]}, {T4: "no", OLD_ST: "no"}),
        ({"drop": ["architectures"]}, {TEI: "no", VLLM: "no"}),
        (
            {"files": {"tokenizer.json": None}},
            {ST: "no", OLD_ST: "no", TEI: "no", VLLM: "no"},
        ),
        ({"gone": ["tokenizer.json"]}, {ST: "no", OLD_ST: "no", TEI: "no", VLLM: "no"}),
        ({"files": {"modules.json": RENAMED}}, {OLD_ST: "no"}),
        ({"files": {"modules.json": [{"type": "own.Pooler"}]}}, {ST: "no", OLD_ST: "no"}),
        ({"files": {"1_Pooling/config.json": {"pooling_mode": "mean"}}}, {TEI: "no"}),
        ({"files": {"sentence_bert_config.json": {"transformer_task": "x"}}}, {TEI: "no"}),
        ({"files": {"sentence_bert_config.json": {"max_seq_length": 9}}}, {}),
        ({"files": {"2_Dense/config.json": {"activation_function": "nn.GELU"}}}, {TEI: "no"}),
        ({"files": {"2_Dense/config.json": {"activation_function": "nn.Tanh"}}}, {}),
        ({"head": SEQUENCE, "drop": ["num_labels"]}, {TEI: "no"}),
        ({"head": SEQUENCE, "head_bias": True}, {TEI: "no"}),
        ({"head": SEQUENCE, "activation": "silu"}, {VLLM: "wrong"}),
        ({"global_rope_scaling": TWICE, "local_rope_scaling": TWICE}, {TEI: "wrong"}),
        ({"global_rope_scaling": TWICE}, {T4: "wrong", OLD_ST: "wrong", TEI: "wrong"}),
    ],
)
def test_who_opens_what(changed, others):
    found = {tool: verdict for tool, (verdict, _) in answers(contents(**changed)).items()}
    assert found == dict.fromkeys(ALL, "yes") | others


def test_nothing_else_opens_a_shape_with_options():
    with pytest.warns(UserWarning, match="only this package"):
        keys = to_hf(config_of(norm="rms"), dtype="float32", head=MASKED_LM)
    found = openings(Contents({"config.json": keys, "tokenizer.json": {"model": {}}}))
    assert {each.tool: each.verdict for each in found} == dict.fromkeys(TOOLS, "no")
    assert {each.why for each in found} == {
        "it knows no modernbert_variant: options of this package, which only it computes"
    }
    assert misread(config_of(norm="rms")) == ""


def test_a_reason_is_given_unless_it_opens():
    sparse = {"modules.json": [{"type": "sentence_transformers.sparse_encoder.SpladePooling"}]}
    given = [{}, {"head": MASKED_LM}, {"drop": OLD}, {"gone": ["tokenizer.json"]}]
    for changed in [*given, {"files": sparse}]:
        for verdict, why in answers(contents(**changed)).values():
            assert bool(why) == (verdict != "yes") or why.startswith("with ")
    assert answers(contents(files=sparse))[TEI] == ("yes", "with --pooling splade")


@pytest.mark.filterwarnings("error")
def test_what_version_4_misreads_is_known_before_it_is_written():
    assert misread(config_of()) == ""
    assert misread(config_of(global_rope_scaling=TWICE)).startswith("it takes other rotary angles")
    odd = config_of(layer_kinds=("local", "global", "global"))
    assert misread(odd).startswith("it knows no other layer pattern")
    assert answers(contents(drop=OLD))[ST] == ("yes", "with transformers 5 beneath")


@pytest.mark.parametrize(
    ("changed", "tool", "why"),
    [
        (
            {"drop": OLD},
            TEI,
            "config.json lacks global_attn_every_n_layers, global_rope_theta, loc",
        ),
        ({"drop": OLD}, T4, "it knows no other layer pattern than every n-th"),
        (
            {"drop": OLD, "global_every": 3, "global_rope_theta": 1e4},
            T4,
            "it takes other rotary angles, for it does not read the keys of these",
        ),
        ({"head": MASKED_LM}, VLLM, "it has no ModernBertForMaskedLM: `modernbert convert --headl"),
        (
            {"files": {"modules.json": [{"type": "own.Pooler"}]}},
            ST,
            "own.Pooler is code of its own",
        ),
        ({"head": SEQUENCE, "activation": "silu"}, VLLM, "its head takes gelu for silu"),
        *(
            ({"files": SENTENCE | changed, "without": without}, tool, why)
            for tool in (ST, OLD_ST, TEI, VLLM)
            for changed, without, why in (
                ({}, "1_Pooling/config.json", "1_Pooling/config.json is missing or broken"),
                ({}, "2_Dense/config.json", "2_Dense/config.json is missing or broken"),
                ({}, "2_Dense/model.safetensors", "2_Dense/model.safetensors is missing or"),
                ({"1_Pooling/config.json": [1]}, "", "1_Pooling/config.json is missing or broken"),
                (
                    {"1_Pooling/config.json": {"pooling_mode": "mean"}},
                    "",
                    "1_Pooling/config.json lacks word_embedding_dimension",
                ),
                (
                    {"2_Dense/config.json": {"in_features": 32}},
                    "",
                    "2_Dense/config.json lacks out_features",
                ),
            )
        ),
    ],
)
def test_reasons_name_the_cause(changed, tool, why):
    assert answers(contents(**changed))[tool][1].startswith(why)
