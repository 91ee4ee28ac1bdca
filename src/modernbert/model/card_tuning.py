"""Facts of a fine-tuning in, what a card says of examples, settings and scores out."""

from modernbert.base.log import duration
from modernbert.base.markdown import code, table
from modernbert.model.card_facts import TuningFacts


def tuning(facts: TuningFacts) -> str:
    """Return the sections of a card that tell what a head was learned from, and how well."""
    return "\n\n".join([_learned(facts), _measured(facts)])


def _learned(facts: TuningFacts) -> str:
    rows = [(part.name, code(part.file), f"{part.examples:,}") for part in facts.parts]
    settings = ", ".join(f"{name} {value}" for name, value in facts.settings.items())
    versions = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
    epochs = f"{facts.epoch:.2g} epoch{'' if facts.epoch == 1 else 's'}"
    commit = f", commit {code(facts.commit)}" if facts.commit else ""
    return "\n\n".join(
        [
            "## Fine-tuning",
            table(("part", "file", "examples"), rows),
            f"Learned with `modernbert {facts.command}` from {code(facts.start)} on "
            f"{facts.amount}, which took {duration(facts.seconds)} on {code(facts.hardware)} in "
            f"{facts.precision}. Kept is the model after {epochs}, the best on the dev examples by "
            f"{facts.decisive}. Settings: {settings}.",
            f"Made with {versions}{commit}.",
        ]
    )


def _measured(facts: TuningFacts) -> str:
    rows = [
        (name, f"{value:.4f}", *([f"{facts.test[name]:.4f}"] if facts.test else []))
        for name, value in facts.dev.items()
    ]
    told = "The dev examples chose the model, so its scores on them are flattering."
    return "\n\n".join(
        ["### Scores", table(("measure", "dev", *(["test"] if facts.test else [])), rows), told]
    )
