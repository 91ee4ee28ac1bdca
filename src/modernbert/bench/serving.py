"""A model and a case in, how much load servers of it bear and how fast they answer out."""

import dataclasses
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any

import torch

import modernbert
from modernbert.base import machine
from modernbert.base.log import say
from modernbert.bench.folders import stirred
from modernbert.bench.measure import interleaved
from modernbert.bench.serving_case import KINDS, ServingCase
from modernbert.bench.serving_contest import Contest, Sample
from modernbert.bench.serving_report import facts_of, report
from modernbert.bench.serving_servers import servers, versions_of
from modernbert.bench.serving_texts import Request, requests_of, write_requests
from modernbert.bench.texts import texts_of
from modernbert.data.train_tokenizer import train
from modernbert.infer.hub import folder_of
from modernbert.infer.pretrained import Pretrained, load
from modernbert.model.init import build
from modernbert.model.presets import PRESETS

_VOCABULARY, _LONGEST = 8192, 8192
_COMPARED = 3
"""Texts of each kind whose vectors are compared."""
_MORE = ("sentence-transformers", "fastapi", "starlette", "uvicorn", "uvloop")


def measure(model: str, case: ServingCase, infinity: Path | None = None) -> dict[str, Any]:
    """Put all servers of a model under the same load, in turns, say it and return a row.

    Raises:
        CheckpointError: the folder holds no whole ModernBERT.
        MachineError: this package's own server does not answer.
    """
    texts = texts_of(Path(modernbert.__file__).parent)
    with TemporaryDirectory() as made:
        place = Path(made)
        opened = opened_of(model, texts)
        opened.save(place / "model")
        weights = sum(weight.numel() for weight in opened.parameters())
        longest = opened.sentence.config.max_length
        requests = requests_of(texts, opened.tokenizer, case, longest)
        write_requests(place / "requests.jsonl", requests)
        contest = Contest(place, case, _sample(opened, requests))
        del opened
        everyone = servers(place / "model", infinity, case.infinity_batch)
        works = {each.name: partial(contest.seconds, each) for each in everyone}
        interleaved(works, case.rounds, warms_up=False)
    row = {
        "bench": "serving",
        "model": Path(model).resolve().name if Path(model).is_dir() else model,
        "weights": weights,
        "precision": "float32",
        **dataclasses.asdict(case),
        "length_quartiles": _quartiles(requests),
        **facts_of(contest.turns, contest.failures),
        "threads": torch.get_num_threads(),
        "machine": machine.machine(),
        "versions": machine.versions(*_MORE),
        **({} if infinity is None else {"versions_of_infinity": versions_of(infinity)}),
    }
    say(report(row))
    return row


def opened_of(model: str, texts: Sequence[str]) -> Pretrained:
    """Open a model in float32; a preset gets random weights, and a tokenizer of these texts."""
    if model not in PRESETS:
        return load(folder_of(model)).float()
    tokens = train(iter(texts), _VOCABULARY)
    config = replace(
        PRESETS[model],
        vocab_size=tokens.vocab_size,
        max_length=_LONGEST,
        pad_id=tokens.pad_id,
        cls_id=tokens.cls_id,
        sep_id=tokens.sep_id,
    )
    return Pretrained(stirred(build(config, 0, None)), tokens).eval()


def _sample(opened: Pretrained, requests: Sequence[Request]) -> Sample:
    """Take some texts of each kind, and give them their vectors."""
    some = [
        each.text
        for kind in KINDS
        for each in islice((one for one in requests if one.kind == kind), _COMPARED)
    ]
    return Sample(some, opened.embed(some).tolist())


def _quartiles(requests: Sequence[Request]) -> dict[str, list[int]]:
    """Return the quartiles of the tokens of each kind."""
    return {
        kind: [
            round(each)
            for each in quantiles([one.tokens for one in requests if one.kind == kind], n=4)
        ]
        for kind in KINDS
    }
