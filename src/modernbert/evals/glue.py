"""GLUE as ModernBERT's paper measured it: eight tasks, their files, measures and settings.

Wang et al., arXiv 1804.07461; Warner et al., arXiv 2412.13663, section 3.1.1 and appendix E.1.
WNLI is left out, as there.
"""

from modernbert.data.columns import Columns
from modernbert.evals.suite import Grid, Suite, SuiteTask, Values

_RATES = (1e-5, 3e-5, 5e-5, 8e-5)
_DECAYS = (1e-6, 5e-6, 8e-6, 1e-5)
_SHORT = Grid(_RATES, _DECAYS, (1, 2, 3))
_LONG = Grid(_RATES, _DECAYS, (2, 5, 10))
_LENGTH = 256
_YES = ("0", "1")
_ENTAILED = ("entailment", "not_entailment")
_SENTENCES = Columns("sentence1", "sentence2", ("label",))

GLUE = Suite(
    "glue",
    "GLUE average",
    (
        SuiteTask(
            name="CoLA",
            has_header=False,
            columns=(Columns("4", "", ("2",)), Columns("sentence", "", ("label",))),
            labels=_YES,
            measures=("matthews",),
            dev_rows=1043,
            best_by="matthews",
            base=Values(8e-5, 1e-6, 5),
            large=Values(3e-5, 8e-6, 5),
            grid=_LONG,
            max_length=_LENGTH,
        ),
        SuiteTask(
            name="SST-2",
            columns=(Columns("sentence", "", ("label",)),),
            labels=_YES,
            measures=("accuracy",),
            dev_rows=872,
            best_by="accuracy",
            base=Values(8e-5, 1e-5, 2),
            large=Values(1e-5, 1e-6, 3),
            grid=_SHORT,
            max_length=_LENGTH,
        ),
        SuiteTask(
            name="MRPC",
            train=("train", "msr_paraphrase_train"),
            columns=(Columns("#1 String", "#2 String", ("Quality",)), _SENTENCES),
            labels=_YES,
            measures=("accuracy", "f1"),
            dev_rows=408,
            best_by="accuracy",
            follows="MNLI",
            base=Values(5e-5, 5e-6, 10),
            large=Values(8e-5, 5e-6, 2),
            grid=_LONG,
            max_length=_LENGTH,
        ),
        SuiteTask(
            name="STS-B",
            columns=(
                Columns("sentence1", "sentence2", ("score",)),
                _SENTENCES,
            ),
            measures=("pearson", "spearman"),
            dev_rows=1500,
            best_by="spearman",
            follows="MNLI",
            base=Values(8e-5, 5e-6, 10),
            large=Values(8e-5, 1e-5, 10),
            grid=_LONG,
            max_length=_LENGTH,
            precision="float32",
        ),
        SuiteTask(
            name="QQP",
            columns=(
                Columns("question1", "question2", ("is_duplicate",)),
                Columns("question1", "question2", ("label",)),
            ),
            labels=_YES,
            measures=("accuracy", "f1"),
            dev_rows=40_430,
            best_by="accuracy",
            base=Values(5e-5, 5e-6, 10),
            large=Values(5e-5, 8e-6, 2),
            grid=_LONG,
            max_length=_LENGTH,
        ),
        SuiteTask(
            name="MNLI",
            dev=("dev_matched", "validation_matched"),
            test=("dev_mismatched", "validation_mismatched"),
            columns=(
                Columns("sentence1", "sentence2", ("gold_label",)),
                Columns("premise", "hypothesis", ("label",)),
            ),
            labels=("entailment", "neutral", "contradiction"),
            measures=("accuracy",),
            scored_on=("dev", "test"),
            dev_rows=9815,
            best_by="accuracy",
            base=Values(5e-5, 5e-6, 1),
            large=Values(3e-5, 1e-5, 1),
            grid=_SHORT,
            max_length=_LENGTH,
        ),
        SuiteTask(
            name="QNLI",
            columns=(Columns("question", "sentence", ("label",)),),
            labels=_ENTAILED,
            measures=("accuracy",),
            dev_rows=5463,
            best_by="accuracy",
            base=Values(8e-5, 5e-6, 2),
            large=Values(3e-5, 5e-6, 2),
            grid=_LONG,
            max_length=_LENGTH,
        ),
        SuiteTask(
            name="RTE",
            columns=(_SENTENCES,),
            labels=_ENTAILED,
            measures=("accuracy",),
            dev_rows=277,
            best_by="accuracy",
            follows="MNLI",
            base=Values(5e-5, 1e-5, 3),
            large=Values(5e-5, 8e-6, 3),
            grid=_SHORT,
            max_length=_LENGTH,
        ),
    ),
    hub="nyu-mll/glue",
    notes=(
        "Scores are of the dev parts, in percent: Matthews' correlation (CoLA), accuracy, the mean "
        "of accuracy and F1 (MRPC, QQP), of Pearson's and Spearman's correlation (STS-B), of the "
        "matched (dev) and mismatched (test) parts (MNLI). Settings and epochs are chosen on the "
        "dev parts, as papers do.",
    ),
)
