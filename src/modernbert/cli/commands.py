"""A word of the command line in, the function that does it out; importing this costs nothing."""

from collections.abc import Callable, Sequence

from modernbert.cli import verbs
from modernbert.cli.average import average
from modernbert.cli.bench import bench
from modernbert.cli.clean import clean
from modernbert.cli.convert import convert
from modernbert.cli.distill import distill
from modernbert.cli.embed import embed
from modernbert.cli.evaluate import evaluate
from modernbert.cli.export import export
from modernbert.cli.finetune import finetune
from modernbert.cli.index import index, update_index
from modernbert.cli.inspect import inspect
from modernbert.cli.mine import mine
from modernbert.cli.plan import plan
from modernbert.cli.predict import predict
from modernbert.cli.pretrain import pretrain
from modernbert.cli.report import report
from modernbert.cli.search import search
from modernbert.cli.serve import serve
from modernbert.cli.train_retriever import train_retriever

OWN_PARSERS: dict[str, Callable[[Sequence[str]], int]] = {
    "plan": plan,
    "pretrain": pretrain,
    "finetune": finetune,
    "train-retriever": train_retriever,
    "evaluate": evaluate,
    "bench": bench,
    "serve": serve,
}
"""Those whose options depend on the word that follows."""

COMMANDS: dict[str, Callable[..., int | None]] = {
    "clean": clean,
    "train-tokenizer": verbs.train_tokenizer,
    "prepare": verbs.prepare,
    "plan": verbs.plan_help,
    "pretrain": verbs.pretrain_help,
    "finetune": verbs.finetune_help,
    "predict": predict,
    "train-retriever": verbs.train_retriever_help,
    "mine": mine,
    "distill": distill,
    "embed": embed,
    "index": index,
    "update-index": update_index,
    "search": search,
    "serve": verbs.serve_help,
    "evaluate": verbs.evaluate_help,
    "report": report,
    "average": average,
    "fill": verbs.fill,
    "convert": convert,
    "export": export,
    "inspect": inspect,
    "grow": verbs.grow,
    "swap-vocabulary": verbs.swap_vocabulary,
    "doctor": verbs.doctor,
    "demo": verbs.demo,
    "bench": verbs.bench_help,
}
"""All, in the order of `modernbert --help`."""
