import pytest

from modernbert.cli.arguments import spelled_out


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (["--save-every-tokens", "100k"], ["--save-every-tokens", "100000"]),
        (["--phases.0.batch-tokens=1.5M"], ["--phases.0.batch-tokens=1500000"]),
        (
            ["--phases.0.schedule.warmup_tokens", ".5k"],
            ["--phases.0.schedule.warmup_tokens", "500"],
        ),
        (["--evaluate-tokens", "12", "tiny"], ["--evaluate-tokens", "12", "tiny"]),
        (["tiny", "--out", "5M", "--total", "2T"], ["tiny", "--out", "5M", "--total", "2T"]),
        (["--out=5M", "--compile", "7k"], ["--out=5M", "--compile", "7k"]),
    ],
)
def test_tokens_are_spelled_out_where_an_option_counts_them(given, read):
    assert spelled_out(given) == read
