"""`modernbert serve MODEL...`: models in, a server that answers requests for them out."""

from collections.abc import Sequence
from typing import Annotated

import tyro

from modernbert.base.errors import ConfigError, MachineError
from modernbert.cli.arguments import Models

_EXAMPLES = """
Examples:
  modernbert serve mini
  modernbert serve mini tags=run/tagger --index found --port 9000
  curl localhost:8000/embed -H 'content-type: application/json' -d '{"inputs": "A text."}'
"""


def serve(given: Sequence[str]) -> int:
    """Parse the options of a server, and run it until a signal says to end.

    Raises:
        ConfigError: an option, or a variable of the environment, cannot be what it is.
        MachineError: a package is missing.
    """
    try:
        from pydantic import ValidationError

        from modernbert.serve.settings import (
            Settings,
            digests_of,
            fault_in,
            from_environment,
            variables,
        )
    except ImportError as error:
        raise MachineError(
            f"a server needs a package that is not installed ({error}): pip install "
            "'modernbert[serve]'"
        ) from error
    if [*given].count("--index") > 1:
        raise ConfigError("--index is there twice: name all folders behind one")
    told, private = from_environment()

    def parsed(
        models: Models = (), /, *, options: Annotated[Settings, tyro.conf.arg(name="")] = told
    ) -> tuple[tuple[str, ...], Settings]:
        """Gather what was said.

        Args:
            models: Folders of models or hub ids, also as NAME=PATH; without one those of
                MODERNBERT_MODELS.
            options: How requests are answered.
        """
        return models or private.models, options

    description = (
        "Answer requests over HTTP: OpenAI's, TEI's, Cohere's, and those of every head.\n\n"
        "Variables of the environment, which options go before: "
        f"{', '.join(variables())}; those of several values have commas between them.\n"
        f"{_EXAMPLES}"
    )
    try:
        models, settings = tyro.cli(
            parsed, prog="modernbert serve", args=given, description=description
        )
    except ValidationError as error:
        name, said = fault_in(error)
        raise ConfigError(f"--{name.replace('_', '-')} cannot be read: {said}") from error
    digests = digests_of(settings, private)
    from modernbert.serve.run import serve as run

    return run(models, settings, digests)
