"""Settings from a YAML file, checked as a whole: every wrong one is named by its path, with what to do."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from epinformer.errors import ConfigError

__all__ = ["read_yaml", "setting_path", "suggestion", "validated"]

_Model = TypeVar("_Model", bound=BaseModel)


def read_yaml(path: str | Path, model: type[_Model], hint: str) -> _Model:
    """Read a YAML file of settings.

    Parameters
    ----------
    path
        The file.
    model
        The class of the settings.
    hint
        What to do about a file without settings ("Write `genes:` and `signals:` as in examples/").

    Raises
    ------
    ConfigError
        The file cannot be read, is not YAML, repeats a key, or has settings that are missing, unknown or wrong; all
        of these are listed, each with the setting's path (`signals.dnase[0].total_reads`).
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigError("there is no such file", source=path, fix="Check the name of the configuration") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", source=path, fix="Give a YAML text file") from error
    try:
        values = yaml.load(text, Loader=_UniqueKeys)  # a SafeLoader: builds plain values only
    except yaml.YAMLError as error:
        raise ConfigError(f"is not valid YAML: {_one_line(error)}", source=path, fix="Mend that line") from error
    if not isinstance(values, dict):
        raise ConfigError("holds no settings", source=path, fix=hint)
    return validated(values, model, path)


def validated(values: Mapping[Any, Any], model: type[_Model], source: str | Path) -> _Model:
    """Settings of plain values; ``source`` is where they are from, for messages.

    Raises
    ------
    ConfigError
        As `read_yaml`: settings are missing, unknown or wrong.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = [
            _problem(model, detail["loc"], detail["type"], detail["msg"], detail["input"]) for detail in error.errors()
        ]
        if len(problems) == 1:
            raise ConfigError(problems[0], source=source) from error
        listed = "".join(f"\n  - {problem}" for problem in problems)
        raise ConfigError(f"{len(problems)} settings are wrong:{listed}\nMend all of them", source=source) from error


def setting_path(location: tuple[int | str, ...]) -> str:
    """`("signals", "dnase", 0)` -> `signals.dnase[0]`; tags of alternatives, `<Class>`, are no step."""
    text = ""
    for part in location:
        if isinstance(part, str) and part.startswith("<"):
            continue
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def suggestion(given: Iterable[str], known: Iterable[str]) -> str:
    """`; did you mean dnase?` if one of the given names is close to one that is known, else nothing."""
    known = list(known)
    for name in given:
        near = difflib.get_close_matches(name.lower(), known, n=1)
        if near:
            return f"; did you mean {near[0]}?"
    return ""


class _UniqueKeys(yaml.SafeLoader):
    """A SafeLoader that refuses a key given twice, of which YAML would silently keep the last."""


def _mapping(loader: _UniqueKeys, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
            continue
        if key.value in seen:
            raise yaml.MarkedYAMLError(problem=f"the key `{key.value}` is given twice", problem_mark=key.start_mark)
        seen.add(key.value)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


_UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def _one_line(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark
        where = "" if mark is None else f" (line {mark.line + 1}, column {mark.column + 1})"
        return f"{error.problem or error.context}{where}"
    return " ".join(str(error).split())


def _problem(model: type[BaseModel], location: tuple[int | str, ...], kind: str, message: str, value: object) -> str:
    """One problem as a clause with its fix."""
    is_key = bool(location) and location[-1] == "[key]"
    setting = setting_path(location[:-1] if is_key else location)
    if is_key:
        return f"{setting}: is no name for columns; use lower-case letters, digits and _, a letter first"
    if kind == "missing":
        return f"{setting}: is missing; add it"
    if kind == "extra_forbidden":
        known = _known_keys(model, location[:-1])
        near = suggestion([str(location[-1])], known)
        return f"{setting}: is not a setting{near or '; known here: ' + ', '.join(known)}"
    message = message.removeprefix("Value error, ")
    if kind == "value_error":
        return f"{setting}: {message}" if setting else message
    return f"{setting}: {message[:1].lower()}{message[1:]}, not {value!r}"


def _known_keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Names of the settings at a location below a model, found by walking the annotations."""
    found: list[Any] = [model]
    for part in location:
        found = [inner for annotation in found for inner in _inside(annotation, part)]
    names = [name for annotation in found if _is_model(annotation) for name in annotation.model_fields]
    return list(dict.fromkeys(names))


def _inside(annotation: Any, part: int | str) -> list[Any]:
    """What may stand at one step below an annotation."""
    if _is_model(annotation):
        field = annotation.model_fields.get(str(part))
        if field is not None:
            return _alternatives(field.annotation)
        # Among several models pydantic names the one it tried, by its class or its tag; that is no step.
        tags = {tag for field in annotation.model_fields.values() for tag in _literals(field.annotation)}
        return [annotation] if part in {annotation.__name__, f"<{annotation.__name__}>", *tags} else []
    arguments = [argument for argument in get_args(annotation) if argument is not Ellipsis]
    return _alternatives(arguments[-1]) if arguments else []  # the values of a dict, the items of a list or a tuple


def _literals(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _alternatives(annotation: Any) -> list[Any]:
    """`X` and `Y` of `X | Y | None`, `X` of `Annotated[X, ...]`."""
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [inner for argument in get_args(annotation) for inner in _alternatives(argument)]
    return [] if annotation is type(None) else [annotation]


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
