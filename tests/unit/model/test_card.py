"""The page of a model: what it says of each head, in whatever characters, and whose page it is."""

import ast
import dataclasses
import re
import shlex

import pytest
import yaml
from huggingface_hub import ModelCard

from modernbert.base.markdown import code
from modernbert.model.card import card, facts_of, is_replaceable, training_in, write
from modernbert.model.card_facts import (
    CardFacts,
    HeldoutRow,
    Origin,
    PartRow,
    PhaseRow,
    SourceRow,
    TrainingFacts,
    TuningFacts,
)
from modernbert.model.config import MASKED_LM, HeadConfig
from modernbert.model.sentence_config import LateInteraction, SentenceConfig
from tests.nets import config_of, lively

ODD = "a \"b\" 'c' | `d` ``\n- e: {f} <g> \\ \t\x00 \u202e ☃ 😀 ---\n```\n"
LABELS = ("no", "yes")
HEADS = {
    "encoder": (None, "feature-extraction", {"sentence-transformers", "TEI", "vLLM"}),
    "masked_lm": (MASKED_LM, "fill-mask", {"sentence-transformers", "TEI"}),
    "sequence": (
        HeadConfig(kind="sequence", labels=LABELS),
        "text-classification",
        {"TEI", "vLLM"},
    ),
    "score": (
        HeadConfig(kind="sequence", labels=("score",), problem="regression"),
        "text-classification",
        {"sentence-transformers", "TEI", "vLLM"},
    ),
    "tokens": (HeadConfig(kind="tokens", labels=LABELS), "token-classification", {"vLLM"}),
    "spans": (HeadConfig(kind="spans"), "question-answering", set()),
    "choice": (HeadConfig(kind="choice"), "multiple-choice", set()),
}
PROGRAMS = {
    "sentence-transformers": "sentence_transformers import",
    "TEI": "text-embeddings-router",
    "vLLM": "vllm serve",
}
PHASE = PhaseRow(
    name=ODD,
    tokens=1_234_567,
    steps=89,
    context_length=512,
    batch_tokens=2048,
    peak_lr=3e-4,
    schedule="constant",
    weight_decay=1e-5,
    global_rope_theta=10_000.0,
    mask_rate=0.3,
)
HELDOUT = HeldoutRow(
    source=ODD,
    loss=2.3456,
    masked_accuracy=0.4321,
    most_frequent_token_accuracy=0.05,
    hidden=4321,
)
TRAINING = TrainingFacts(
    sources=(SourceRow(ODD, 7, 1_000_000), SourceRow("b", 2, 500_000)),
    phases=(PHASE,),
    heldout=(HELDOUT,),
    heldout_step=89,
    heldout_mask_rate=0.15,
    seconds=4000.0,
    hardware=ODD,
    precision="float32",
    optimizer="StableAdamW",
    seed=17,
    versions={"torch": "2"},
    commit=None,
)

TUNING = TuningFacts(
    command="finetune classify",
    start=ODD,
    parts=(PartRow("train", ODD, 1234), PartRow("dev", "a/dev.tsv", 56)),
    amount="98,765 tokens",
    epoch=1.5,
    decisive="accuracy",
    settings={"epochs": "2", "seed": "3"},
    dev={"accuracy": 0.87654, "f1": 0.5},
    test={"accuracy": 0.75, "f1": 0.25},
    seconds=75.0,
    hardware=ODD,
    precision="float32",
    versions={"torch": "2"},
    commit=ODD,
)


def facts(head, **fields) -> CardFacts:
    model = lively(config_of(**fields.pop("config", {})), head=head)
    plain = facts_of(model, "[MASK]")
    names = {name: getattr(plain, name) for name in CardFacts.__dataclass_fields__}
    return CardFacts(**(names | fields))


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)


def tables(page: str) -> list[list[str]]:
    """Return the cells of each line of a table, bars inside a cell not counted."""
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    return [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]


