"""A run's folder in, the facts of its training for the model's card out."""

from itertools import groupby
from pathlib import Path
from typing import Any

from modernbert.base.log import count
from modernbert.base.records import from_plain
from modernbert.data.corpus import Corpus
from modernbert.model.card_facts import HeldoutRow, PhaseRow, SourceRow, TrainingFacts
from modernbert.train.config import Phase, RunConfig
from modernbert.train.description import read_description
from modernbert.train.evaluate import MASK_RATE
from modernbert.train.rows import EVALUATIONS, METRICS, steps_in


def training_facts(folder: Path, config: RunConfig, corpus: Corpus) -> TrainingFacts:
    """Read what run.json, the metrics and the evaluations of a run tell.

    Raises:
        CheckpointError: the folder holds no run.
    """
    told, steps = read_description(folder), steps_in(folder / METRICS)
    last, heldout = _heldout(steps_in(folder / EVALUATIONS))
    host = told["machine"]
    return TrainingFacts(
        sources=_sources(corpus),
        phases=_phases(config, steps),
        heldout=heldout,
        heldout_step=last,
        heldout_mask_rate=MASK_RATE,
        seconds=sum(step["seconds"] for step in steps),
        hardware=f"{host['processor']}, {host['cores']} cores",
        precision=config.precision,
        optimizer=_optimizer(config),
        seed=config.seed,
        versions=told["versions"],
        commit=told["commit"],
    )


def _optimizer(config: RunConfig) -> str:
    muon = "Muon for the layers' matrices, and StableAdamW"
    name = {"stable_adamw": "StableAdamW", "adamw": "AdamW", "muon": muon}[config.optimizer]
    limit = f", gradients of {config.clip_norm:g} at most" if config.clip_norm else ""
    return f"{name} with betas {config.betas} and eps {config.eps:g}{limit}"


def _sources(corpus: Corpus) -> tuple[SourceRow, ...]:
    documents = corpus.document_counts("train")
    return tuple(
        SourceRow(name, documents[name], tokens)
        for name, tokens in corpus.token_counts("train").items()
    )


def _phases(config: RunConfig, steps: list[dict[str, Any]]) -> tuple[PhaseRow, ...]:
    taken = {name: [*group] for name, group in groupby(steps, key=lambda step: step["phase"])}
    return tuple(
        PhaseRow(
            name=phase.name,
            tokens=sum(step["batch_tokens"] for step in taken.get(phase.name, [])),
            steps=len(taken.get(phase.name, [])),
            context_length=phase.context_length,
            batch_tokens=phase.batch_tokens,
            peak_lr=phase.peak_lr,
            schedule=_schedule(phase),
            weight_decay=phase.weight_decay,
            global_rope_theta=phase.global_rope_theta,
            mask_rate=phase.mask_rate,
            is_causal=phase.objective == "causal",
        )
        for phase in config.phases
    )


def _schedule(phase: Phase) -> str:
    schedule, parts = phase.schedule, []
    if schedule.warmup_tokens:
        parts.append(f"climbs for {count(schedule.warmup_tokens)} tokens")
    if schedule.decay_tokens:
        parts.append(
            f"falls for {count(schedule.decay_tokens)} by {schedule.decay} to {schedule.floor:g} "
            "of the peak"
        )
    return ", ".join(parts) or "constant"


def _heldout(rows: list[dict[str, Any]]) -> tuple[int, tuple[HeldoutRow, ...]]:
    last = max((row["step"] for row in rows), default=0)
    names = HeldoutRow.__dataclass_fields__
    return last, tuple(
        from_plain(HeldoutRow, {name: row[name] for name in names})
        for row in rows
        if row["step"] == last
    )
