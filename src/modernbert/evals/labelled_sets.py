"""Labelled sets beside GLUE: topics, long reviews, names and chunks; files, measures, settings.

Final numbers are of a test part; settings and epochs are chosen on a dev part, or on a tenth of the
training part where there is none.
"""

from modernbert.data.columns import Columns
from modernbert.evals.suite import Folds, Grid, Suite, SuiteTask, Values

_LABELLED = (Columns("text", "", ("label",)),)
_DECAY = 5e-6
_USUAL = Values(5e-5, _DECAY, 3)
_SPANS = Values(8e-5, _DECAY, 5)
_GRID = Grid((3e-5, 5e-5, 8e-5), (_DECAY,), (2, 5, 10))


def _tagged(name: str, folders: tuple[str, ...] = (), dev: tuple[str, ...] = ()) -> SuiteTask:
    """Return a set of tagged words; the three differ in their files alone."""
    return SuiteTask(
        name=name,
        folders=folders,
        learns="tokens",
        dev=dev,
        test=("test",),
        measures=("f1",),
        scored_on=("test",),
        best_by="f1",
        base=_SPANS,
        large=_SPANS,
        grid=_GRID,
        batch_size=32,
    )


LABELLED_SETS = Suite(
    "labels",
    "average of all labelled sets",
    (
        SuiteTask(
            name="AG-News",
            train=("train", "train_subset_10k"),
            dev=(),
            test=("test",),
            columns=_LABELLED,
            labels=("World", "Sports", "Business", "Sci/Tech"),
            measures=("accuracy",),
            scored_on=("test",),
            best_by="accuracy",
            base=_USUAL,
            large=_USUAL,
            grid=_GRID,
            max_length=256,
        ),
        SuiteTask(
            name="movie reviews",
            train=("all",),
            folds=Folds("fold", dev=8, test=9),
            columns=_LABELLED,
            labels=("0", "1"),
            measures=("accuracy",),
            scored_on=("test",),
            best_by="accuracy",
            base=_USUAL,
            large=_USUAL,
            grid=_GRID,
            batch_size=16,
        ),
        _tagged("NCBI-disease", dev=("devel", "dev", "validation")),
        _tagged("GUM"),
        _tagged("CoNLL-2000", folders=("CoNLL2000-chunking",)),
        SuiteTask(
            name="XQuAD",
            folders=("xquad-en", "xquad.en"),
            learns="spans",
            train=("queries", "validation", "xquad.en"),
            folds=Folds("fold", dev=8, test=9),
            measures=("f1",),
            scored_on=("test",),
            best_by="f1",
            base=_SPANS,
            large=_SPANS,
            grid=_GRID,
            batch_size=16,
        ),
    ),
    notes=(
        "Scores are of the test parts, in percent: accuracy (AG-News, movie reviews), F1 of whole "
        "spans (NCBI-disease, GUM, CoNLL-2000) and of answers (XQuAD, English). Settings and "
        "epochs are chosen on the dev part, or on a tenth of the training part. Of the movie "
        "reviews' ten folds, fold 9 is the test part and fold 8 the dev part. XQuAD's questions "
        "are shared out by a digest of their paragraph: a tenth is the test part, a tenth the "
        "dev part.",
    ),
)
