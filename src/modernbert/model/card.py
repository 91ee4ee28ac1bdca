"""Facts of a model in, the page that its folder carries for people and for the hub out."""

import hashlib
import re
from pathlib import Path

from modernbert.base.files import whole_file
from modernbert.base.markdown import code, front_matter, table
from modernbert.model.card_facts import CardFacts, Origin, TrainingFacts, TuningFacts
from modernbert.model.card_training import training
from modernbert.model.card_tuning import tuning
from modernbert.model.card_usage import usage
from modernbert.model.config import EncoderConfig
from modernbert.model.model import Model
from modernbert.model.opens import misread
from modernbert.model.sentence_config import SentenceConfig

CARD = "README.md"
_TASKS = {
    "encoder": "feature-extraction",
    "masked_lm": "fill-mask",
    "sequence": "text-classification",
    "tokens": "token-classification",
    "spans": "question-answering",
    "choice": "multiple-choice",
    "late": "sentence-similarity",
    "sparse": "feature-extraction",
}
_WHAT = {
    "encoder": "It gives each token a vector and has no head.",
    "masked_lm": "It guesses hidden tokens, and gives each token a vector.",
    "sequence": "It scores texts.",
    "tokens": "It scores each token of a text.",
    "spans": "It scores each token as the start and the end of an answer.",
    "choice": "It scores texts, of which the best is chosen.",
    "late": "It gives each token a vector; query and text are compared token by token (ColBERT).",
    "sparse": "It gives each text a sparse vector, with a weight for each word of the vocabulary.",
}
_PROBLEMS = {
    "single_label": "One label is right: softmax makes shares of the scores.",
    "multi_label": "Any number of labels is right: sigmoid makes a share of each score.",
    "regression": "The scores are numbers as they are.",
}
_LABELS_AT_MOST = 50
_START, _STOP = "<!-- training: start -->", "<!-- training: stop -->"
_INHERITED = (
    "What follows was written when the model, or the one that it was made from, was trained."
)
_SIGNED = re.compile(r"<!-- written by modernbert, ([0-9a-f]{16}): edit it, and it stays -->\n")


def facts_of(
    model: Model,
    mask_token: str,
    *,
    sentence: SentenceConfig | None = None,
    training: TrainingFacts | None = None,
    tuning: TuningFacts | None = None,
    origin: Origin | None = None,
) -> CardFacts:
    """Gather what a model tells of itself."""
    return CardFacts(
        config=model.config,
        head=model.head_config,
        num_parameters=sum(weight.numel() for weight in model.parameters()),
        dtype=str(next(model.parameters()).dtype).removeprefix("torch."),
        mask_token=mask_token,
        sentence=sentence,
        training=training,
        tuning=tuning,
        origin=origin or Origin(),
    )


def write(facts: CardFacts, folder: Path) -> None:
    """Write the card of a folder.

    Raises:
        MachineError: it cannot be written.
    """
    with whole_file(folder / CARD) as aside:
        aside.write_text(card(facts), encoding="utf-8", errors="backslashreplace")


def is_replaceable(folder: Path) -> bool:
    """Return whether a folder has no card, or one that nobody changed since it was written here."""
    text = _text(folder)
    signed = _SIGNED.search(text)
    is_ours = signed is not None and signed[1] == _signature(_SIGNED.sub("", text))
    return is_ours or not (folder / CARD).exists()


def training_in(folder: Path) -> str:
    """Return what the card of a folder says of the training, empty when it says nothing."""
    return _text(folder).partition(_START)[2].partition(_STOP)[0].strip()


def card(facts: CardFacts) -> str:
    """Return the whole page: front matter, what it is, how to use it, how it came about, limits."""
    told = _told(facts)
    parts = [
        _front(facts),
        "# A ModernBERT",
        _what(facts),
        "## Use",
        "In what follows, `.` is the folder that holds this file; once it is on the hub, write its "
        "name there instead.",
        usage(facts),
        *([] if facts.training or facts.tuning or not told else [_INHERITED]),
        *([_START, told, _STOP] if told else []),
        _limits(facts),
    ]
    text = "\n\n".join(parts) + "\n\n"
    return f"{text}<!-- written by modernbert, {_signature(text)}: edit it, and it stays -->\n"


def _told(facts: CardFacts) -> str:
    """Return how the model came about, the last part first."""
    before = training(facts.training) if facts.training else facts.origin.training
    if facts.tuning is None:
        return before
    return "\n\n".join([tuning(facts.tuning), *([_INHERITED, before] if before else [])])


