import os
import subprocess
import sys
import warnings

import pytest

from modernbert.base.errors import ConfigError
from modernbert.cli import main as main_module
from modernbert.cli.arguments import tokens_of
from modernbert.cli.doctor import examine, spelled
from modernbert.cli.main import main, run

QUICK = """
import sys
from modernbert.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as stopped:
    assert stopped.code in (0, None), stopped.code
heavy = {"torch", "numpy", "tokenizers", "safetensors", "huggingface_hub"} & set(sys.modules)
assert not heavy, heavy
"""
VERBS = (
    "clean",
    "train-tokenizer",
    "prepare",
    "plan",
    "pretrain",
    "finetune",
    "predict",
    "train-retriever",
    "mine",
    "distill",
    "embed",
    "index",
    "update-index",
    "search",
    "evaluate",
    "fill",
    "convert",
    "export",
    "inspect",
    "grow",
    "swap-vocabulary",
    "doctor",
    "demo",
    "bench",
)


def exits(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    return caught.value.code or 0


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_loads_nothing_heavy(verb):
    arguments = [verb, "--help"] if verb else ["--help"]
    environment = os.environ | {"COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, "-c", QUICK, *arguments], capture_output=True, text=True, env=environment
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"usage: modernbert {verb}".strip() in done.stdout


def test_every_verb_is_in_the_help(capsys):
    assert exits("--help") == 0
    shown = capsys.readouterr().out
    assert all(verb in shown for verb in VERBS)


def test_no_verb_is_a_question(capsys):
    assert exits() == 0
    assert "usage: modernbert" in capsys.readouterr().out


def test_every_number_of_a_recipe_is_an_option(capsys):
    assert exits("pretrain", "--help") == 0
    shown = capsys.readouterr().out
    for option in ("--phases.0.peak-lr", "--phases.2.schedule.decay-tokens", "--model.dim"):
        assert option in shown
    assert "Share of the ordinary tokens that is hidden" in shown


@pytest.mark.parametrize(
    ("arguments", "nearest"),
    [
        (["pretrain", "tiny", "--phases.0.peek-lr", "1"], "--phases.0.peak-lr"),
        (["pretrain", "--resum", "x"], "--resume"),
        (["prepare", "x", "--tokenzer", "t", "--out", "o"], "--tokenizer"),
        (["demo", "--minute", "3"], "--minutes"),
        (["train"], "train-tokenizer"),
    ],
)
def test_an_unknown_option_names_the_nearest(capsys, arguments, nearest):
    assert exits(*arguments) == 2
    assert nearest in capsys.readouterr().err


def test_the_version(capsys):
    assert exits("--version") == 0
    assert capsys.readouterr().out.startswith("modernbert 0.")


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("500000", 500_000),
        ("50M", 50_000_000),
        ("1.5B", 1_500_000_000),
        ("2k", 2000),
        ("1T", 10**12),
    ],
)
def test_numbers_of_tokens(text, tokens):
    assert tokens_of(text) == tokens


