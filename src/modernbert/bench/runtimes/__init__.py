"""Ways to run an encoder, by name: what their users would wait for is what is timed.

Each takes lists of token ids and pads them if it has to.
"""

from functools import partial
from importlib.util import find_spec

from modernbert.bench.runtimes.eight_bits import (
    dynamic_linears,
    exported,
    onnx_runtime_int8,
    open_vino_int8,
    torchao_linears,
)
from modernbert.bench.runtimes.graphs import onnx_runtime, open_vino
from modernbert.bench.runtimes.kinds import EIGHT_BITS, Runtime, Target
from modernbert.bench.runtimes.ours import local_layers, packed, products
from modernbert.bench.runtimes.served import engine
from modernbert.bench.runtimes.theirs import flattened, fused, padded, sentences

OURS, PRODUCTS, LOCAL = "modernbert", "matrix products", "local layers"
_FLASH = "flash_attention_2"

RUNTIMES: dict[str, Runtime] = {
    OURS: Runtime(load=packed, is_ours=True, precisions=("float32", "bfloat16", "int8")),
    "modernbert float32": Runtime(
        load=partial(packed, precision="float32"), is_ours=True, **EIGHT_BITS
    ),
    "modernbert bfloat16": Runtime(
        load=partial(packed, precision="bfloat16"), is_ours=True, **EIGHT_BITS
    ),
    "modernbert compiled": Runtime(load=partial(packed, is_compiled=True), is_ours=True),
    PRODUCTS: Runtime(load=products, is_ours=True, is_yardstick=True),
    LOCAL: Runtime(load=local_layers, is_ours=True, is_yardstick=True, is_asked=True),
    "transformers": Runtime(load=padded, package="transformers"),
    "transformers eager": Runtime(load=partial(padded, attention="eager"), package="transformers"),
    "transformers compiled": Runtime(
        load=partial(padded, is_compiled=True), package="transformers"
    ),
    "transformers flash": Runtime(
        load=partial(padded, attention=_FLASH),
        package="flash_attn",
        devices=("cuda",),
        precisions=("bfloat16",),
    ),
    "transformers flash, flat": Runtime(
        load=flattened, package="flash_attn", devices=("cuda",), precisions=("bfloat16",)
    ),
    "sentence-transformers": Runtime(load=sentences, package="sentence_transformers"),
    "packed-encoders": Runtime(
        load=fused,
        package="packed_encoders",
        is_ours=True,
        devices=("cuda",),
        precisions=("bfloat16",),
    ),
    "vllm": Runtime(load=engine, package="vllm", devices=("cuda",)),
    "onnxruntime": Runtime(
        load=onnx_runtime,
        package="onnxruntime",
        reads_graphs=True,
        devices=("cpu",),
        precisions=("float32",),
    ),
    # Its default is bfloat16 where a processor has units for it, and float32 elsewhere.
    "openvino": Runtime(load=open_vino, package="openvino", reads_graphs=True, devices=("cpu",)),
    "openvino f32": Runtime(
        load=partial(open_vino, hint="f32"),
        package="openvino",
        reads_graphs=True,
        devices=("cpu",),
        precisions=("float32",),
    ),
    "onnxruntime int8": Runtime(
        load=onnx_runtime_int8, package="onnxruntime", reads_graphs=True, **EIGHT_BITS
    ),
    "onnxruntime int8, exported": Runtime(
        load=partial(exported, form="onnx-int8"), package="onnxruntime", is_ours=True, **EIGHT_BITS
    ),
    "openvino int8": Runtime(load=open_vino_int8, package="nncf", reads_graphs=True, **EIGHT_BITS),
    "openvino int8, exported": Runtime(
        load=partial(exported, form="openvino-int8"), package="nncf", is_ours=True, **EIGHT_BITS
    ),
    "transformers torch.ao int8": Runtime(
        load=dynamic_linears, package="transformers", **EIGHT_BITS
    ),
    "transformers torchao int8": Runtime(load=torchao_linears, package="torchao", **EIGHT_BITS),
}


def is_installed(name: str) -> bool:
    """Return whether a runtime's package is there, without importing it."""
    return find_spec(RUNTIMES[name].package) is not None


__all__ = ["LOCAL", "OURS", "PRODUCTS", "RUNTIMES", "Runtime", "Target", "is_installed"]
