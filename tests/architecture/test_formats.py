"""The page of formats names every key that is written, part by part."""

import dataclasses
import re

import pytest

from modernbert.cli.demo import Summary
from modernbert.data.clean.options import CleanOptions
from modernbert.data.clean.plan import CleanPlan, EvaluationSet, Source
from modernbert.data.clean.report import (
    EvaluationReport,
    Reason,
    Report,
    SourceReport,
    StepReport,
)
from modernbert.data.clean.tally import Sample
from modernbert.data.manifest import BuildOptions, Manifest, Plan, ShardFacts, SourceFacts
from modernbert.data.stream import StreamState
from modernbert.evals.results import Results, Score, SeedResult, TaskResult
from modernbert.evals.run_summary import Comparison, RunSummary
from modernbert.evals.sweep import Sweep
from modernbert.infer.embeddings import EmbeddingsFacts, InputFacts
from modernbert.infer.export.record import Export, Proof, Written
from modernbert.infer.facts import Facts, TokenizerFacts
from modernbert.kernels.scaling import RopeScaling
from modernbert.model.config import EncoderConfig, HeadConfig
from modernbert.model.hf_config import to_hf
from modernbert.model.opens import Opening
from modernbert.model.sentence_config import (
    DenseShape,
    Expansion,
    LateInteraction,
    Normalize,
    Pool,
    SentenceConfig,
    Splade,
)
from modernbert.model.sentence_writer import files_of
from modernbert.optim.schedule import BatchWarmup, LengthWarmup, Schedule
from modernbert.retrieval.index_files import AddedFacts, IndexFacts, Reading, SegmentFacts
from modernbert.retrieval.training.outcome import Outcome
from modernbert.tasks.calibration import Bin, Honesty
from modernbert.train.calibrate import Calibration
from modernbert.train.checkpoint import TrainerState
from modernbert.train.config import Phase, RunConfig
from modernbert.train.evaluate import Evaluation
from modernbert.train.events import EventRow
from modernbert.train.feed import Progress
from modernbert.train.metrics import StepRow
from modernbert.train.summary import Summary as TuneSummary
from tests.architecture.source import ROOT

PAGE = (ROOT / "docs" / "reference" / "formats.md").read_text(encoding="utf-8")

PARTS = {
    "Clean text": (
        *(CleanPlan, CleanOptions, Source, EvaluationSet),
        *(Report, SourceReport, StepReport, Reason, Sample, EvaluationReport),
    ),
    "Corpus folder": (Manifest, Plan, BuildOptions, SourceFacts, ShardFacts),
    "Run folder": (
        *(RunConfig, Phase, Schedule, BatchWarmup, LengthWarmup, EncoderConfig, RopeScaling),
        *(StepRow, Evaluation, EventRow, Comparison, RunSummary),
    ),
    "Fine-tuning folders": (
        *(TuneSummary, Sweep, Results, TaskResult, Score, SeedResult),
        *(Calibration, Honesty, Bin),
    ),
    "Retriever training folders": (Outcome,),
    "Model and checkpoint folders": (
        *(TrainerState, Progress, StreamState),
        *(Facts, TokenizerFacts, Opening),
    ),
    "Embeddings of a corpus": (EmbeddingsFacts, InputFacts),
    "Exports": (Export, Written, Proof),
    "Demo folder": (Summary,),
    "Index folder": (IndexFacts, Reading, SegmentFacts, AddedFacts),
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


def keys_of(value: object) -> set[str]:
    """Return the keys of nested objects; names that users give, as of prompts, are none."""
    if isinstance(value, list):
        return {key for item in value for key in keys_of(item)}
    if not isinstance(value, dict):
        return set()
    return {*value, *(key for name in value.keys() - {"prompts"} for key in keys_of(value[name]))}


def test_page_names_every_key_of_how_texts_become_vectors():
    dense = DenseShape(in_dim=8, out_dim=4, has_bias=True, activation="x", has_residual=True)
    late = {"expansion": Expansion(), "skipped_words": (".",)}
    configs = [
        SentenceConfig(max_length=9, steps=steps, late=rules)
        for steps, rules in (
            ((Pool(("max", "cls")), dense, Normalize()), None),
            ((Splade(),), None),
            ((dense, Normalize()), LateInteraction(form="ColBERT", **late)),
            ((dense, Normalize()), LateInteraction(form="MultiVectorEncoder", **late)),
        )
    ]
    score = HeadConfig(kind="sequence", labels=("a",), problem="regression")
    written = [
        files_of(SentenceConfig(max_length=9), EncoderConfig(), score),
        *(files_of(config, EncoderConfig(), None) for config in configs),
    ]
    found = keys_of([content for files in written for content in files.values()])
    assert {"query_prefix", "use_residual", "activation_fn", "strategy", "idx"} <= found
    assert found - keys_in("Model and checkpoint folders") == set()


def test_a_missing_key_is_noticed():
    assert missing(Summary, "Model and checkpoint folders") >= {"heldout_loss"}
