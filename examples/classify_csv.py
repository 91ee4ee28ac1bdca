"""Teach a model to label the rows of a CSV, then label a few texts.

python examples/classify_csv.py MODEL messages.csv labels
"""

import sys
from pathlib import Path

import modernbert
from modernbert.train.tune import tune
from modernbert.train.tune_config import TuneConfig
from modernbert.train.tuning import Start, create

model, table, out = sys.argv[1:]

# Columns are guessed and said; a tenth of the rows is held out to measure on.
config = TuneConfig(train=table, epochs=3, class_weights="balanced")
tune(create(config, Start("classify", model), Path(out)))

engine = modernbert.Engine.load(Path(out) / "model")
texts = ["the batch is packed", "documents stay apart"]
for text, labels in zip(texts, engine.classify(texts), strict=True):
    print(f"{text}: {labels[0].name} ({labels[0].score:.0%})")
