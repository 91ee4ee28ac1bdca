import pytest

from modernbert.base.errors import ConfigError
from modernbert.data.clean.options import CleanOptions, GopherQuality, RunOptions, Slurm, check


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"filters": ("gopher-qualty",)}, "a filter is 'gopher-qualty': did you mean gopher-qual"),
        ({"dedup": ("fuzzy",)}, "--dedup is 'fuzzy': known are exact, minhash, none"),
        ({"filters": ("none", "c4")}, "--filters has none beside others: leave it out, or the oth"),
        ({"code": ("bok",)}, "--code names no source 'bok': did you mean books"),
        ({"ngram": 0}, "--ngram is 0: give at least 1"),
        ({"language_threshold": 2.0}, "--language-threshold is 2.0: give a number from 0 to 1"),
        (
            {"language": ("de",)},
            "gopher-quality looks for English stop words, and --language keeps",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(options, said):
    with pytest.raises(ConfigError) as caught:
        check(CleanOptions(**options), RunOptions(), ["books"])
    assert said in str(caught.value)


def test_slurm_needs_a_partition():
    with pytest.raises(ConfigError, match="--executor slurm needs a partition: name one with"):
        check(CleanOptions(), RunOptions(executor="slurm"), ["books"])
    check(CleanOptions(), RunOptions(executor="slurm", slurm=Slurm(partition="p")), ["books"])


def test_other_languages_have_other_stop_words():
    words = GopherQuality(stop_words=("der", "die", "und"))
    check(CleanOptions(language=("de",), gopher_quality=words), RunOptions(), [])
    check(CleanOptions(language=("de", "en")), RunOptions(), [])
