"""Values, texts and files that no one should have to expect."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

EVIL = "\x1b]52;c;cm0=\x07\x1b[2J\x9b2J\u202egnp\x7f\x08"
WORDS = (
    *(
        "",
        " ",
        "-",
        "--",
        "=",
        "0",
        "-0",
        "1",
        "-1",
        "nan",
        "inf",
        "-inf",
        "1e308",
        "1e309",
        "-1e-320",
        "0x10",
    ),
    *(
        "1_0",
        "1,,0",
        "1.5",
        ".5",
        "5.",
        "1e5",
        "16k",
        "16kk",
        "16 k",
        "20ms",
        "20 parsecs",
        "5%",
        "500%",
        "½",
    ),
    *(
        "١٢٣",
        "1２",
        "²",
        "１",
        "π",
        "any",
        "auto",
        "preset",
        "on",
        "off",
        "true",
        "None",
        "null",
        "x",
        "x" * 300,
    ),
    *("9" * 20, "9" * 5000, "1" * 100_000, "k" * 1000, "." * 2000, "-" * 50, "e" * 100, "_" * 3000),
    *(EVIL, "a\nb", "a\tb", "a\rb", "\u2028", "\ufeff", "\ud800", "é" * 200, "模型", "🙂", "\u200d", "\xa0"),
    *(
        "[bold red]x[/]",
        "%s%n",
        "{0}",
        "$(id)",
        "`id`",
        "; rm -rf /",
        "'",
        '"',
        "\\",
        "\\x1b",
        "<b>",
        "&amp;",
    ),
    *("/", ".", "..", "~", "~nobody-at-all", "/dev/zero", "/dev/null", "/dev/stdin", "/proc/self/mem", "a/b"),
    *(
        "x" * 300,
        "x" * 5000,
        "/".join("y" * 300),
        "chat",
        "chat.toml",
        "llama-3.1-8b",
        "h200",
        "trtllm",
        "meta/llama",
    ),
)
NUMBERS: tuple[Any, ...] = (
    *(0, -1, 1, 2, 3, 0.5, 1.0, 1e-308, 1e308, 10**18, 2**53, 2**63, 2**64, -(2**63), 10**400, 1e15),
    *(float("nan"), float("inf"), float("-inf"), True, False),
)
VALUES: tuple[Any, ...] = (
    *NUMBERS,
    None,
    "",
    "x",
    EVIL,
    "9" * 5000,
    [],
    [1],
    ["x"],
    [[]],
    {},
    {"x": 1},
    [{}],
)


def word(chance: random.Random) -> str:
    """A word for a command line or a cell: hostile as it is, or two of them in one."""
    if chance.random() < 0.8:
        return chance.choice(WORDS)
    return "".join(chance.choice(WORDS)[:50] for _ in range(chance.randint(2, 3)))


def spoil(chance: random.Random, text: str, most: int = 3) -> str:
    """A text with some places changed: cut, doubled, swapped, replaced by hostile words."""
    for _ in range(chance.randint(1, most)):
        a, b = sorted(chance.randint(0, len(text)) for _ in range(2))
        b = min(b, a + chance.choice((1, 3, 20, 400)))
        lines = text.split("\n")
        row = chance.randrange(len(lines))
        match chance.randrange(8):
            case 0:
                text = text[:a] + text[b:]
            case 1:
                text = text[:b] + text[a:]
            case 2:
                text = text[:a] + word(chance) + text[b:]
            case 3:
                text = text[:a] + chance.choice("\0\x1b\x9b\u202e\"'[]{}=,.#\\\n0") + text[a:]
            case 4:
                text = "\n".join([*lines[:row], *lines[row + 1 :]])
            case 5:
                text = "\n".join([*lines[:row], lines[row], *lines[row:]])
            case 6:
                text = text[:a]
            case _:
                lines[row] = lines[row].replace(chance.choice(lines[row] or " "), chance.choice("09-x \t"), 1)
                text = "\n".join(lines)
    return text


def toml_value(chance: random.Random) -> str:
    """A value as TOML writes it, or as no one does."""
    if chance.random() < 0.1:
        return word(chance)
    value = chance.choice(VALUES)
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=chance.random() < 0.8).replace("null", "''")


def spoil_toml(chance: random.Random, text: str) -> str:
    """A TOML text with a value or two replaced, most of the time; else spoiled anywhere."""
    if chance.random() < 0.3:
        return spoil(chance, text)
    lines = text.split("\n")
    settable = [i for i, line in enumerate(lines) if " = " in line]
    for i in chance.sample(settable, min(len(settable), chance.randint(1, 2))):
        key = lines[i].split(" = ")[0] if chance.random() < 0.9 else word(chance)[:40]
        lines[i] = f"{key} = {toml_value(chance)}"
    return "\n".join(lines)


def spoil_json(chance: random.Random, document: Any) -> str:
    """A JSON document with some values replaced, deep inside too; else spoiled anywhere."""
    if chance.random() < 0.2:
        return spoil(chance, json.dumps(document))
    document = json.loads(json.dumps(document))
    for _ in range(chance.randint(1, 3)):
        at = document
        while True:
            keys = list(at) if isinstance(at, dict) else range(len(at)) if isinstance(at, list) else ()
            if not keys:
                break
            key = chance.choice(list(keys))
            if isinstance(at[key], (dict, list)) and at[key] and chance.random() < 0.7:
                at = at[key]
                continue
            at[key] = copy.deepcopy(chance.choice(VALUES))  # or what is put into it now is in all
            if isinstance(at, dict) and chance.random() < 0.1:
                at[word(chance)[:100]] = copy.deepcopy(chance.choice(VALUES))
            break
    try:
        return json.dumps(document, ensure_ascii=chance.random() < 0.5)
    except ValueError:
        return json.dumps(document, default=str)


def spoil_csv(chance: random.Random, text: str, rows: int) -> str:
    """The head and a few rows of a CSV text with some cells replaced; else spoiled anywhere."""
    lines = text.strip().split("\n")
    table = [line.split(",") for line in [lines[0], *chance.sample(lines[1:], min(rows, len(lines) - 1))]]
    if chance.random() < 0.25:
        return spoil(chance, "\n".join(map(",".join, table)))
    for _ in range(chance.randint(1, 4)):
        row = chance.choice(table[1:]) if chance.random() < 0.95 else table[0]
        if row:
            cell = word(chance)[:200] if chance.random() < 0.4 else repr(chance.choice(NUMBERS))
            row[chance.randrange(len(row))] = cell
        if chance.random() < 0.05:
            row.append("1")
    return "\n".join(map(",".join, table))


def as_bytes(chance: random.Random, text: str) -> bytes:
    """A text as a file holds it; one in thirty is not UTF-8."""
    found = text.encode("utf-8", "surrogatepass")
    if chance.random() < 1 / 30:
        at = chance.randint(0, len(found))
        found = found[:at] + bytes(chance.randrange(256) for _ in range(4)) + found[at:]
    return found
