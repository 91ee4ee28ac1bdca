"""A prepared folder in, a live model of sentence-transformers with its trainer out."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from modernbert.base.device import Precision
from modernbert.base.errors import MachineError
from modernbert.bridge.accelerate import accelerate
from modernbert.infer.pretrained import load
from modernbert.model import card
from modernbert.model.card_facts import Origin
from modernbert.model.sentence_reader import read_sentence
from modernbert.retrieval.training.checkpoints import PLACE
from modernbert.retrieval.training.config import RetrieverConfig
from modernbert.retrieval.training.examples import QUERY
from modernbert.retrieval.training.losses import LossOptions, is_in_batch, make_loss
from modernbert.retrieval.training.recipes import Kind

_NAMES: dict[Kind, str] = {
    "dense": "SentenceTransformer",
    "colbert": "MultiVectorEncoder",
    "sparse": "SparseEncoder",
    "rerank": "CrossEncoder",
}
_KEPT = 2
"""Checkpoints on disk: the one that is being written is not whole yet."""


def check_installed() -> None:
    """Refuse to begin where a package is missing.

    Raises:
        MachineError: it is, or it is too old.
    """
    try:
        import datasets  # noqa: F401
        from sentence_transformers import MultiVectorEncoderTrainer  # noqa: F401
        from transformers.utils.import_utils import is_accelerate_available
    except ImportError as error:
        raise _missing() from error
    if not is_accelerate_available():
        raise _missing()


def _missing() -> MachineError:
    return MachineError(
        "training a retriever needs sentence-transformers 6, datasets and accelerate: "
        "pip install 'modernbert[train-retriever]'"
    )


def open_live(kind: Kind, folder: Path, device: str) -> Any:
    """Open a folder as the class of its kind, on this package's kernels."""
    import sentence_transformers

    model = getattr(sentence_transformers, _NAMES[kind])(str(folder), device=device)
    # Its card, which is not kept, would show what the model says of some texts.
    model.model_card_data.generate_widget_examples = False
    return accelerate(model)


def make_trainer(
    model: Any,
    rows: Any,
    kind: Kind,
    config: RetrieverConfig,
    folder: Path,
    *,
    follows_cosines: bool,
) -> Any:
    """Make the trainer of a kind; it saves and measures only when it is told to."""
    import sentence_transformers

    name = _NAMES[kind]
    arguments = getattr(sentence_transformers, f"{name}TrainingArguments")(
        **_arguments(config, folder, len(rows)),
        prompts=None if kind == "rerank" else _prompts(model, rows.column_names),
    )
    # Several GPUs would be used by threads, which no loss here is tested with.
    arguments._n_gpu = min(1, arguments.n_gpu)
    options = LossOptions(
        kind=kind,
        loss=config.loss,
        temperature=config.temperature,
        batch_size=config.batch_size,
        mini_batch=config.mini_batch,
        matryoshka=config.matryoshka,
        document_regularizer=config.document_regularizer,
        query_regularizer=config.query_regularizer,
        follows_cosines=follows_cosines,
    )
    trainer = getattr(sentence_transformers, f"{name}Trainer")(
        model=model, args=arguments, loss=make_loss(model, options)
    )
    # Given afterwards: it would be searched for what its own card, which is not kept, shows.
    trainer.train_dataset = rows
    trainer.remove_callback(trainer.model_card_callback_class)
    trainer.remove_callback(_printer())
    return trainer


def num_steps(config: RetrieverConfig, num_rows: int) -> int:
    """Return how many optimizer steps a training takes."""
    size = config.batch_size
    whole = num_rows // size if _drops_last(config, num_rows) else -(-num_rows // size)
    return whole * config.epochs


def keep(model: Any, start: Path, folder: Path) -> None:
    """Write a live model as the best of its run, by this package's own writer.

    `start` is the folder that it was opened from.

    Raises:
        MachineError: it could not be written.
    """
    with TemporaryDirectory(dir=folder, prefix=".partial-") as place:
        model.save_pretrained(place, create_model_card=False)
        found = load(place)
    # As it was written before the first step, in the words that most libraries read.
    found.sentence.config = read_sentence(start, found.model).config
    found.origin = Origin(training=card.training_in(start))
    found.save(folder / "model")


def _printer() -> Any:
    from transformers import PrinterCallback

    return PrinterCallback


def _arguments(config: RetrieverConfig, folder: Path, num_rows: int) -> dict[str, Any]:
    from sentence_transformers.base.sampler import BatchSamplers

    precision: Precision | str = config.precision
    in_batch = is_in_batch(config.loss)
    return {
        "output_dir": str(folder / PLACE),
        "num_train_epochs": config.epochs,
        "per_device_train_batch_size": config.batch_size,
        "learning_rate": config.lr,
        "warmup_steps": config.warmup,
        "weight_decay": config.weight_decay,
        "bf16": precision == "bfloat16",
        "use_cpu": config.device == "cpu",
        "seed": config.seed,
        "data_seed": config.seed,
        # Where documents are each other's negatives, none of them may answer two queries.
        "batch_sampler": BatchSamplers.NO_DUPLICATES if in_batch else BatchSamplers.BATCH_SAMPLER,
        "dataloader_drop_last": _drops_last(config, num_rows),
        "dataloader_pin_memory": config.device == "cuda",
        "logging_steps": 1,
        "save_strategy": "no",
        "save_total_limit": _KEPT,
        "eval_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


def _drops_last(config: RetrieverConfig, num_rows: int) -> bool:
    """Say whether a last, smaller batch is left out: its few pairs have too few negatives."""
    return is_in_batch(config.loss) and num_rows >= config.batch_size


def _prompts(model: Any, columns: list[str]) -> dict[str, str]:
    """Return what is put before the texts of each column."""
    sides = {name: "query" if name == QUERY else "document" for name in columns}
    found = {name: model.prompts.get(side) or "" for name, side in sides.items()}
    return {name: text for name, text in found.items() if text}
