"""Words that stand for a scenario beside another."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner import load
from planner.errors import InputError
from planner.inputs import varied


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("vllm", ("engine", "vllm")),
        ("8xH100", ("system", "8xH100")),
        ("meta-llama/Llama-3.3-70B-Instruct", ("model", "meta-llama/Llama-3.3-70B-Instruct")),
        ("chat", ("scenario", "chat")),
        ("tpot=20ms", ("ttl", "20ms")),
        ("--ftl=2s", ("ftl", "2s")),
    ],
)
def test_a_word_is_an_engine_a_system_a_model_a_scenario_or_a_value(
    word: str, meant: tuple[str, str]
) -> None:
    assert varied.meaning(word, load()) == meant


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("schema = 1\nttl = '20ms'\n", "scenario"),
        ("base = 'chat'\n", "scenario"),
        ("base = 'h200'\n", "system"),
        ("base = 'h200'\n[gpu]\nmemory_bytes = 1e11\n", "system"),
        ("base = 'vllm'\n", "engine"),
        ("base = 'qwen3-8b'\n", "model"),
    ],
)
def test_a_file_is_what_its_tables_or_its_base_are(text: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    assert varied.meaning(str(path), load()) == (kind, str(path))


def test_a_word_that_is_nothing_names_the_nearest_of_every_kind() -> None:
    with pytest.raises(InputError, match=r"did you mean .*sglang"):
        varied.meaning("sglangg", load())
    with pytest.raises(InputError, match="did you mean ttl"):
        varied.meaning("tll=3ms", load())
    with pytest.raises(InputError, match="compare: '/nowhere"):
        varied.meaning("/nowhere/x", load())
