"""The folder of a small embedding model, as sentence-transformers and modernbert open it."""

from pathlib import Path

FOLDER = Path(__file__).parent / "model"
"""Weights in bfloat16, tokenizer, pooling and card."""
