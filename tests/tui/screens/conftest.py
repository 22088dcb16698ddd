"""The application with its pages, as the tests of screens drive it."""

from __future__ import annotations

import fakes
import pytest
from turning import SIZE, Pages


@pytest.fixture
async def pages():
    async with fakes.app().run_test(size=SIZE) as pilot:
        pages = Pages(pilot)
        await pages.settled()
        yield pages
