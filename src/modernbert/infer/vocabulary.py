"""A model and another tokenizer in, the model with that tokenizer's vocabulary out."""

from modernbert.data.tokenizer import Tokenizer
from modernbert.data.train_tokenizer import MULTIPLE
from modernbert.data.vocabulary import Match, match
from modernbert.infer.matching import check_marks
from modernbert.infer.pretrained import Pretrained
from modernbert.model.vocabulary import swap


def swap_vocabulary(model: Pretrained, tokenizer: Tokenizer) -> tuple[Pretrained, Match]:
    """Return the model with another tokenizer, and what became of its tokens.

    Rows of shared tokens are kept, others start from what is known of their pieces
    (`modernbert.data.vocabulary.match`). The table is filled up to a multiple of 64.

    Raises:
        ConfigError: the tokenizer lacks what tells queries from documents.
    """
    check_marks(model.sentence.config, model.tokenizer, tokenizer)
    found = match(model.tokenizer, tokenizer)
    swapped = swap(
        model.model,
        found.sources,
        -(-tokenizer.vocab_size // MULTIPLE) * MULTIPLE,
        pad_id=tokenizer.pad_id,
        cls_id=tokenizer.cls_id,
        sep_id=tokenizer.sep_id,
    )
    return Pretrained(swapped, tokenizer, model.sentence).train(model.training), found