def _front(facts: CardFacts) -> str:
    task = _TASKS[facts.kind]
    base = {"base_model": facts.origin.base_model} if facts.origin.base_model else {}
    library = "modernbert" if facts.config.options else "transformers"
    return front_matter(
        {"library_name": library, "pipeline_tag": task, **base, "tags": ["modernbert", task]}
    )


def _what(facts: CardFacts) -> str:
    config, kind = facts.config, facts.kind
    whole = sum(config.is_global(layer) for layer in range(config.num_layers))
    near = f"global in {whole} layers, else {config.local_window // 2} tokens to each side"
    shape = [
        ("parameters", f"{facts.num_parameters:,}"),
        ("stored as", facts.dtype),
        ("layers", f"{config.num_layers}"),
        ("width, heads", f"{config.dim:,}, {config.num_heads}"),
        ("MLP width", f"{config.mlp_dim:,}"),
        *((name, str(value)) for name, value in config.options),
        ("vocabulary", f"{config.vocab_size:,}"),
        ("context, tokens", f"{config.max_length:,}"),
        ("attention", near),
    ]
    paper = "[ModernBERT](https://arxiv.org/abs/2412.13663)"
    text = f"An encoder of the {paper} family, which reads text in both directions. {_WHAT[kind]}"
    return "\n\n".join([text, table(("shape", ""), shape), *_head(facts), *_prompts(facts)])


def _head(facts: CardFacts) -> list[str]:
    head = facts.head
    if head is None or not head.labels:
        return []
    shown = [
        f"{number} {code(label)}" for number, label in enumerate(head.labels[:_LABELS_AT_MOST])
    ]
    if more := len(head.labels) - len(shown):
        shown.append(f"and {more:,} more, see config.json")
    problem = f" {_PROBLEMS[head.problem]}" if head.kind == "sequence" else ""
    return [f"Labels: {', '.join(shown)}.{problem}"]


def _prompts(facts: CardFacts) -> list[str]:
    rows = [(code(name), code(text)) for name, text in facts.prompts.items()]
    return [table(("prompt", "put before a text"), rows)] if rows else []


def _limits(facts: CardFacts) -> str:
    if facts.tuning is not None:
        seen = (
            "It learned from the examples listed above: texts of other kinds are judged worse, and "
            "scores on them are not known."
        )
    elif facts.training is not None:
        seen = (
            "It has seen the text listed above and nothing else: language, subjects and views of "
            "that text are its own, and text of other kinds is read worse."
        )
    elif facts.origin.training:
        seen = "Whether it was trained on more than the text listed above is not recorded here."
    else:
        seen = "What it was trained on is not recorded here."
    is_embedding = facts.kind in ("encoder", "masked_lm")
    return "\n".join(
        [
            "## Limits",
            "",
            f"- {seen}",
            *_readers(facts.config),
            f"- It was made for texts of up to {facts.config.max_length:,} tokens.{_cut(facts)}",
            *(
                ["- Its vectors were not trained to be compared: fine-tune it before searching."]
                if is_embedding and facts.training is not None
                else []
            ),
            "- No benchmark, no bias and no safety was measured for this card.",
            "- The licence of the text it was trained on is not recorded here.",
        ]
    )


def _readers(config: EncoderConfig) -> list[str]:
    """Tell which programs must not read it."""
    if config.options:
        named = ", ".join(dict(config.options))
        return [f"- Only the package modernbert opens it: no other program knows {named}."]
    return [f"- Use transformers 5, not 4: {why}."] if (why := misread(config)) else []


def _cut(facts: CardFacts) -> str:
    """Tell where a folder says that less is read than the encoder can."""
    sentence, longest = facts.sentence, facts.config.max_length
    if sentence is None:
        return ""
    late = sentence.late
    if late is None:
        cut = sentence.max_length
        return f" This folder cuts them after {cut:,}." if cut < longest else ""
    lengths = {"queries": late.query_length, "documents": late.document_length}
    cuts = [f"{name} after {length:,}" for name, length in lengths.items() if length]
    return f" This folder cuts {' and '.join(cuts)}." if cuts else ""


def _text(folder: Path) -> str:
    try:
        return (folder / CARD).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""  # a model opens without its card


def _signature(text: str) -> str:
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=8).hexdigest()
