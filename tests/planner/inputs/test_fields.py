"""What the fields do beyond what the command line and the form try."""

from __future__ import annotations

import pytest

from planner import InputError, Scenario, load
from planner.inputs import scenario_file
from planner.inputs.fields import BY_KEY
from planner.planning import resolve


def test_a_choice_without_known_names_stays_as_it_is() -> None:
    assert BY_KEY["model"].step("llama-3.1-8b", 1) == "llama-3.1-8b"
    assert BY_KEY["model"].step("b", 1, ("a", "b")) == "a"


def test_a_price_is_a_number_or_what_a_preset_says_of_owning_or_renting() -> None:
    price = BY_KEY["price"]
    assert [price.parse(text) for text in ("2.5", "preset", "Rental")] == [2.5, None, "rental"]
    assert [price.format(value) for value in (2.5, None, "rental")] == ["2.5", "preset", "rental"]
    assert price.check("rental") == "rental"
    assert (price.step("rental", -1), price.step("rental", 1)) == (None, None)
    with pytest.raises(InputError, match="a value from 0 to 1,000, or preset, or rental"):
        price.parse("rent")


def test_a_rental_price_is_the_systems_or_is_not_known() -> None:
    catalog = load()
    h200 = catalog.system("h200")
    asked = (None, "rental", 2)
    assert [resolve.price(one, h200) for one in asked] == [
        h200.usd_per_gpu_hour,
        h200.rental_usd_per_gpu_hour,
        2,
    ]
    with pytest.raises(InputError, match=r"what renting H20 .* costs is not known"):
        resolve.price("rental", catalog.system("h20"))


def test_a_scenario_file_keeps_a_rental_price() -> None:
    scenario = BY_KEY["price"].set(Scenario(), "rental")
    catalog = load()
    assert scenario_file.read(scenario_file.write(scenario, catalog=catalog), catalog) == scenario


def test_a_rate_is_stepped_to_from_either_side() -> None:
    rate, gpus = BY_KEY["rate"], BY_KEY["gpus"]
    assert (rate.step(None, 1), rate.step(None, -1), rate.step(1.0, 1)) == (1.0, 1.0, 2.0)
    assert (rate.step(0.01, -1), rate.step(5e4, 1)) == (None, None)
    assert gpus.step(None, 1) is None and gpus.step(None, -1) == max(gpus.steps)  # a limit
