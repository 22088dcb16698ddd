"""The array types, once. Scalars and arrays mix freely: every operator broadcasts."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
IndexArray: TypeAlias = npt.NDArray[np.intp]  # rows of another array
BoolArray: TypeAlias = npt.NDArray[np.bool_]
Real: TypeAlias = "float | npt.NDArray[np.floating[Any]] | npt.NDArray[np.integer[Any]]"