@pytest.mark.parametrize(("head", "task", "programs"), HEADS.values(), ids=HEADS)
def test_each_head_has_its_task_and_its_programs(head, task, programs):
    page = card(facts(head))
    front = ModelCard(page).data.to_dict()
    assert front["library_name"] == "transformers"
    assert front["pipeline_tag"] == task
    assert front["tags"] == ["modernbert", task]
    assert {name for name, sign in PROGRAMS.items() if sign in page} == programs
    assert all(ast.parse(block) for block in blocks(page, "python"))
    for label in head.labels if head else ():
        assert f"`{label}`" in page


def test_what_another_program_cannot_compute_is_not_offered():
    sequence = HEADS["sequence"][0]
    assert "vllm" not in card(facts(sequence, config={"activation": "silu"}))
    assert "text-embeddings-router" not in card(facts(sequence, config={"norm_bias": True}))
    kinds = {"layer_kinds": ("local", "global", "local")}
    assert "text-embeddings-router" not in card(facts(None, config=kinds))


def test_a_page_says_when_transformers_4_reads_another_model():
    assert "transformers 5, not 4" not in card(facts(None))
    kinds = {"layer_kinds": ("local", "global", "local")}
    assert "Use transformers 5, not 4: it knows no other layer" in card(facts(None, config=kinds))


@pytest.mark.parametrize("name", HEADS)
def test_a_page_of_a_shape_that_only_we_know_names_no_other_program(name):
    options = {"gated_mlp": False, "norm": "rms"}
    page = card(facts(HEADS[name][0], config=options))
    assert ModelCard(page).data.to_dict()["library_name"] == "modernbert"
    others = {program: sign for program, sign in PROGRAMS.items() if "modernbert" not in program}
    assert others
    assert [program for program, sign in others.items() if sign in page] == []
    assert [" gated_mlp ", " False "] in tables(page)
    assert "Only the package modernbert opens it: no other program knows gated_mlp, norm." in page
    assert "no other program knows" not in card(facts(HEADS[name][0]))


def test_numbers_are_the_model_s():
    head = HeadConfig(kind="tokens", labels=tuple(f"label {n}" for n in range(60)))
    given = facts(head, config={"max_length": 4096})
    page = card(given)
    assert f"| parameters | {given.num_parameters:,} |" in page
    assert "| context, tokens | 4,096 |" in page
    assert "| attention | global in 2 layers, else 64 tokens to each side |" in page
    assert "49 `label 49`, and 10 more, see config.json." in page


