"""JSON as the server takes it."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import pathlib
import uuid
from typing import Any

__all__ = ["encode", "given"]


def _other(value: object) -> Any:
    """Values that tools return often and JSON does not know."""
    dump = getattr(value, "model_dump", None)  # pydantic
    if callable(dump) and not isinstance(value, type):
        return dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, uuid.UUID | pathlib.PurePath | decimal.Decimal):
        return str(value)
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    raise TypeError(
        f"an event cannot hold a value of type {type(value).__name__}: "
        "give a text, number, list or dict instead"
    )


def encode(value: object) -> bytes:
    """Compact UTF-8. Half a surrogate pair, which UTF-8 cannot hold, becomes `?`."""
    text = json.dumps(
        value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_other
    )
    return text.encode("utf-8", errors="replace")


def given(**fields: object) -> dict[str, Any]:
    """The fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}
