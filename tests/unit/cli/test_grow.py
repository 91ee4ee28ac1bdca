import pytest

import modernbert
from modernbert.cli.main import main
from modernbert.data.train_tokenizer import train
from modernbert.model.sentence import Sentence
from modernbert.model.sentence_config import DenseShape, Pool, SentenceConfig
from tests.corpora import texts
from tests.unit.infer.test_pretrained import made


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "small"
    made().save(folder)
    return folder


@pytest.fixture
def called(capsys):
    def run(*arguments) -> tuple[int, str]:
        with pytest.raises(SystemExit) as caught:
            main([str(each) for each in arguments])
        said = capsys.readouterr()
        return caught.value.code, said.out + said.err

    return run


def test_a_model_grows(small, called, tmp_path):
    status, said = called(
        *("grow", small, tmp_path / "large", "--dim", 64, "--num-layers", 5, "--mlp-dim", 96)
    )
    assert status == 0
    assert "layer by layer from 0 1 2 1 2" in said
    assert "5 of 5 layers stay what they were, global or local" in said
    large = modernbert.load(tmp_path / "large")
    assert (large.config.dim, large.config.num_heads, large.config.num_layers) == (64, 4, 5)
    assert large.tokenizer.fingerprint == modernbert.load(small).tokenizer.fingerprint
    called("grow", small, tmp_path / "again", "--dim", 64, "--num-layers", 5, "--mlp-dim", 96)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("large", "again")]
    assert weights[0] == weights[1]


def test_a_preset_gives_the_sizes(small, called, tmp_path):
    status, _ = called("grow", small, tmp_path / "x", "--preset", "tiny", "--num-heads", 8)
    assert status == 0
    assert modernbert.load(tmp_path / "x").config.dim == 128


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--preset", "lrage"), "there is no preset 'lrage': did you mean large?"),
        (("--preset", "large", "--dim", 16), "dim 16 is less than the model's 32: models only"),
        (("--noise", 2), "noise is 2.0: give a share from 0 to below 1"),
        (("--dim", -64), "dim is -64: give a size, or 0 to leave it to the model"),
        (("--dim", 64, "--num-heads", 2), "heads 32 wide, and the model's are 16 wide"),
        ((), "has these sizes already: ask for more, by --dim, --mlp-dim or --num-layers"),
        (["--num-layers", 100_000_000], "GB of memory: ask for less"),
    ],
)
def test_what_does_not_fit_is_one_sentence(small, called, tmp_path, options, sentence):
    status, said = called("grow", small, tmp_path / "large", *options)
    assert status == 2
    assert sentence in said
    assert not (tmp_path / "large").exists()


def test_nothing_is_written_over(small, called):
    for command in (("grow", small, small), ("swap-vocabulary", small, small, small)):
        status, said = called(*command)
        assert status == 2
        assert f"{small} is not empty: give another folder for the model" in said


def test_weights_that_overflow_are_refused(called, tmp_path):
    broken = made()
    broken.encoder.layers[0].mlp.Wi.weight.data.fill_(3e38)
    broken.save(tmp_path / "broken")
    status, said = called("grow", tmp_path / "broken", tmp_path / "large", "--num-layers", 5)
    assert status == 2
    assert "computes NaN or Inf: check the weights it came from" in said


def test_a_vocabulary_is_swapped(small, called, tmp_path):
    train(iter(texts(40, seed=1)), 384).save(tmp_path / "tokenizer")
    status, said = called("swap-vocabulary", small, tmp_path / "tokenizer", tmp_path / "new")
    assert status == 0
    assert "tokens kept their row, " in said
    assert "a model with 384 ids is in " in said
    new = modernbert.load(tmp_path / "new")
    assert new.config.vocab_size == new.tokenizer.vocab_size == 384
    assert [len(guesses) for guesses in modernbert.fill(new, "the [MASK] batch")] == [5]


def test_a_projection_stays_where_it_fits(called, tmp_path):
    model = made()
    dense = DenseShape(
        in_dim=32, out_dim=8, has_bias=False, activation="torch.nn.modules.linear.Identity"
    )
    model.sentence = Sentence(SentenceConfig(max_length=20, steps=(Pool(("cls",)), dense)))
    model.save(tmp_path / "small")
    for name, size, steps in (("deep", ("--num-layers", 5), 2), ("wide", ("--dim", 64), 1)):
        status, said = called("grow", tmp_path / "small", tmp_path / name, *size)
        assert status == 0
        assert ("made for vectors of 32 numbers and are left out" in said) == (name == "wide")
        large = modernbert.load(tmp_path / name)
        assert len(large.sentence.config.steps) == steps
        assert large.sentence.config.pool == Pool(("cls",))
        assert large.embed(["the batch"]).shape == (1, 8 if name == "deep" else 64)
