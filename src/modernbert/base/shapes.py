"""Names for the shapes of tensors: jaxtyping's, or plain tensors where it is not installed.

Only tests check shapes, and they bring jaxtyping. A plain source tree runs on what a GPU image has.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float32, Int, Int8, Int32, Shaped
else:
    try:
        from jaxtyping import Bool, Float, Float32, Int, Int8, Int32, Shaped
    except ImportError:

        class _Plain:
            """An annotation that says what it is of, and not its shape."""

            def __class_getitem__(cls, said: tuple[Any, str]) -> Any:
                return said[0]

        Bool = Float = Float32 = Int = Int8 = Int32 = Shaped = _Plain

__all__ = ["Bool", "Float", "Float32", "Int", "Int8", "Int32", "Shaped"]
