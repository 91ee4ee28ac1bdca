"""The study of design choices: each arm changes one thing, at the cost of the plain one."""

import json
from dataclasses import replace

import pytest
from lab.study import (
    ARMS,
    BATCH,
    CONTEXT,
    PLAIN,
    Row,
    Texts,
    config_of,
    flops_per_token,
    main,
    plain,
    table_of,
    texts_of,
)

from modernbert.model.count import parameters, training_flops
from tests.corpora import make_corpus

TEXTS = Texts(4096, (512,) * 6 + (100, 300))
TOKENS = 1_000_000


def cost(arm):
    run = config_of(arm, 1, TOKENS, TEXTS)
    return run.tokens * flops_per_token(run, TEXTS, is_padded=arm == "padded")


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_costs_the_same(arm):
    assert cost(arm) == pytest.approx(cost(PLAIN), rel=1e-5)


@pytest.mark.parametrize("arm", [arm for arm in ARMS if arm not in (PLAIN, "padded")])
def test_every_arm_changes_what_it_is_called_by_alone(arm):
    beside = plain(4096)
    changed = ARMS[arm](beside)
    assert changed != beside
    rest = replace(changed, model=beside.model, phases=beside.phases)
    apart = [rest != beside, changed.model != beside.model, changed.phases != beside.phases]
    assert sum(apart) == 1
    assert parameters(changed.model) == pytest.approx(parameters(beside.model), rel=0.06)


def test_a_padded_token_costs_its_share_of_the_padding():
    texts = Texts(4096, (CONTEXT, CONTEXT // 2))
    assert texts.fill == 0.75
    grid = training_flops(plain(4096).model, CONTEXT, 0.3 * 0.75)
    assert flops_per_token(plain(4096), texts, is_padded=True) == pytest.approx(grid / 0.75)
    run = config_of("padded", 1, TOKENS, texts)
    assert run.phases[0].batch_tokens == BATCH * 3 // 4
    steps = [
        each.tokens / each.phases[0].batch_tokens
        for each in (run, config_of(PLAIN, 1, TOKENS, texts))
    ]
    assert steps[0] == pytest.approx(steps[1], rel=0.05)


def test_growing_sequences_cost_less_while_they_are_short():
    run = config_of("growing-length", 1, TOKENS, TEXTS)
    growth = run.phases[0].length_warmup
    assert growth.warmup_tokens == pytest.approx(run.tokens / 4, rel=1e-3)
    whole = flops_per_token(config_of(PLAIN, 1, TOKENS, TEXTS), TEXTS)
    pieces = Texts(4096, (64,) * 48)
    assert flops_per_token(plain(4096), pieces) < flops_per_token(run, TEXTS) < whole


def row(arm, seed, loss):
    return Row(arm, seed, 1_000_000, 1e12, loss, 0.3, loss + 1, {"news": loss / 10})


def test_the_table_compares_seed_by_seed():
    rows = [row(PLAIN, 1, 4.0), row(PLAIN, 2, 5.0), row("adamw", 1, 4.1), row("adamw", 2, 5.1)]
    lines = table_of(rows).splitlines()
    assert lines[0].startswith("| choice | seeds | M tokens | held-out loss | difference |")
    # The seeds lie far apart, and the arms by the same in both.
    assert lines[2].startswith("| modernbert | 2 | 1.00 | 4.500 ± 6.353 |  | 5.500 ± 6.353 |")
    assert lines[3].startswith("| adamw | 2 | 1.00 | 4.600 ± 6.353 | 0.100 ± 0.000 |")


@pytest.mark.slow
def test_arms_are_trained_and_what_is_done_is_not_done_again(tmp_path):
    corpus = make_corpus(tmp_path, {"books": 60, "wikitext-2": 20}).folder
    command = [str(corpus), str(tmp_path / "work"), str(tmp_path / "record")]
    options = ["--tokens", "9000", "--seeds", "1", "--arms", PLAIN, "padded"]
    main([*command, *options])
    rows = [
        json.loads(line)
        for line in (tmp_path / "record" / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert [each["arm"] for each in rows] == [PLAIN, "padded"]
    assert rows[1]["tokens"] < rows[0]["tokens"]
    assert all(each["heldout_loss"] > 0 and each["out_of_domain_loss"] > 0 for each in rows)
    assert texts_of(corpus).fill < 1
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("work/*/run/metrics.jsonl")}
    assert len(times) == 2
    main([*command, *options])
    assert times == {path: path.stat().st_mtime_ns for path in times}
    assert "padded" in (tmp_path / "record" / "table.md").read_text(encoding="utf-8")
