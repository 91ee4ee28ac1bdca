"""Which flash kernel torch runs behind `varlen_attn`: its own, or a newer one that is installed.

torch has hooks for FlashAttention 3 (Hopper) and 4 (Hopper and Blackwell), and calls both
prototypes; the kernels are in packages of their own. The choice is the process's, not a call's.
"""

from importlib.util import find_spec

PACKAGES = {"FA3": "flash_attn_interface", "FA4": "flash_attn.cute"}
"""The package of each kernel, by torch's name for it."""


def is_installed(name: str) -> bool:
    """Return whether this torch knows a kernel and its package is there; neither is run."""
    try:
        from torch.nn.attention import list_flash_attention_impls

        return name in list_flash_attention_impls() and find_spec(PACKAGES[name]) is not None
    except ImportError:  # an older torch, or the package's parent is not there
        return False


def activate(name: str) -> None:
    """Run a kernel from now on, in this process: for the backward pass too."""
    from torch.nn.attention import activate_flash_attention_impl

    activate_flash_attention_impl(name)


def restore() -> None:
    """Run torch's own kernel again."""
    from torch.nn.attention import restore_flash_attention_impl

    restore_flash_attention_impl()
