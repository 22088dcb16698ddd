"""The array types, once. Scalars and arrays mix freely: every operator broadcasts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
IndexArray: TypeAlias = npt.NDArray[np.intp]  # rows of another array
BoolArray: TypeAlias = npt.NDArray[np.bool_]
Real: TypeAlias = "float | npt.NDArray[np.floating[Any]] | npt.NDArray[np.integer[Any]]"

_Number = TypeVar("_Number", bound=np.generic)


def distinct(values: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
    """The different values, ascending: `np.unique` of numbers, which imports numpy's masked arrays first.

    >>> distinct(np.array([3, 1, 3]))
    array([1, 3])
    """
    found = np.sort(values, axis=None)
    new = np.ones(len(found), dtype=np.bool_)
    np.not_equal(found[1:], found[:-1], out=new[1:])
    return np.asarray(found[new])


def most_of_each(
    values: FloatArray, group: npt.NDArray[np.integer[Any]], groups: int, least: float = 0.0
) -> FloatArray:
    """The largest of the values of each group, `least` for one without; shape (groups,).

    `np.maximum.at`, in a third of its time where equal groups stand together as those of design points do.

    >>> most_of_each(np.array([3.0, 5.0, 4.0]), np.array([1, 1, 0]), 3).tolist()
    [4.0, 5.0, 0.0]
    """
    best = np.full(groups, least)
    if len(values):
        starts = np.flatnonzero(np.concatenate(([True], group[1:] != group[:-1])))
        np.maximum.at(best, group[starts], np.maximum.reduceat(values, starts))
    return best


def quantiles(values: FloatArray, at: Sequence[float]) -> tuple[float, ...]:
    """Between the two nearest in order, as `np.quantile`, which asks for distinct values on its way.

    >>> quantiles(np.array([3.0, 1.0, 2.0]), (0.25, 1.0))
    (1.5, 3.0)
    """
    order = np.sort(values, axis=None)
    place = np.asarray(at, dtype=np.float64) * (len(order) - 1)
    return tuple(float(one) for one in np.interp(place, np.arange(len(order)), order))
