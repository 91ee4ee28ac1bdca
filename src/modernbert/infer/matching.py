"""A tokenizer and what uses it in, a refusal out where the two do not belong together."""

from pathlib import Path

from modernbert.base.errors import CheckpointError, ConfigError
from modernbert.data.tokenizer import Tokenizer
from modernbert.model.config import EncoderConfig
from modernbert.model.sentence_config import SentenceConfig


def check_match(folder: Path, config: EncoderConfig, tokenizer: Tokenizer) -> None:
    """Refuse a tokenizer whose ids mean something else to the model, as far as can be seen.

    Some published models name another token as [CLS] than their tokenizer does; none is known
    whose tokenizer and model agree on no special token.
    """
    if tokenizer.vocab_size > config.vocab_size:
        raise CheckpointError(
            f"the tokenizer in {folder} has {tokenizer.vocab_size} ids, the model "
            f"{config.vocab_size}: they do not belong together"
        )
    theirs = (tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id)
    ours = (config.pad_id, config.cls_id, config.sep_id)
    if not any(one == other for one, other in zip(theirs, ours, strict=True)):
        raise CheckpointError(
            f"the tokenizer in {folder} has [PAD], [CLS] and [SEP] at {theirs}, config.json at "
            f"{ours}: they do not belong together"
        )


def check_marks(sentence: SentenceConfig, own: Tokenizer | None, new: Tokenizer) -> None:
    """Refuse another tokenizer if it has no token for what marks queries or documents.

    They would all be marked by [UNK], and look alike.

    Raises:
        ConfigError: a mark that was a token would be none.
    """
    late = sentence.late
    for mark in (late.query_prefix, late.document_prefix) if late else ():
        was_token = (
            late is not None and late.form == "ColBERT" if own is None else own.is_added(mark)
        )
        if mark and was_token and not new.is_added(mark):
            raise ConfigError(
                f"this model marks queries and documents by tokens such as {mark!r}, and the other "
                "tokenizer has none of that name: add it there, as transformers' add_tokens does"
            )
