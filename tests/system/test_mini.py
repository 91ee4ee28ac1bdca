"""The model that comes as a package of its own: opened by name, and as good as its card says."""

import re

import modernbert_mini
import pytest
import torch
from sentence_transformers import SentenceTransformer

import modernbert
from modernbert.cli.main import run
from tests.corpora import SHARED, needs_shared_data

TEXTS = ["A man is playing a guitar.", "Somebody plays the guitar.", "Parse a date of ISO 8601."]


def test_it_is_opened_by_its_name_and_by_other_tools():
    model = modernbert.load("mini")
    vectors = model.embed(TEXTS)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3), atol=5e-3, rtol=0)
    near, far = vectors[0] @ vectors[1], vectors[0] @ vectors[2]
    assert near > 0.6 > 0.2 > far
    theirs = SentenceTransformer(str(modernbert_mini.FOLDER), device="cpu")
    found = theirs.encode(TEXTS, convert_to_tensor=True).float()
    torch.testing.assert_close(found, vectors, atol=0.02, rtol=0)


def test_it_is_small():
    weights = modernbert_mini.FOLDER / "model.safetensors"
    assert weights.stat().st_size < 40e6
    assert {each.dtype for each in modernbert.load("mini").parameters()} == {torch.bfloat16}


@pytest.mark.slow
@needs_shared_data
def test_it_orders_pairs_as_well_as_its_card_says(tmp_path, capsys):
    rows = (SHARED / "nlu" / "STS-B" / "original" / "sts-test.tsv").read_text().splitlines()
    pairs = [line.split("\t")[4:7] for line in rows]
    lines = ["sentence1\tsentence2\tscore", *("\t".join([*two, score]) for score, *two in pairs)]
    (tmp_path / "pairs.tsv").write_text("\n".join(lines) + "\n")
    asked = ["evaluate", "similarity", "mini", "--data", str(tmp_path / "pairs.tsv")]
    assert run(asked) == 0
    (found,) = re.findall(r"1379 +(0\.\d+)", capsys.readouterr().out)
    card = (modernbert_mini.FOLDER / "README.md").read_text()
    (said,) = re.findall(r"\| STS-B test, Spearman \| (0\.\d+) \|", card)
    assert float(found) == pytest.approx(float(said), abs=2e-3)
