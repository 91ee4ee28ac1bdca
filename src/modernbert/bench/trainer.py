"""Examples and habits in, what Hugging Face's Trainer made of them out: steps, scores, memory.

Set up as its documentation does for texts, for tokens and for answers, on a CPU.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from torch import Tensor, nn

from modernbert.base.machine import resident_bytes
from modernbert.bench.measure import peak_above
from modernbert.model.config import HeadConfig
from modernbert.train.tune_config import TuneConfig

IGNORED = -100
_WARM_UP = 3
_SCORE = "score"


@dataclass(frozen=True, slots=True)
class TextExample:
    """A text as token ids, and its label, marks or value."""

    ids: list[int]
    label: Any


@dataclass(frozen=True, slots=True)
class WordsExample:
    """The words of a sentence, and the number of each one's tag."""

    words: list[str]
    tags: list[int]


@dataclass(frozen=True, slots=True)
class AskedExample:
    """A question and a text as token ids, and where in them the answer begins and ends."""

    ids: list[int]
    first: int
    """0, the [CLS], says that no answer is there."""
    last: int


Some = Sequence[TextExample] | Sequence[WordsExample] | Sequence[AskedExample]


@dataclass(frozen=True, slots=True)
class Examples:
    """What is learned from, what is measured on, and how."""

    train: Some
    dev: Some
    score: Callable[[Any, NDArray[Any]], float]
    """Predictions and labels, in any order, to the decisive measure; labels may hold IGNORED.

    Answers are known by their token ids in place of labels.
    """


@dataclass(frozen=True, slots=True)
class Habits:
    """What users of Trainer do one way or the other."""

    is_grouped: bool = False
    """Whether batches are of alike lengths, which leaves less padding and less chance."""
    has_blanks: bool = False
    """Whether words keep the blank before them, as in running text; most guides forget it."""


