"""The one writer of JSON: what is printed or saved can be read by any reader."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from planner.planning.result import Count, PoolPlan


def clean(value: Any) -> Any:
    """The value with numpy scalars made plain and undefined numbers made None, which JSON has.

    >>> clean({"a": (1.0, math.inf), 2: math.nan})
    {'a': [1.0, None], '2': None}
    """
    if isinstance(value, Mapping):
        return {str(key): clean(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(item) for item in value]
    if value is None or isinstance(value, (str, bool)):
        return value
    plain = value.item() if hasattr(value, "item") else value
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain


def dumps(document: Mapping[str, Any], *, indent: int | None = 2) -> str:
    """A document as text. Never contains NaN or Infinity, which JSON has not: they are null.

    >>> dumps({"a": math.nan}, indent=None)
    '{"a": null}'
    """
    return json.dumps(clean(document), indent=indent, ensure_ascii=False, allow_nan=False)


def counts(pools: Iterable[Count | PoolPlan]) -> list[dict[str, Any]]:
    """How many instances of which layout each pool has."""
    return [{"phase": pool.phase, "layout": pool.layout.label, "instances": pool.instances} for pool in pools]
