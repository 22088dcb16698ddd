"""What a plan says of the loss that it survives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from planner.output.spelling import count, named, percent
from planner.units import three_digits
from planner.words import Loss

if TYPE_CHECKING:
    from planner.planning.result import Plan

WHAT: Mapping[Loss, str] = {
    "gpu": "any one GPU, and so its instance",
    "instance": "any one instance",
    "node": "any one node",
    "rack": "any one rack",
}


def survival_sentences(plan: Plan) -> list[str]:
    """What is still served after the worst loss, what that costs, and how much of the time it is enough."""
    found = plan.survival
    if found is None:
        return []
    lost = " and ".join(count(number, f"{named(phase)} instance") for phase, number in found.lost.items())
    served = f"{three_digits(found.requests_per_s)} requests/s"
    lines = [f"With {WHAT[found.loss]} lost ({lost} at worst), {served} are still served within the limits."]
    if found.gpus_without is None or found.requests_per_s_without is None:
        lines.append("Without that, no plan was found to compare with.")
    elif plan.scenario.traffic.requests_per_s is not None and found.cost_gpus > 0:
        more = count(found.cost_gpus, "GPU")
        lines.append(
            f"That costs {more} more than the best plan without: {found.gpus:,} against "
            f"{found.gpus_without:,}."
        )
    elif found.cost_share > 0.0005:
        without = three_digits(found.requests_per_s_without)
        lines.append(
            f"That costs {percent(found.cost_share)} of the throughput of the best plan without, "
            f"{without} requests/s on {count(found.gpus_without, 'GPU')}."
        )
    else:
        lines.append("That costs nothing against the best plan without.")
    available = f"There is capacity for that rate {_share(found.availability)} of the time"
    if found.availability_without is not None:
        available += f", without {_share(found.availability_without)}"
    hours = f"{found.hours_between_failures:,.0f}"
    lines.append(
        f"{available} (a GPU fails every {hours} hours, hosts beside it; repair takes "
        f"{found.hours_to_repair:g} hours: presets/failures.toml)."
    )
    return lines


def survival_data(plan: Plan) -> dict[str, Any] | None:
    """The same as data; None where no loss is to be survived."""
    found = plan.survival
    if found is None:
        return None
    return {
        **asdict(found),
        "lost": dict(found.lost),
        "costs_gpus": found.cost_gpus,
        "costs_share": found.cost_share,
    }


def _share(share: float) -> str:
    """With as many nines as it has.

    >>> _share(0.9999912), _share(0.97)
    ('99.9991 %', '97.0 %')
    """
    gone = 100.0 * (1.0 - share)
    digits = 1
    while gone < 10.0 ** (-digits) and digits < 6:
        digits += 1
    return f"{min(100.0 * share, 100.0 - 10.0**-digits):.{digits}f} %"