@pytest.mark.parametrize(
    "text", ["", "M", "many", "-5M", "0", "0.1", "nan", "inf", "1e999", "5 M M"]
)
def test_what_is_no_number_of_tokens_is_refused(text):
    with pytest.raises(ConfigError) as caught:
        tokens_of(text)
    assert str(caught.value) == (
        f"{text!r} is not a number of tokens: write it like 500000, 50M or 1.5B"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "o"], "a new run needs --corpus (made by `modernbert prepare`) and --out; "),
        (["--corpus", "c"], "to go on with one, give --resume RUN"),
        (["tinny"], "there is no recipe 'tinny': did you mean tiny?"),
        (
            ["--resume", "r", "--seed", "3"],
            "--resume takes no other option than --corpus: a run goes on as it ",
        ),
        (["tiny", "--resume", "r"], "--resume takes no other option"),
        (["--resume", "no=/run"], "no=/run holds no run: it has no run.json"),
        (["tiny", "--model.vocab-size", "64"], "--model.vocab-size follows from the corpus'"),
        (
            ["tiny", "--model.global_rope_theta=7"],
            "--model.global-rope-theta follows from the phases: set --phases.0.global-rope-theta",
        ),
        (["--resume", "r", "--corpus=c", "--total=5M"], "--resume takes no other option"),
        (["no/such.json", "--out", "o"], "no/such.json does not exist: give the run.json of a run"),
        (["--resume", "no/run/"], "no/run holds no run: it has no run.json"),
        (["--resume=no/run/"], "no/run holds no run: it has no run.json"),
        (
            ["--corpus", "c", "--out", "o", "modernbert-base"],
            "what to start from comes first: write `modernbert pretrain modernbert-base ...`",
        ),
        (
            ["tiny", "--corpus", "c", "--out", "o", "--phases.0.mask-rate", "2"],
            "phase pretrain: mask_rate 2.0 must lie between 0 and 1",
        ),
        (["tiny", "--corpus", "c", "--out", "o", "--total", "lots"], "'lots' is not a number of"),
        (
            ["tiny", "--corpus", "c", "--out", "o", "--causal-share", "0.9"],
            "a causal share of 0.9 is",
        ),
        (["tiny", "--corpus", "no/corpus", "--out", "o"], "no/corpus"),
    ],
)
def test_what_pretrain_refuses(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert exits("pretrain", *arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_where_an_error_came_from(tmp_path):
    with pytest.raises(ConfigError, match="there is no recipe"):
        main(["pretrain", "tinny", "--debug"])


def test_sources_of_one_name_must_be_named(capsys):
    assert exits("prepare", "a/x.txt", "b/x.txt", "--tokenizer", "t", "--out", "o") == 2
    assert "two sources would be called 'x': write one of them as NAME=b/x.txt" in (
        capsys.readouterr().err
    )


@pytest.mark.slow
def test_the_doctor_looks_at_everything(capsys):
    found = examine()
    assert found["attention"] in found["attention_backends"]
    assert set(found["gflops"]) == {"float32", "bfloat16"}
    page = spelled(found)
    for part in ("torch", "cores", "device:", "matrix products:", "attention:"):
        assert part in page
    named = "bfloat16 and float16 are multiplied in float32 here"
    assert named in spelled(found | {"widened": ["bfloat16", "float16"]})
    assert named not in spelled(found | {"widened": []})
    for is_narrow in (True, False):
        assert ("go through oneDNN" in spelled(found | {"by_onednn": is_narrow})) == is_narrow
    assert run(["doctor", "--as-json"]) == 0
    assert '"attention_backends"' in capsys.readouterr().out


def test_a_folder_in_use_gets_no_tokenizer(tmp_path):
    (tmp_path / "thesis.tex").write_text("years")
    with pytest.raises(ConfigError, match="is not empty: give another folder for the tokenizer"):
        run(["train-tokenizer", str(tmp_path), "--out", str(tmp_path)])


@pytest.mark.parametrize("verb", ["train-tokenizer", "prepare"])
def test_an_empty_path_is_not_this_folder(verb, tmp_path):
    more = {"train-tokenizer": [], "prepare": ["--tokenizer", "t"]}[verb]
    with pytest.raises(ConfigError, match=r"one of the paths is empty: write \. for this folder"):
        run([verb, "", "--out", str(tmp_path / "out"), *more])


def test_a_warning_is_one_line(capsys, monkeypatch):
    monkeypatch.setattr(main_module, "run", lambda _: print(warnings.formatwarning("a word")) or 0)
    with pytest.raises(SystemExit):
        main([])
    assert capsys.readouterr().out == "warning: a word\n\n"


def test_a_path_that_is_too_long_is_a_sentence(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["inspect", "n" * 300])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said == "error: a path is longer than this system takes: shorten it\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_what_cannot_be_printed_is_said():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "modernbert", "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 2
    assert done.stderr == ("error: what was asked for cannot be printed: No space left on device\n")


def test_characters_that_the_terminal_lacks_are_escaped():
    done = subprocess.run(
        [sys.executable, "-m", "modernbert", "doctor", "\u00e9"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )
    assert "\\xe9" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
