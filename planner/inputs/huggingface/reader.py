"""Reads keys of a Hugging Face config, and remembers which: the rest is reported as not understood."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from planner.errors import InputError, printable
from planner.inputs.huggingface.families import DEFAULTS, SENSED
from planner.inputs.huggingface.plain_keys import LEFT_OUT, is_plain

# how the text part is nested in configs of models that also see or hear
NESTED = (
    "text_config",
    "language_config",
    "language_model_config",
    "lang_config",
    "llm_config",
    "lm_config",
    "thinker_config",
)
# parts of the text model itself: a key is looked up there where the config has none of its own
PARTS = ("attn_config", "ffn_config")
PER_LAYER = "per_layer_config"  # what single layers have instead, by their number

LONGEST_KEY = 80  # characters of a key that is told of: what is in a file may be of any length


class Config:
    """The text part of a config, and a record of the keys that were read."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.values: dict[str, Any] = {}
        self.nested: set[str] = set()  # keys of the text part alone, where it is nested
        part: object = config
        while isinstance(part, Mapping):
            self.values.update(part)
            self.nested = set(map(str, part)) if part is not config else set()
            part = next((part[k] for k in NESTED if isinstance(part.get(k), Mapping)), None)
        self.used: set[str] = {"model_type", *NESTED}
        for name in PARTS:
            inner = self.values.get(name)
            if isinstance(inner, Mapping):
                self.used.add(name)
                for key, value in inner.items():
                    if self.values.get(key) is None:
                        self.values[key] = value
        self.kind = printable(str(self.values.get("model_type") or "missing"), LONGEST_KEY)
        self.missed: list[str] = []
        self.notes: list[str] = []
        self.layer: int | None = None
        known = DEFAULTS.get(self.kind, {}) if self.nested else {}
        left_out = [key for key in known if self.values.get(key) is None]
        self.values.update((key, known[key]) for key in left_out)
        if left_out:
            self.note(f"left out, so as transformers has it for {self.kind}: {', '.join(left_out)}")

    def at(self, layer: int) -> Config:
        """The same as one layer sees it: its entry of a list, its own values where it has some."""
        seen = copy.copy(self)  # what is read and missed is kept in common
        seen.layer = layer
        own = self.values.get(PER_LAYER)
        if isinstance(own, Mapping):
            self.used.add(PER_LAYER)
            for key in {str(layer), f"{layer:02d}", f"{layer:03d}"} & set(own):
                if isinstance(own[key], Mapping):
                    seen.values = {**self.values, **own[key]}
        return seen

    def has(self, *keys: str) -> bool:
        """Whether any of these keys has a value."""
        return any(self.values.get(key) is not None for key in keys)

    def get(self, *keys: str) -> Any:
        """The first of these keys that has a value; all count as read."""
        return self.values.get(self.key(*keys))

    def key(self, *keys: str) -> str:
        """Which of these keys the file has; the first where it has none. All count as read."""
        self.used.update(keys)
        return next((key for key in keys if self.values.get(key) is not None), keys[0])

    def whole(self, *keys: str, default: int | None = None, low: int = 0) -> int:
        """A whole number, or that of the layer in a list of them.

        Raises InputError, with the key as it stands in the file, if it is missing without a default, or
        below `low`.
        """
        key = self.key(*keys)
        value = self.values.get(key)
        if isinstance(value, list) and len(value) == 2 and self.kind in SENSED:
            value = value[0]
        elif isinstance(value, list) and self.layer is not None and self.layer < len(value):
            value = value[self.layer]
        if value is None and default is not None:
            return default
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value < 2**53:
            raise InputError(
                key, brief(value), f"a config.json must give a whole number of at least {low} here"
            )
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        """A switch."""
        value = self.get(key)
        return default if value is None else bool(value)

    def series(self, key: str, layers: int, kind: type = list) -> Sequence[Any] | None:
        """One entry per layer (more belong to prediction heads); None if absent or empty."""
        value = self.get(key)
        if value is None or value == kind():
            return None
        if not isinstance(value, kind) or len(value) < layers:  # type: ignore[arg-type]
            raise InputError(
                key, brief(value), f"a config.json must give one entry for each of {layers} layers"
            )
        found: Sequence[Any] = value[:layers]  # type: ignore[index]
        return found

    def places(self, key: str) -> Sequence[int]:
        """A list of layer numbers, empty if absent."""
        value = self.get(key) or []
        if isinstance(value, str):  # "4,5,6"
            value = [int(item) if item.strip().isdecimal() else item for item in value.split(",")]
        if not isinstance(value, list) or not all(isinstance(item, (int, float)) for item in value):
            raise InputError(key, brief(value), "a config.json must give a list of layers here")
        return value

    def part(self, key: str) -> Mapping[str, Any]:
        """A mapping in a mapping; {} if absent."""
        value = self.get(key)
        return value if isinstance(value, Mapping) else {}

    def note(self, text: str) -> None:
        """Something that whoever uses the model should know, once."""
        if text not in self.notes:
            self.notes.append(text)

    def miss(self, what: str) -> None:
        """Note something that was not understood, once."""
        what = printable(what, LONGEST_KEY)
        if what not in self.missed:
            self.missed.append(what)

    def miss_unread(self) -> None:
        """Note the keys with a value that nothing has read and that look architectural.

        A mapping always is: it may hold a whole mechanism. Of what stands around a nested text part, only
        mappings are.
        """
        for key, value in self.values.items():
            trivial = value is None or value in (False, 0, 1.0, "", [], {})
            if trivial or key in self.used or key.startswith(LEFT_OUT):
                continue
            outside = bool(self.nested) and key not in self.nested
            if not is_plain(key, value) and not (outside and not isinstance(value, Mapping)):
                self.miss(key)


def brief(value: object) -> object:
    """A value as an error message shows it: short, and only the type of lists and objects."""
    if isinstance(value, str):
        return value if len(value) <= 40 else value[:37] + "..."
    return value if value is None or isinstance(value, (int, float)) else type(value).__name__
