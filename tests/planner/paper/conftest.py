"""The sweeps that most tests read, each made once."""

from __future__ import annotations

import pytest

from planner.inputs.catalog import load
from planner.paper.settings import STUDY
from planner.paper.sweeps import Sweeps


@pytest.fixture(scope="session")
def presets():
    return load()


@pytest.fixture(scope="session")
def served(presets):
    """As served today."""
    return Sweeps(presets)


@pytest.fixture(scope="session")
def in_study(presets):
    """In the study's setting."""
    return Sweeps(presets, setting=STUDY)
