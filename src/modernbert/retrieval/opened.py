"""An index's model by name in, the model out if it is the one that the index was built by."""

from pathlib import Path

from modernbert.base.device import choose_device
from modernbert.base.errors import CheckpointError
from modernbert.infer.fingerprint import fingerprint_of_model
from modernbert.infer.pretrained import Pretrained, load
from modernbert.retrieval.index_files import IndexFacts
from modernbert.retrieval.vectors import settled


def open_model(index: Path, facts: IndexFacts, name: str, device: str) -> Pretrained:
    """Open the model that an index was built by, wherever it lies now.

    Raises:
        CheckpointError: it is not there, or is another one.
        MachineError: the device is not there.
    """
    beside = index / facts.model
    model = name or str(beside if beside.is_dir() else facts.model)
    try:
        found = fingerprint_of_model(model, facts.runtime)
    except CheckpointError as error:
        if name:
            raise
        raise CheckpointError(
            f"the model of {index} is not at {facts.model} any more: name it with --model"
        ) from error
    if found != facts.fingerprint:
        raise CheckpointError(
            f"{index} was built by another model than {model} is now: name that one with --model, "
            "or build the index anew"
        )
    opened = load(model, runtime=facts.runtime).to(choose_device(device))
    settled(opened, facts.reading)
    return opened
