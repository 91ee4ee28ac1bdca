"""Other libraries' bars, logs and reports off for a while, so that one voice is heard."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from logging import ERROR, getLogger
from typing import Any


@contextmanager
def quiet() -> Iterator[None]:
    """Let transformers, sentence-transformers, datasets and torch speak of errors alone."""
    import datasets
    from transformers.utils import logging

    theirs: Any = logging

    names = ("sentence_transformers", "transformers", "datasets", "accelerate")
    levels = {name: getLogger(name).level for name in names}
    had_bars = theirs.is_progress_bar_enabled(), not datasets.are_progress_bars_disabled()
    for name in names:
        getLogger(name).setLevel(ERROR)
    theirs.disable_progress_bar()
    datasets.disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            getLogger(name).setLevel(level)
        if had_bars[0]:
            theirs.enable_progress_bar()
        if had_bars[1]:
            datasets.enable_progress_bars()