HABITS = {
    "transformers": Habits(),
    "transformers grouped": Habits(is_grouped=True),
    "transformers with blanks": Habits(has_blanks=True),
    "transformers grouped with blanks": Habits(is_grouped=True, has_blanks=True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One fine-tuning by Trainer."""

    start: Path
    """Folder of the model."""
    out: Path
    config: TuneConfig
    """The budget; what Trainer has no name for is not read."""
    head: HeadConfig
    examples: Examples
    habits: Habits


@dataclass(slots=True)
class Steps:
    """What the steps of a fine-tuning took and held."""

    seconds: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    """Real ones."""
    slots: list[int] = field(default_factory=list)
    """With padding."""
    examples: list[int] = field(default_factory=list)

    @property
    def tokens_per_second(self) -> float:
        """Return the rate over all steps but the first few, which warm up."""
        first = min(_WARM_UP, len(self.seconds) // 2)
        return sum(self.tokens[first:]) / sum(self.seconds[first:])


@dataclass(frozen=True, slots=True)
class Tuned:
    """What one side made of the examples."""

    steps: Steps
    scores: list[float]
    """The decisive measure after each epoch."""
    peak_bytes: int | None
    """Of the whole run, above what the process held with the first weights."""

    @property
    def epoch_tokens(self) -> float:
        """Return the real tokens of an epoch, each of which ends with a score."""
        return sum(self.steps.tokens) / len(self.scores)

    @property
    def epoch_seconds(self) -> float:
        """Return what the steps of an epoch take."""
        return self.epoch_tokens / self.steps.tokens_per_second


def held(model: nn.Module) -> int | None:
    """Return the bytes a process holds with its weights in memory: mapped ones are when used."""
    for weight in model.parameters():
        weight.detach().sum()
    return resident_bytes()


def fine_tuned(job: Job) -> Tuned:
    """Train, and measure after each epoch."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import transformers

    transformers.set_seed(job.config.seed)
    tokenizer = transformers.AutoTokenizer.from_pretrained(job.start)
    model = _model(job)
    steps = Steps()
    collator = (
        transformers.DataCollatorForTokenClassification
        if job.head.kind == "tokens"
        else transformers.DataCollatorWithPadding
    )
    trainer = transformers.Trainer(
        model=model,
        args=_arguments(job),
        processing_class=tokenizer,
        data_collator=collator(tokenizer),
        train_dataset=features(tokenizer, job.examples.train, job),
        eval_dataset=features(tokenizer, job.examples.dev, job),
        compute_metrics=partial(_measured, job),
        callbacks=[_watch(model, steps)],
    )
    peak = peak_above(held(model), trainer.train)
    scores = [row[f"eval_{_SCORE}"] for row in trainer.state.log_history if "eval_loss" in row]
    return Tuned(steps, scores, peak)


def _measured(job: Job, found: Any) -> dict[str, float]:
    beside = found.inputs if job.head.kind == "spans" else found.label_ids
    return {_SCORE: job.examples.score(found.predictions, beside)}


def features(tokenizer: Any, examples: Some, job: Job) -> list[dict[str, Any]]:
    """Return what a model of transformers is given for each example."""
    return [_feature(tokenizer, each, job) for each in examples]


def _feature(
    tokenizer: Any, given: TextExample | WordsExample | AskedExample, job: Job
) -> dict[str, Any]:
    if isinstance(given, TextExample):
        return {"input_ids": given.ids, "labels": given.label}
    if isinstance(given, AskedExample):
        places = {"start_positions": given.first, "end_positions": given.last}
        return {"input_ids": given.ids, **places}
    return _aligned(tokenizer, given, job)


def _aligned(tokenizer: Any, given: WordsExample, job: Job) -> dict[str, Any]:
    """Label the first token of each word, as the guide to token classification does."""
    words = given.words
    if job.habits.has_blanks:
        words = [f" {word}" if number else word for number, word in enumerate(words)]
    encoded = tokenizer(
        words, is_split_into_words=True, truncation=True, max_length=job.config.max_length
    )
    labels, before = [], None
    for word in encoded.word_ids():
        labels.append(IGNORED if word is None or word == before else given.tags[word])
        before = word
    return {"input_ids": encoded["input_ids"], "labels": labels}


def _model(job: Job) -> Any:
    import transformers

    options: dict[str, Any] = {"dtype": "float32"}
    if job.head.kind == "spans":
        return transformers.AutoModelForQuestionAnswering.from_pretrained(job.start, **options)
    options["num_labels"] = len(job.head.labels)
    if job.head.kind == "tokens":
        return transformers.AutoModelForTokenClassification.from_pretrained(job.start, **options)
    problem = job.head.problem
    options["problem_type"] = problem if problem == "regression" else f"{problem}_classification"
    options["classifier_pooling"] = job.head.pooling
    return transformers.AutoModelForSequenceClassification.from_pretrained(job.start, **options)


def _arguments(job: Job) -> Any:
    """Say the budget in Trainer's words; all else is as it comes, the optimizer too.

    Its decay is multiplied by the rate and ours is not: divided by the peak, both take the same
    share of a weight.
    """
    from transformers import TrainingArguments

    config = job.config
    return TrainingArguments(
        output_dir=str(job.out),
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=config.batch_size,
        learning_rate=config.peak_lr,
        weight_decay=config.weight_decay / config.peak_lr,
        warmup_steps=config.warmup,
        lr_scheduler_type="linear",
        train_sampling_strategy="group_by_length" if job.habits.is_grouped else "random",
        seed=config.seed,
        bf16=config.precision == "bfloat16",
        use_cpu=True,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_only_model=True,
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model=_SCORE,
        include_for_metrics=["inputs"] if job.head.kind == "spans" else [],
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )


def _watch(model: nn.Module, steps: Steps) -> Any:
    """Time from the begin of a step to its end, and count what the model is given there."""
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        started = 0.0

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.started = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            steps.seconds.append(time.perf_counter() - self.started)

    def see(module: nn.Module, _: Any, given: dict[str, Tensor]) -> None:
        if module.training:
            mask = given["attention_mask"]
            steps.tokens.append(int(mask.sum()))
            steps.slots.append(mask.numel())
            steps.examples.append(len(mask))

    model.register_forward_pre_hook(see, with_kwargs=True)
    return Clock()
