"""Conversion of plain values to config classes, with errors that name the key at fault and say what its setting is."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

from acexp.config.keys import field_of, group_of, no_such_setting, settings_in_group
from acexp.core.errors import UserError

C = TypeVar("C")


def typed(cls: type[C], values: object, prefix: str, known: Iterable[str] = ()) -> C:
    """Return an instance of a config class from plain values; unknown keys and wrong types raise UserError."""
    result = _typed_tree(cls, _Tree(values), prefix, frozenset(known))  # type: ignore[arg-type]
    assert isinstance(result, cls)
    return result


class _Tree:
    """Plain values as a cache key: the runs of a sweep share most parts of their configs, and each is typed once."""

    def __init__(self, values: object) -> None:
        self.values = values
        self._text = repr(values)

    def __hash__(self) -> int:
        return hash(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Tree) and self._text == other._text


@functools.lru_cache(maxsize=1024)
def _typed_tree(cls: type[Any], tree: _Tree, prefix: str, known: frozenset[str]) -> Any:
    values = tree.values
    names = tuple(field.name for field in fields(cls))
    if not isinstance(values, Mapping):
        raise UserError(f"{prefix} is a group of settings, not one value.", key=prefix, value=values, choices=names)
    whole = {
        key: int(v) if isinstance(v, float) and v.is_integer() and _is_int(cls, key) else v for key, v in values.items()
    }
    if nested := _nested_where_plain(cls, whole):
        raise _mistyped(cls, values, nested, prefix)
    try:
        result = OmegaConf.to_object(OmegaConf.merge(_schema(cls), whole))  # type: ignore[arg-type]
    except UserError as error:
        raise (error.under(prefix) if prefix else error) from None
    except ConfigKeyError as error:
        key = str(error.full_key)
        choices = settings_in_group(cls, key) or names + tuple(sorted(known))
        raise no_such_setting(_join(prefix, key), choices) from None
    except MissingMandatoryValue as error:
        key = _join(prefix, str(error.full_key))
        raise UserError(f"{key} has no value.", key=key, remedy=f"set it: {key}=...") from None
    except OmegaConfBaseException as error:
        raise _mistyped(cls, values, str(error.full_key or "") or _first_mistyped(cls, whole), prefix) from None
    return result


def _mistyped(cls: type[Any], values: Mapping[str, Any], key: str, prefix: str) -> UserError:
    full = _join(prefix, key)
    return UserError(f"{full} is {_expected(cls, key)}.", key=full, value=_dig(values, key))


def _first_mistyped(cls: type[Any], values: Mapping[str, Any]) -> str:
    """Return the first setting whose value cannot be taken, for an error that does not say which; empty if none."""
    for key, value in values.items():
        try:
            OmegaConf.merge(_schema(cls), {key: value})  # type: ignore[arg-type]
        except OmegaConfBaseException:
            return key
    return ""


def _nested_where_plain(cls: type[Any], values: Mapping[str, Any]) -> str:
    """Return the first list of plain values that contains a list or a group, which OmegaConf may take for a text."""
    for field in fields(cls):
        value, group = values.get(field.name), group_of(field)
        if isinstance(value, Mapping) and group is not None and (inner := _nested_where_plain(group, value)):
            return f"{field.name}.{inner}"
        if not isinstance(value, list) or not _PLAIN_LIST.match(str(field.type)):
            continue
        if any(isinstance(each, list | Mapping) for each in value):
            return field.name
    return ""


@functools.cache
def _schema(cls: type[Any]) -> DictConfig:
    """Return a writable OmegaConf schema of the class: lists in read-only nodes of frozen classes cannot be merged."""
    schema = OmegaConf.structured(cls)
    pending = [schema]
    while pending:
        node = pending.pop()
        OmegaConf.set_readonly(node, None)
        children = [node._get_node(key) for key in node] if not node._is_missing() else []
        pending += [child for child in children if isinstance(child, DictConfig)]
    assert isinstance(schema, DictConfig)
    return schema


def _join(prefix: str, key: str) -> str:
    return f"{prefix}.{key}" if prefix and key else prefix or key


def _is_int(cls: type[Any], key: str) -> bool:
    field = field_of(cls, key)
    return field is not None and field.type in ("int", "int | None")


_TYPES_IN_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "list[int]": "a list of whole numbers, such as [64,64]",
    "list[float]": "a list of numbers, such as [0.9,0.999]",
    "list[str]": "a list of texts, such as [a,b]",
    "list[dict[str, Any]]": "a list of groups of settings, such as [{name: FrameStackObservation, stack_size: 4}]",
    "dict[str, Any]": "a group of settings, such as {key: value}",
}


_PLAIN_LIST = re.compile(r"list\[(int|float|str)\]")


def _expected(cls: type[Any], key: str) -> str:
    field = field_of(cls, key)
    if field is not None and group_of(field) is not None:
        return "a group of settings, not one value"
    declared = "" if field is None else str(field.type)
    kind = declared.removesuffix(" | None")
    words = _TYPES_IN_WORDS.get(kind, f"of type {kind}" if kind else "something else")
    return f"{words}, or null" if kind != declared else words


def _dig(values: Any, key: str) -> str | None:
    for part in key.replace("[", ".").replace("]", "").split("."):
        try:
            values = values[int(part)] if isinstance(values, list) else values[part]
        except (KeyError, IndexError, TypeError, ValueError):
            return None
    return repr(values)
