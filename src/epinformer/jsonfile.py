"""The JSON files that this program writes beside its own data, read and checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from epinformer.errors import EpinformerError

_Model = TypeVar("_Model", bound=BaseModel)


def read_record(
    path: Path, model: type[_Model], *, newest: int, error: type[EpinformerError], fix: str, upgrade: str
) -> _Model:
    """Read a record whose `format_version` says how it is written.

    Parameters
    ----------
    path
        The file.
    model
        The class of the record.
    newest
        The highest format version that is read.
    error
        The class of the error that is raised.
    fix, upgrade
        What to do about a damaged record, and about one of a newer version.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        There is no such file; what that means the caller knows.
    EpinformerError
        Of the class ``error``: the file cannot be read, is damaged, incomplete, or of a newer version.
    """
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except (ValueError, RecursionError) as cause:
        raise error(f"is damaged: {cause}", source=path, fix=fix) from cause
    except OSError as cause:
        raise error(f"cannot be read: {cause.strerror}", source=path) from cause
    version = content.get("format_version") if isinstance(content, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise error("is damaged: it has no format_version", source=path, fix=fix)
    if version > newest:
        raise error(
            f"has format version {version}, this version of epinformer reads up to {newest}", source=path, fix=upgrade
        )
    try:
        return model.model_validate(content)
    except ValidationError as cause:
        first = cause.errors()[0]
        raise error(
            "is damaged: fields are missing, unknown or of the wrong type",
            source=path,
            count=cause.error_count(),
            first=f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}",
            fix=fix,
        ) from cause


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
