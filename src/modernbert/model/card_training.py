"""Facts of a run in, what a card says of data, budget, settings and measurements out."""

from modernbert.base.log import duration
from modernbert.base.markdown import code, table
from modernbert.model.card_facts import TrainingFacts


def training(facts: TrainingFacts) -> str:
    """Return the sections of a card that tell how the model came about."""
    return "\n\n".join([_data(facts), _settings(facts), _measured(facts)])


def _data(facts: TrainingFacts) -> str:
    rows = [(code(s.name), f"{s.documents:,}", f"{s.tokens:,}") for s in facts.sources]
    documents = sum(source.documents for source in facts.sources)
    tokens = sum(source.tokens for source in facts.sources)
    rows.append(("all", f"{documents:,}", f"{tokens:,}"))
    steps = sum(phase.steps for phase in facts.phases)
    return "\n\n".join(
        [
            "## Training data and budget",
            table(("source", "documents", "tokens"), rows),
            f"The model was trained on {facts.tokens:,} tokens in {steps:,} steps, which took "
            f"{duration(facts.seconds)} on {code(facts.hardware)} in {facts.precision}. That is "
            f"{facts.tokens / tokens:.2g} times the tokens of the sources.",
        ]
    )


def _settings(facts: TrainingFacts) -> str:
    head = (
        *("phase", "tokens", "context", "batch, tokens", "peak rate", "schedule"),
        *("weight decay", "global theta", "hidden"),
    )
    rows = [
        (
            code(phase.name),
            f"{phase.tokens:,}",
            f"{phase.context_length:,}",
            f"{phase.batch_tokens:,}",
            f"{phase.peak_lr:g}",
            phase.schedule,
            f"{phase.weight_decay:g}",
            f"{phase.global_rope_theta:g}",
            "none: next tokens guessed" if phase.is_causal else f"{phase.mask_rate:.0%}",
        )
        for phase in facts.phases
    ]
    versions = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
    commit = f", commit {code(facts.commit)}" if facts.commit else ""
    return "\n\n".join(
        [
            "## Hyper-parameters",
            table(head, rows),
            f"{facts.optimizer}, seed {facts.seed}. Made with {versions}{commit}.",
        ]
    )


def _measured(facts: TrainingFacts) -> str:
    if not facts.heldout:
        return "## Measured\n\nNothing was measured: no text was held out."
    rows = [
        (
            "all" if each.source == "all" else code(each.source),
            f"{each.loss:.3f}",
            f"{each.masked_accuracy:.1%}",
            f"{each.most_frequent_token_accuracy:.1%}",
            f"{each.hidden:,}",
        )
        for each in facts.heldout
    ]
    head = ("source", "loss", "masked accuracy", "most frequent token", "hidden tokens")
    return "\n\n".join(
        [
            "## Measured",
            f"On held-out text, after step {facts.heldout_step:,}, with "
            f"{facts.heldout_mask_rate:.0%} of the tokens hidden. Loss is in nats a hidden token; "
            "the column before the last is what guessing the most frequent token would reach.",
            table(head, rows),
        ]
    )
