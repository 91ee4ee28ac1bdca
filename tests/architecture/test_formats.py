"""The page of formats names every key that is written, part by part."""

import dataclasses
import re

import pytest

from modernbert.cli.demo import Summary
from modernbert.data.manifest import BuildOptions, Manifest, Plan, SourceFacts
from modernbert.data.shards import ShardFacts
from modernbert.data.stream import StreamState
from modernbert.infer.facts import Facts, TokenizerFacts
from modernbert.kernels.scaling import RopeScaling
from modernbert.model.config import EncoderConfig, HeadConfig
from modernbert.model.hf_config import to_hf
from modernbert.model.opens import Opening
from modernbert.optim.schedule import BatchWarmup, Schedule
from modernbert.train.checkpoint import TrainerState
from modernbert.train.config import Phase, RunConfig
from modernbert.train.evaluate import Evaluation
from modernbert.train.feed import Progress
from modernbert.train.metrics import StepRow
from tests.architecture.source import ROOT

PAGE = (ROOT / "docs" / "reference" / "formats.md").read_text(encoding="utf-8")

PARTS = {
    "Corpus folder": (Manifest, Plan, BuildOptions, SourceFacts, ShardFacts),
    "Run folder": (
        *(RunConfig, Phase, Schedule, BatchWarmup, EncoderConfig, RopeScaling),
        *(StepRow, Evaluation),
    ),
    "Model and checkpoint folders": (
        *(TrainerState, Progress, StreamState),
        *(Facts, TokenizerFacts, Opening),
    ),
    "Demo folder": (Summary,),
}


def keys_in(part: str) -> set[str]:
    """Return what stands in code spans below a heading."""
    below = re.split(r"^## ", PAGE.partition(f"## {part}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    return set(re.findall(r"`([^`\n]+)`", below))


def missing(kind: type, part: str) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)} - keys_in(part)


@pytest.mark.parametrize(("kind", "part"), [(k, part) for part, ks in PARTS.items() for k in ks])
def test_page_names_every_field(kind, part):
    assert missing(kind, part) == set()


def test_page_names_every_key_of_config_json():
    written = to_hf(
        EncoderConfig(), dtype="float32", head=HeadConfig(kind="sequence", labels=("a", "b"))
    )
    assert written.keys() - keys_in("Model and checkpoint folders") == set()


def test_a_missing_key_is_noticed():
    assert missing(Summary, "Model and checkpoint folders") >= {"heldout_loss"}
