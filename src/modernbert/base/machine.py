"""What a result was made with: versions, machine, command, commit."""

import contextlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

PACKAGES = (
    "modernbert",
    "torch",
    "numpy",
    "tokenizers",
    "safetensors",
    "huggingface_hub",
    "transformers",
)


def versions(*more: str) -> dict[str, str]:
    """Return the versions of Python and of the packages that decide a run's numbers."""
    # Here and not above: the command line's --help needs none of it.
    from importlib import metadata

    found = {"python": platform.python_version()}
    for name in (*PACKAGES, *more):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """Return the processor, its cores and the memory in bytes."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": cores(),
        "memory_bytes": memory_bytes(),
    }


def command() -> list[str]:
    """Return the command line of this process, its program by name."""
    program = Path(sys.argv[0])
    is_module = program.name == "__main__.py"
    return [
        *(["python", "-m", program.parent.name] if is_module else [program.name]),
        *sys.argv[1:],
    ]


def commit() -> str | None:
    """Return the commit of the source tree this package runs from, None when installed.

    It ends with -dirty when files differ from it.
    """
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists() or not shutil.which("git"):
        return None
    asked = [
        "git",
        "-C",
        str(root),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
        "--exclude=*",
    ]
    found = subprocess.run(asked, capture_output=True, text=True, check=False)
    return found.stdout.strip() or None


def cores() -> int:
    """Return the cores that this process may use."""
    # Linux may give a process fewer cores than the machine has; others do not say.
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def vendor() -> str:
    """Return who made the processor as it says itself, GenuineIntel say; empty when unknown."""
    return _described("vendor_id") or platform.processor().rpartition(" ")[2]


def _processor() -> str:
    return _described("model name") or platform.processor()


def _described(key: str) -> str:
    """Return what Linux says of the first processor on x86; elsewhere nothing."""
    described = Path("/proc/cpuinfo")
    lines = described.read_text().splitlines() if described.exists() else []
    found = (line.split(":", 1)[1].strip() for line in lines if line.startswith(key))
    return next(found, "")


def memory_bytes() -> int:
    """Return the memory of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def available_bytes() -> int | None:
    """Return the memory that new processes can have; None where the system does not say."""
    return _told(Path("/proc/meminfo"), "MemAvailable")


def resident_bytes() -> int | None:
    """Return the memory this process holds now; None where the system does not say."""
    return _status("VmRSS")


def give_back() -> None:
    """Give memory that was freed back to the system, where the C library can."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def peak_bytes() -> int | None:
    """Return the most memory this process held since `start_peak`, or since it began."""
    return _status("VmHWM")


def start_peak() -> bool:
    """Forget the highest memory so far, and return whether the system could."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _status(key: str) -> int | None:
    return _told(Path("/proc/self/status"), key)


def _told(path: Path, key: str) -> int | None:
    if not path.exists():
        return None
    lines = path.read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))
