"""A model in, files that ONNX Runtime and OpenVINO read out, in float32 or in 8 bits."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from modernbert.base.errors import MachineError
from modernbert.infer.export.graph import Graph
from modernbert.infer.export.running import INPUTS
from modernbert.model.config import HeadConfig
from modernbert.model.model import Model

_AXES = ("batch_size", "num_choices", "sequence_length")
"""What sizes are called in a graph; only multiple choice has the one in the middle."""
_LARGEST = 1_800_000_000
"""Bytes of weights that fit into one file: protobuf ends at 2 GiB."""
_EXAMPLE = (2, 40)


def outputs_of(head: HeadConfig | None) -> tuple[str, ...]:
    """Return what a graph's outputs are called, as transformers calls them."""
    if head is None:
        return ("last_hidden_state",)
    return ("start_logits", "end_logits") if head.kind == "spans" else ("logits",)


def write_onnx(model: Model, path: Path, *, is_for_int8: bool = False) -> None:
    """Write a model's graph, of any batch and any length.

    Raises:
        MachineError: onnxscript is not installed.
    """
    head = model.head_config
    shape = (1, *_EXAMPLE) if head is not None and head.kind == "choice" else _EXAMPLE
    ids = torch.ones(shape, dtype=torch.int64)
    names = _AXES if len(shape) == len(_AXES) else (_AXES[0], _AXES[-1])
    any_size = dict(enumerate(names))
    size = sum(weight.numel() * weight.itemsize for weight in model.parameters())
    with _silent(), _needing("onnxscript"):
        from onnxscript import ir

        program = torch.onnx.export(
            Graph(model, is_for_int8=is_for_int8).eval(),
            (ids, ids.clone()),
            input_names=list(INPUTS),
            output_names=list(outputs_of(head)),
            dynamic_shapes=dict.fromkeys(INPUTS, any_size),
            dynamo=True,
            verbose=False,
        )
        assert program is not None
        # Where transformers.js looks for weights that have a file of their own.
        beside = f"{path.name}_data" if size > _LARGEST else None
        ir.save(program.model, path, external_data=beside)


def to_int8(source: Path, target: Path) -> None:
    """Keep the matrices of a graph of ONNX in 8 bits; what they multiply is rounded as it comes.

    Raises:
        MachineError: onnxruntime is not installed.
    """
    with _silent(), _needing("onnxruntime and onnx"):
        from onnxruntime.quantization import QuantType, quantize_dynamic

        quantize_dynamic(
            source,
            target,
            per_channel=True,
            # Processors without instructions for 8 bits would cut sums of larger products off.
            reduce_range=True,
            weight_type=QuantType.QInt8,
            use_external_data_format=False,
            extra_options={"MatMulConstBOnly": True},
        )


def to_openvino(source: Path, target: Path) -> None:
    """Write a graph of ONNX as one of OpenVINO, weights and all.

    Raises:
        MachineError: openvino is not installed.
    """
    with _silent(), _needing("openvino"):
        import openvino

        openvino.save_model(openvino.convert_model(source), target, compress_to_fp16=False)


def openvino_to_int8(
    source: Path, target: Path, given: Sequence[dict[str, NDArray[np.int64]]]
) -> None:
    """Keep the matrices of a graph of OpenVINO in 8 bits, with scales that texts were seen to need.

    Raises:
        MachineError: nncf is not installed.
    """
    with _silent(), _needing("openvino and nncf"):
        import nncf
        import openvino
        from nncf.quantization import advanced_parameters as more
        from nncf.quantization import range_estimator as ranges

        # By itself it takes the mean of the texts' extremes: short texts, whose numbers are
        # larger, would be cut off.
        kinds, over = ranges.StatisticsType, ranges.AggregatorType
        lowest = ranges.StatisticsCollectorParameters(kinds.MIN, over.MIN)
        highest = ranges.StatisticsCollectorParameters(kinds.MAX, over.MAX)
        model = openvino.Core().read_model(source)
        quantized = nncf.quantize(
            model,
            nncf.Dataset(list(given)),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(given),
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                # As above; by itself it takes care of the first layer alone.
                overflow_fix=more.OverflowFix.ENABLE,
                activations_range_estimator_params=ranges.RangeEstimatorParameters(
                    min=lowest, max=highest
                ),
            ),
        )
        openvino.save_model(quantized, target, compress_to_fp16=False)


@contextmanager
def _needing(packages: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise MachineError(
            f"this export needs {packages}: pip install 'modernbert[export]'"
        ) from error


@contextmanager
def _silent() -> Iterator[None]:
    """Keep what exporters say and draw of their own work from the user's screen."""
    before, nowhere = logging.root.manager.disable, StringIO()
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(nowhere), redirect_stderr(nowhere):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
