"""What may be deployed: how many GPUs of which systems, and what they cost."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_args

from planner.errors import InputError
from planner.inputs import naming
from planner.values import dataclass
from planner.words import Loss, Tariff

MOST_SYSTEMS = 8
LONGEST = 2048  # characters of a fleet as typed
MOST_GPUS = 16384  # of one system
ACCEPTED = "systems and their GPUs, such as h100:64,h200:32@2.5 (any number: h100; $ per GPU-hour after @)"
_TABLE_KEYS = ("gpus", "price", "domain", "network", "rack")
_ENTRY = re.compile(r"(?P<system>[^:@+]+)(:(?P<gpus>[^:@+]+))?(@(?P<price>[^:@+]+))?(?P<more>(\+[^+]+)*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """The GPUs of one system."""

    system: str  # name in the catalog
    gpus: int | None = None  # None: any number
    usd_per_gpu_hour: float | Tariff | None = None  # None: as the fleet's
    domain_gpus: int | None = None  # of a scale-up domain; None: as the preset has it
    network_bytes_per_s: float | None = None  # of one GPU beyond its domain; None: as the preset has it
    rack_gpus: int | None = None  # of a rack; None: as the preset has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What may be deployed.

    >>> Fleet(systems="h100:64,h200:32").gpus, Fleet(systems="h100:64,h200").gpus
    (96, None)
    """

    gpus: int | None = (
        64  # budget over all pools, of `systems` their sum; None: as many as the best ratio needs
    )
    instance_gpus: int | None = None  # largest instance; None: the system's sensible maximum
    usd_per_gpu_hour: float | Tariff | None = None  # None: what owning the system's GPU costs
    survive: Loss = "none"  # the plan keeps limits and demand with the worst loss of one
    systems: str | None = None  # as `stocks` reads them; None: the scenario's one system
    max_usd_per_hour: float | None = None  # that all pools may cost together
    max_kw: float | None = None  # that they may draw
    max_racks: int | None = None  # that they may fill, each with GPUs of one system

    def __post_init__(self) -> None:
        if not self.systems or not isinstance(self.systems, str):
            return
        try:
            counts = [stock.gpus for stock in self.stocks]
        except InputError:
            return  # the field's to refuse
        known = [gpus for gpus in counts if gpus is not None]
        object.__setattr__(self, "gpus", sum(known) if len(known) == len(counts) else None)

    @property
    def capped(self) -> bool:
        """Whether what all pools may spend is limited."""
        return any(most is not None for most in (self.max_usd_per_hour, self.max_kw, self.max_racks))

    @property
    def stocks(self) -> tuple[Stock, ...]:
        """The systems there are to choose from; () where the scenario names its one.

        Raises InputError for a text that says none.
        """
        return () if self.systems is None else parse(self.systems)


def parse(text: str) -> tuple[Stock, ...]:
    """The systems of a fleet as typed. Raises InputError.

    >>> [stock.gpus for stock in parse("h100:64, 8xH200, b200")]
    [64, 8, None]
    >>> parse("h100:64@2.5+domain=4")[0].domain_gpus, parse("h100+rack=16")[0].rack_gpus
    (4, 16)
    """
    if len(text) > LONGEST:
        raise InputError("fleet", text, ACCEPTED)
    stocks = [_stock(entry.strip(), text) for entry in text.split(",")]
    if len(stocks) > MOST_SYSTEMS:
        raise InputError("fleet", text, f"at most {MOST_SYSTEMS} systems")
    names = [naming.key(stock.system) for stock in stocks]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError("fleet", text, f"each system once: {twice} stands there twice")
    return tuple(stocks)


def of_table(table: Mapping[str, Any]) -> str:
    """A fleet as the table of a file has it, as text: a number of GPUs by system, or a table with more.

    Raises InputError for another key or value.

    >>> of_table({"h100": 64, "h200": {"gpus": 32, "price": "rental", "domain": 8}})
    'h100:64,h200:32@rental+domain=8'
    """
    entries: list[str] = []
    for name, value in table.items():
        one = value if isinstance(value, Mapping) else {"gpus": value}
        for key in one:
            if key not in _TABLE_KEYS:
                raise InputError(f"fleet.{name}", key, f"one of {', '.join(_TABLE_KEYS)}")
        entry = f"{name}:{one.get('gpus', 'any')}"
        entry += f"@{one['price']}" if "price" in one else ""
        entries.append(entry + "".join(f"+{key}={one[key]}" for key in _TABLE_KEYS[2:] if key in one))
    return written(parse(",".join(entries)))


def written(stocks: tuple[Stock, ...]) -> str:
    """A fleet as text that `parse` reads back.

    >>> written(parse("8xH200@rental, b200"))
    'H200:8@rental,b200'
    """
    return ",".join(map(_written, stocks))


def _written(stock: Stock) -> str:
    text = stock.system if stock.gpus is None else f"{stock.system}:{stock.gpus}"
    price = stock.usd_per_gpu_hour
    text += "" if price is None else f"@{price if isinstance(price, str) else f'{price:.12g}'}"
    text += "" if stock.domain_gpus is None else f"+domain={stock.domain_gpus}"
    network = stock.network_bytes_per_s
    text += "" if network is None else f"+network={network:.12g}".replace("e+", "e")
    return text + ("" if stock.rack_gpus is None else f"+rack={stock.rack_gpus}")


def _stock(entry: str, text: str) -> Stock:
    gpus, rest = naming.counted(entry)
    found = _ENTRY.fullmatch(rest.strip().replace("e+", "e"))
    if found is None or (gpus is not None and found["gpus"] is not None):
        raise InputError("fleet", text, ACCEPTED)
    if found["gpus"] is not None and found["gpus"].strip().lower() != "any":
        gpus = _whole(found["gpus"], text, "GPUs", MOST_GPUS)
    elif gpus is not None:
        gpus = _whole(str(gpus), text, "GPUs", MOST_GPUS)
    more: dict[str, str] = {}
    for each in filter(None, found["more"].split("+")):
        key, sign, value = each.partition("=")
        if key.strip() not in _TABLE_KEYS[2:] or not sign:
            accepted = "domain=GPUS, network=BYTES_PER_S or rack=GPUS"
            raise InputError("fleet", text, f"after a + {accepted}, not {each}")
        more[key.strip()] = value.strip()
    return Stock(
        system=found["system"].strip(),
        gpus=gpus,
        usd_per_gpu_hour=None if found["price"] is None else _price(found["price"], text),
        domain_gpus=_whole(more["domain"], text, "domain", 1024) if "domain" in more else None,
        network_bytes_per_s=_number(more["network"], text, "network", 1e6, 1e13)
        if "network" in more
        else None,
        rack_gpus=_whole(more["rack"], text, "rack", 1024) if "rack" in more else None,
    )


def _price(value: str, text: str) -> float | Tariff:
    for tariff in get_args(Tariff):
        if value.strip().lower() == tariff:
            known: Tariff = tariff
            return known
    return _number(value, text, "price", 0.0, 1e3)


def _whole(value: str, text: str, what: str, most: int) -> int:
    if not re.fullmatch(r"\s*\d{1,6}\s*", value, re.ASCII) or not 1 <= int(value) <= most:
        raise InputError("fleet", text, f"{what} from 1 to {most:,}, not {value.strip()}")
    return int(value)


def _number(value: str, text: str, what: str, low: float, high: float) -> float:
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not low <= number <= high:
        raise InputError("fleet", text, f"a {what} from {low:g} to {high:g}, not {value.strip()}")
    return number
