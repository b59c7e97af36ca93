"""Packages that only interpretation needs: imported at the point of use, and missed with an answer."""

from __future__ import annotations

import importlib
from types import ModuleType

from epinformer.errors import EpinformerError

EXTRA = "interpret"
"""Name of the extra that installs them."""


def needed(module: str, purpose: str) -> ModuleType:
    """Import a module of the ``interpret`` extra.

    Parameters
    ----------
    module
        Its name, e.g. ``memelite`` or ``tangermeme.deep_lift_shap``.
    purpose
        What it is for, as the start of a sentence, e.g. ``comparing motifs``.

    Raises
    ------
    EpinformerError
        It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is not None and error.name.partition(".")[0] != package:
            package = f"{package}, which in turn needs {error.name}"
        raise EpinformerError(
            f"{purpose} needs the package {package}, which is not installed",
            fix=f"Install it: pip install 'epinformer[{EXTRA}]'",
        ) from error
