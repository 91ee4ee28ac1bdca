"""`modernbert convert`: a model of any kind in, a folder that other tools open and a proof out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from modernbert.base.errors import CheckpointError, ConfigError
from modernbert.base.log import count, say
from modernbert.cli.arguments import Folder, Source
from modernbert.infer.told import Told

if TYPE_CHECKING:
    from torch import Tensor

    from modernbert.infer.agreement import Agreement
    from modernbert.infer.pretrained import Pretrained

# transformers and this package round in another order; a wrong name, theta or half of a matrix
# is off by thousands of times what rounding makes.
_ROUNDINGS = 10.0


def convert(
    source: Source,
    target: Folder,
    /,
    *,
    told: Annotated[Told, tyro.conf.arg(name="")],
    dtype: Literal["float32", "bfloat16"] | None = None,
) -> int:
    """Write a model as a folder that other tools open, and check that it says the same.

    The same texts go through the source, through the folder read back, and through transformers
    where it is installed; the largest difference of each is printed.

    Args:
        source: Folder, hub id (with @revision or without), or checkpoint file of the reference
            repository (Composer) or torch.
        target: Folder to make.
        told: What the source does not say itself.
        dtype: Number format of the weights; by default the source's.
    """
    import torch

    from modernbert.infer import agreement
    from modernbert.infer.pretrained import load
    from modernbert.infer.source import open_source

    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise ConfigError(f"{target} is there already: give a new folder for the model")
    model = open_source(source, told)
    given = agreement.documents(model.tokenizer, model.config.local_window, model.config.max_length)
    original, was = agreement.outputs(model, given), _dtype(model)
    if dtype is not None:
        model.model.to(torch.float32 if dtype == "float32" else torch.bfloat16)
    expected = agreement.outputs(model, given) if _dtype(model) != was else original
    vectors = agreement.vectors(model)
    model.save(target)
    del model
    say(f"{source} is in {target}; {len(given)} texts of up to {max(map(len, given))} tokens:")
    again = load(target)
    print(_described(again))
    _check_same(target, "read back", agreement.compare(expected, agreement.outputs(again, given)))
    if vectors:
        found = agreement.compare(vectors, agreement.vectors(again))
        _check_same(target, "vectors of texts", found)
    if expected is not original:
        print(f"the source's own {was}: {_spelled(agreement.compare(original, expected))}")
    _check_transformers(target, again, given)
    return 0


def _check_same(target: Path, what: str, found: "Agreement") -> None:
    if found.largest != 0:
        raise CheckpointError(
            f"{target} was written and does not give what its source gives (largest difference "
            f"{found.largest:.2g}): do not use it, and report it"
        )
    print(f"{what}: {_spelled(found)}, equal bit for bit")


def _check_transformers(target: Path, model: "Pretrained", given: list[list[int]]) -> None:
    from modernbert.bridge import outputs as bridge
    from modernbert.infer import agreement

    if model.config.options:
        print(f"transformers: knows nothing of {', '.join(dict(model.config.options))}: not asked")
        return
    if not bridge.is_installed():
        print("transformers: not installed, so not asked")
        return
    kind = None if model.head is None else model.head.config.kind
    name = f"transformers {bridge.version()}"
    try:
        theirs = bridge.outputs(target, kind, given)
    except Exception as error:  # another library's, of any kind
        raise CheckpointError(
            f"{target} was written, and {name} does not open it ({str(error).splitlines()[0]}): do "
            "not use it there, and report it"
        ) from error
    single = agreement.outputs(model.float(), given)
    exact = agreement.outputs(model.double(), given)
    judge(target, name, theirs, single, exact)


def judge(
    target: Path,
    name: str,
    theirs: list["Tensor"],
    single: list["Tensor"],
    exact: list["Tensor"],
) -> None:
    """Print how far another library is from our float64, beside how far our own float32 is.

    Raises:
        CheckpointError: it is further than rounding explains.
    """
    import torch

    from modernbert.infer.agreement import compare

    off = compare(theirs, exact)
    # A few scores can be exact by luck; a number's own last place is then the floor.
    last_place = max(float(each.abs().max()) for each in exact) * torch.finfo(torch.float32).eps
    rounding = max(compare(single, exact).largest, last_place)
    if not off.largest <= _ROUNDINGS * rounding:
        raise CheckpointError(
            f"{target} was written, and {name} reads another model in it (largest difference "
            f"{off.largest:.2g}, rounding makes {rounding:.2g}): do not use it there, and report it"
        )
    print(f"{name}: {_spelled(off)}; rounding makes {rounding:.2g}")


def _spelled(found: "Agreement") -> str:
    return (
        f"largest difference {found.largest:.2g}, "
        f"the same largest number in {found.same_top} of {found.rows} rows"
    )


def _dtype(model: "Pretrained") -> str:
    return str(next(model.parameters()).dtype).removeprefix("torch.")


def _described(model: "Pretrained") -> str:
    kind = "no head" if model.head is None else f"head {model.head.config.kind}"
    size = count(sum(weight.numel() for weight in model.parameters()))
    return f"{model.config.num_layers} layers, {size} parameters in {_dtype(model)}, {kind}"