def test_a_page_says_where_its_folder_cuts_texts():
    longest = config_of().max_length
    assert "This folder" not in card(facts(None, sentence=SentenceConfig(max_length=longest)))
    short = card(facts(None, sentence=SentenceConfig(max_length=longest // 2)))
    assert f"up to {longest:,} tokens. This folder cuts them after {longest // 2:,}." in short
    late = LateInteraction(form="ColBERT", query_length=32, document_length=300)
    page = card(facts(None, sentence=SentenceConfig(max_length=longest, late=late)))
    assert "This folder cuts queries after 32 and documents after 300." in page


def test_any_characters_leave_the_page_whole():
    head = HeadConfig(kind="sequence", labels=(ODD, "yes"))
    plain, odd = card(facts(HEADS["sequence"][0])), card(facts(head, training=TRAINING))
    assert ODD not in odd
    assert re.findall("^```", odd, re.MULTILINE) == re.findall("^```", plain, re.MULTILINE)
    assert {len(row) for row in tables(odd)} == {2, 3, 5, 9}
    assert yaml.safe_load(odd.split("---\n")[1])["pipeline_tag"] == "text-classification"
    assert [line for line in odd.splitlines() if line.startswith("- e")] == []
    assert not re.search("[\x00\u202e]", odd)


def test_odd_masks_and_prompts_are_quoted():
    mask = "<'m| `\"$ask\\>"
    fill, *_ = blocks(card(facts(MASKED_LM, mask_token=mask)), "sh")
    assert shlex.split(fill) == ["modernbert", "fill", ".", f"Please {mask} this sentence."]
    page = card(
        facts(
            MASKED_LM,
            mask_token=ODD,
            sentence=SentenceConfig(max_length=8, prompts={ODD: ODD, "b": "c"}),
        )
    )
    assert "modernbert fill" not in page
    trees = [ast.parse(block) for block in blocks(page, "python")]
    texts = {
        node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)
    }
    assert {f"Please {ODD} this sentence.", ODD} <= texts


@pytest.mark.parametrize("text", ["", " ", "`", "``a`", "a|b", "\n", '"', "\\n", "\\|", "ü"])
def test_a_code_span_shows_its_text(text):
    span = code(text)
    fence = re.match("`+", span)[0]
    inside = span.removeprefix(fence).removesuffix(fence)
    assert fence not in inside
    assert "\n" not in span
    assert not re.search(r"(?<!\\)\|", span)


def test_records_of_a_run_are_told():
    page = card(facts(MASKED_LM, training=TRAINING))
    assert "| all | 9 | 1,500,000 |" in page
    assert "on 1,234,567 tokens in 89 steps, which took 1 h 06 min on" in page
    assert " | 2.346 | 43.2% | 5.0% | 4,321 |" in page
    assert "0.82 times the tokens of the sources" in page


def test_records_of_a_fine_tuning_are_told_before_what_the_encoder_learned(tmp_path):
    head = HEADS["sequence"][0]
    before = card(facts(MASKED_LM, training=TRAINING))
    (tmp_path / "README.md").write_text(before)
    origin = Origin(training=training_in(tmp_path))
    page = card(facts(head, tuning=TUNING, origin=origin))
    assert f"| train | {code(ODD)} | 1,234 |" in page
    assert f"`modernbert finetune classify` from {code(ODD)} on 98,765 tokens, which" in page
    assert "98,765 tokens, which took 1 min 15 s on" in page
    assert "after 1.5 epochs, the best on the dev examples by accuracy. Settings: epochs 2," in page
    assert "| accuracy | 0.8765 | 0.7500 |" in page
    assert page.index("## Fine-tuning") < page.index(origin.training)
    assert "It learned from the examples listed above" in page
    assert {len(row) for row in tables(page)} == {2, 3, 5, 9}
    write(facts(head, tuning=TUNING, origin=origin), tmp_path)
    assert training_in(tmp_path).startswith("## Fine-tuning")
    assert origin.training in training_in(tmp_path)
    untested = card(facts(head, tuning=dataclasses.replace(TUNING, test={})))
    assert "| accuracy | 0.8765 |\n" in untested
    assert "What follows was written" not in untested


def test_a_card_is_replaced_until_someone_edits_it(tmp_path):
    given = facts(MASKED_LM, training=TRAINING)
    assert is_replaceable(tmp_path)
    write(given, tmp_path)
    assert is_replaceable(tmp_path)
    page = tmp_path / "README.md"
    page.write_text(page.read_text().replace("# A ModernBERT", "# My ModernBERT"))
    assert not is_replaceable(tmp_path)
    page.write_text("mine")
    assert not is_replaceable(tmp_path)


def test_what_was_told_of_the_training_can_be_told_again(tmp_path):
    write(facts(MASKED_LM, training=TRAINING), tmp_path)
    told = training_in(tmp_path)
    assert told.startswith("## Training data and budget")
    assert " | 2.346 | 43.2% | 5.0% | 4,321 |" in told
    origin = Origin("owner/name", told)
    again = card(facts(HEADS["sequence"][0], origin=origin))
    assert ModelCard(again).data.base_model == "owner/name"
    assert told in again
    assert "written when the model, or the one that it was made from, was trained" in again
    assert "It has seen the text listed above and nothing else" not in again


def test_a_model_opens_without_a_card_that_can_be_read(tmp_path):
    (tmp_path / "README.md").mkdir()
    assert training_in(tmp_path) == ""
    assert not is_replaceable(tmp_path)
