"""What the fields do beyond what the command line and the form try."""

from __future__ import annotations

from planner.inputs.fields import BY_KEY


def test_a_choice_without_known_names_stays_as_it_is() -> None:
    assert BY_KEY["model"].step("llama-3.1-8b", 1) == "llama-3.1-8b"
    assert BY_KEY["model"].step("b", 1, ("a", "b")) == "a"
