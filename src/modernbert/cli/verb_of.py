"""A verb that has verbs of its own and what follows it in, an exit status out."""

from collections.abc import Callable, Mapping, Sequence

import tyro

Verbs = Mapping[str, Callable[..., int]]


def run_verb(name: str, description: str, verbs: Verbs, arguments: Sequence[str]) -> int:
    """Run what the first argument names; without any, say what there is."""
    found = tyro.extras.subcommand_cli_from_dict(
        dict(verbs),
        prog=f"modernbert {name}",
        description=description,
        args=list(arguments) or ["--help"],
    )
    return int(found or 0)
