"""What the tests of the solver's thread share."""

from __future__ import annotations

import pytest
from inbox import Inbox


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()
