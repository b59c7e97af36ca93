"""Gene expression from promoter and enhancer sequence, activity and contact."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from epinformer.dataset.batch import Batch
    from epinformer.dataset.store import open_dataset
    from epinformer.model.epinformer import EPInformer

__version__ = "0.1.0"
__all__ = ["Batch", "EPInformer", "__version__", "open_dataset"]

# Where the public names live. They are imported when first used: torch alone takes seconds, and `--help` must not.
_HOMES = {
    "Batch": "epinformer.dataset.batch",
    "EPInformer": "epinformer.model.epinformer",
    "open_dataset": "epinformer.dataset.store",
}


def __getattr__(name: str) -> object:
    """Import a public name on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
