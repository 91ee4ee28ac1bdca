"""A folder of sentence-transformers in, the server that a person writes around it in 20 lines out.

It is the other side of a comparison: `uvicorn --factory modernbert.bench.serving_naive:app`.
"""

import os
from typing import TYPE_CHECKING, Annotated

if TYPE_CHECKING:
    from fastapi import FastAPI

FOLDER = "NAIVE_MODEL"
"""Variable of the environment that names the folder."""


def app() -> "FastAPI":
    """Open the model once, and answer each request by itself in a thread of the pool."""
    from fastapi import Body, FastAPI
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(os.environ[FOLDER], device="cpu")
    server = FastAPI()

    @server.get("/health")
    def health() -> str:
        return "ok"

    @server.post("/embed")
    def embed(inputs: Annotated[list[str], Body(embed=True)]) -> list[list[float]]:
        vectors: list[list[float]] = model.encode(inputs).tolist()
        return vectors

    return server
