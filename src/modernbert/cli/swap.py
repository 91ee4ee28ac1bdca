"""`modernbert swap-vocabulary`: a model and another tokenizer in, a folder with both out."""

from pathlib import Path

from modernbert.base.errors import ConfigError
from modernbert.base.log import say


def swap_tokenizer(source: str, tokenizer: Path, target: Path) -> None:
    """Give a model another tokenizer's vocabulary, write it, and say what became of the rows.

    Raises:
        ConfigError: the target is not empty.
        CheckpointError: the model cannot be read.
        DataError: the tokenizer cannot be read.
    """
    if target.is_dir() and any(target.iterdir()):
        raise ConfigError(f"{target} is not empty: give another folder for the model")
    from modernbert.data.tokenizer import Tokenizer
    from modernbert.infer.pretrained import load
    from modernbert.infer.vocabulary import swap_vocabulary

    new, found = swap_vocabulary(load(source), Tokenizer.load(tokenizer))
    new.save(target)
    filled = new.config.vocab_size - new.tokenizer.vocab_size
    say(
        f"{found.num_kept:,} tokens kept their row, {found.num_averaged:,} start from the mean of "
        f"their pieces, {found.num_fresh:,} from nothing; {filled} rows fill up to a multiple of 64"
    )
    say(f"a model with {new.config.vocab_size:,} ids is in {target}")
