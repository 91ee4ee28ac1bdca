"""Which line of transformers is installed, and what it can say."""

import transformers

IS_VERSION_4 = transformers.__version__.startswith("4.")


def sayable(fields: dict) -> dict:
    """Leave out a pattern of layers that the config of transformers 4 has no word for."""
    return {k: v for k, v in fields.items() if not (IS_VERSION_4 and k == "layer_kinds")}
