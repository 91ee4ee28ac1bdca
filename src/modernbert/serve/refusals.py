"""What went wrong in, a status and a body of the dialect's shape out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from modernbert.base.errors import ConfigError, MachineError, NumbersError, UserError

Dialect = Literal["tei", "openai", "cohere"]
Fault = Literal[
    "Empty",
    "Validation",
    "Tokenizer",
    "Backend",
    "Overloaded",
    "Unhealthy",
    "NotFound",
    "NoAddress",
    "Unauthorized",
]
"""What kind of fault it is, in TEI's words where it has one."""

_OPENAI_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
}
_MEANINGS: Mapping[type[UserError], tuple[int, Fault, str]] = {
    NumbersError: (500, "Backend", "missing_values"),
    MachineError: (503, "Backend", "inference"),
    ConfigError: (422, "Validation", "validation"),
    UserError: (422, "Tokenizer", "tokenization"),
}
"""The first that fits."""


@dataclass(eq=False)
class RefusedError(Exception):
    """A request that is not answered, and why."""

    status: int
    fault: Fault
    message: str
    count_as: str = "validation"
    """The value of `err` in te_request_failure."""
    headers: Mapping[str, str] = field(default_factory=dict)


def refusal_of(error: Exception) -> RefusedError:
    """Say what an error means to a client; what is a fault of ours says no more than that."""
    if isinstance(error, RefusedError):
        return error
    for kind, (status, fault, count_as) in _MEANINGS.items():
        if isinstance(error, kind):
            return RefusedError(status, fault, str(error), count_as)
    return RefusedError(500, "Backend", "the server failed: see its log", "inference")


def body_of(refusal: RefusedError, dialect: Dialect) -> dict[str, Any]:
    """Return what a client is told, in the shape that its library reads."""
    if dialect == "cohere":
        return {"message": refusal.message}
    if dialect == "openai":
        kind = _OPENAI_TYPES.get(refusal.status, "invalid_request_error")
        code = "model_not_found" if refusal.fault == "NotFound" else None
        return {"error": {"message": refusal.message, "type": kind, "param": None, "code": code}}
    return {"error": refusal.message, "error_type": refusal.fault}
