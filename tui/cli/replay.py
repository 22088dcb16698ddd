"""`ratematch replay`: a plan put to the proof, request by request."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner import load
from planner.errors import InputError
from planner.inputs import files
from planner.inputs.fields import BY_KEY
from planner.output.spelling import ascii_only
from planner.words import Loss
from tui.cli.flags import Parser, add_scenario, read_scenario
from tui.cli.quantities import quantity, whole
from tui.cli.terminal import DONE, INTERRUPTED, NO_PLAN, ascii_output, interrupts, say, writing

if TYPE_CHECKING:
    from planner.evidence.results.write import Tool
    from planner.inputs.requests import Requests
    from planner.inputs.scenario import Scenario
    from planner.replay.fleet import HostMemory
    from planner.replay.plans import Proof
    from planner.replay.result import Progress
    from planner.replay.settle import Settled

MOST_REQUESTS = 5_000_000
MOST_IN_FLIGHT = 1_000_000


def run(arguments: Sequence[str]) -> int:
    """The command: 0 with a replay, 3 where there is no plan to replay.

    Raises InputError for a value or file that cannot be used.
    """
    parser = Parser(
        "ratematch replay",
        "[SCENARIO] [--field value ...] [--trace FILE] [--requests N] [--settle] [--out FILE]\n"
        "       [--result TOOL FILE] [--json]",
        "Plan a scenario, then put the plan to the proof: every request one by one through its instances,\n"
        "with queues, batches, transfers and caches as they come. Requests are of a trace, or drawn at\n"
        "--rate (without one, at 85 % of what the plan can serve). Exit code 3: there is no plan.",
        "  ratematch replay --model qwen3-32b --isl 4k --osl 500 --ttft 2s --rate 12 --goal fewest-gpus\n"
        "  ratematch replay chat --trace azure.csv --routing round-robin --out requests.parquet\n"
        "  ratematch replay --trace azure-code --goal fewest-gpus --gpus any --settle --json\n"
        "  ratematch replay --rate 12 --goal fewest-gpus --survive node --fail node\n"
        "  ratematch replay --in-flight 64 --json    # a closed loop, as benchmarks run it",
    )
    parser.add_argument("--requests", metavar="N", help="how many to draw, or to take of the trace")
    parser.add_argument("--in-flight", metavar="N", help="a closed loop: so many at a time, no arrival times")
    parser.add_argument(
        "--prefix-aware",
        action="store_true",
        help="requests go where their prefix is cached, weighed against what waits there, whatever --routing",
    )
    parser.add_argument(
        "--no-prefix-caches", action="store_true", help="what prompts share is computed for each of them"
    )
    parser.add_argument(
        "--host-link", metavar="GB/S", default="50", help="of a GPU to that memory (50, measured on H100)"
    )
    parser.add_argument(
        "--later-turns",
        metavar="WHERE",
        default="prefill",
        help="where turns of a conversation after its first have their prompts: prefill (the pool), or "
        "decode (the instance that has their context)",
    )
    parser.add_argument(
        "--settle",
        action="store_true",
        help="plan again with more headroom, until the limits hold for what is replayed; says what plans for "
        "mean lengths alone would take",
    )
    parser.add_argument(
        "--fail",
        metavar="LOSS",
        default="none",
        help="the worst loss of one gpu, instance, node or rack strikes on the way; says what comes after it",
    )
    parser.add_argument("--fail-at", metavar="TIME", help="when, from the first request on (default a third)")
    parser.add_argument("--seed", metavar="N", default="0", help="of everything drawn (default 0)")
    parser.add_argument("--out", metavar="FILE", help="each request as a row: .csv or .parquet")
    parser.add_argument(
        "--result",
        nargs=2,
        metavar=("TOOL", "FILE"),
        help="the replay as the result of a benchmark, for ratematch validate: vllm, sglang, aiperf, "
        "genai-perf or guidellm",
    )
    parser.add_argument("--json", action="store_true", help="the replay as JSON, SI units")
    parser.add_argument("--ascii", action="store_true", help="ASCII characters only")
    add_scenario(parser)
    args = parser.read(arguments)
    seed = whole("seed", args.seed, 0, 2**63 - 1)
    number = None if args.requests is None else whole("requests", args.requests, 1, MOST_REQUESTS)
    in_flight = None if args.in_flight is None else whole("in-flight", args.in_flight, 1, MOST_IN_FLIGHT)
    fail: Loss = replace(BY_KEY["survive"], key="fail").parse(args.fail)
    fail_at_s = None
    if args.fail_at is not None:
        if fail == "none":
            raise InputError("fail-at", args.fail_at, "a time beside --fail LOSS")
        fail_at_s = quantity("fail-at", args.fail_at, "seconds", least=0.0)
    if args.settle and fail != "none":
        raise InputError("fail", args.fail, "a replay without --settle")
    if args.out and Path(args.out).suffix not in (".csv", ".parquet"):
        raise InputError("out", args.out, "a name that ends in .csv or .parquet")
    for name, file in (("out", args.out), ("result", args.result and args.result[1])):
        if file and args.trace and _same(file, args.trace):
            raise InputError(name, file, "a file that is not the trace itself")
    if args.result:
        _tool(args.result[0])
    catalog = load()
    scenario = read_scenario(args, catalog)
    return _replay(scenario, catalog, args, seed, number, in_flight, (fail, fail_at_s))


def _replay(
    scenario: Scenario,
    catalog: Any,
    args: Any,
    seed: int,
    number: int | None,
    in_flight: int | None,
    failing: tuple[Loss, float | None],
) -> int:
    from planner.planning.result import Plan
    from planner.replay import failing_text, plans, report, settle
    from planner.replay.fleet import Options
    from planner.simulate.points import Stopped

    rate = scenario.traffic.requests_per_s
    requests, mended = _trace(args.trace, seed, number, rate) if args.trace else (None, [])
    later = args.later_turns
    if later not in ("prefill", "decode"):
        raise InputError("later-turns", later, "prefill or decode")
    options = Options(
        later_turns=later,
        host=_host(scenario, args.host_link),
        prefixes=not args.no_prefix_caches,
        routing="prefix-aware" if args.prefix_aware or _aware(scenario) else scenario.traffic.routing,
        seed=seed,
        in_flight=in_flight,
        ftl_limit_s=scenario.limits.ftl_s,
        ttl_limit_s=scenario.limits.ttl_s,
    )
    asked: list[bool] = []  # to stop
    shown = _Line()
    settled: Settled | None = None
    try:
        with interrupts(lambda *_: asked.append(True)):
            prove = partial(plans.prove, fail=failing[0], fail_at_s=failing[1])
            found = (settle.settle if args.settle else prove)(
                scenario,
                catalog,
                options,
                requests=requests,
                count=number or plans.REQUESTS,
                should_stop=lambda: bool(asked),
                progress=shown.progress,
            )
    except Stopped:  # while it planned: of a replay there would be a part to tell
        return INTERRUPTED
    finally:
        shown.clear()
    if isinstance(found, settle.Settled):
        settled, found = found, found.proof
    if isinstance(found, Plan):
        from tui.cli.plan import report as no_plan

        return no_plan(found, "json" if args.json else "text", args.ascii) or NO_PLAN
    if args.out:
        with writing("out", args.out):
            files.write_atomically(Path(args.out), report.table(found.result, Path(args.out)))
    if args.result:
        _write_result(found, *args.result)
    planned = found.planned
    if args.json:
        more = _more(found, args.trace, mended)
        if settled is not None:
            more["settled"] = settle.to_dict(settled)
        say(report.to_json(found.result, found.fleet, more))
    else:
        told = [] if settled is None else settle.to_lines(settled)
        said = report.to_text(found.result, found.fleet, planned)
        text = "\n".join([report.headline(found), *told, *mended, said])
        if found.failure is not None:
            text += "\n" + "\n".join(failing_text.lines(found.failure))
        if found.stopped:
            text += "\nstopped before the last request ended: figures are of those that did"
        if args.out:
            text += f"\n{len(found.result):,} rows in {args.out}"
        if args.result:
            text += f"\nthe result as {args.result[0]} writes it in {args.result[1]}"
        say(ascii_only(text) if ascii_output(args.ascii) else text)
    return INTERRUPTED if found.stopped else DONE


def _same(file: str, trace: str) -> bool:
    try:
        return Path(file).samefile(trace)
    except (OSError, ValueError):  # one of them is not there
        return False


def _tool(name: str) -> Tool:
    from planner.evidence.results.write import TOOLS

    for tool in TOOLS:
        if tool == name:
            return tool
    raise InputError("result", name, ", ".join(TOOLS))


def _write_result(found: Proof, tool: str, file: str) -> None:
    """The replay as the result file of a benchmark, into the folder of an export for example."""
    from planner.evidence.results import write

    scenario = found.plan.scenario
    ran = write.of_replay(
        found.result,
        model=scenario.model,
        engine=scenario.engine,
        requests_per_s=found.requests_per_s,
    )
    with writing("result", file):
        files.write_atomically(Path(file), write.text(_tool(tool), ran))


def _host(scenario: Scenario, per_s: str) -> HostMemory | None:
    """Host memory of a GPU, and its link. Raises InputError."""
    from planner.replay.build import host_memory

    return host_memory(scenario.traffic, 1e9 * quantity("host-link", per_s, "count", most=1e5))


def _aware(scenario: Scenario) -> bool:
    return scenario.traffic.reuse == "prefix-aware" and scenario.traffic.trace is not None


def _trace(name: str, seed: int, number: int | None, rate: float | None) -> tuple[Requests, list[str]]:
    """The first requests of a trace, closer together or further apart where a rate is asked for."""
    from planner.inputs.requests import first
    from planner.inputs.traces import read_requests
    from planner.planning.demand import at_own_rate

    requests, repairs = read_requests(Path(name), seed=seed)
    requests = first(requests, number)
    return at_own_rate(requests, rate), list(repairs.sentences())


def _more(found: Proof, trace: str | None, mended: Sequence[str]) -> dict[str, Any]:
    return {
        "arrivals": "closed" if found.result.options.in_flight else "trace" if trace else found.arrivals,
        "offered_requests_per_s": found.requests_per_s,
        "stopped": found.stopped,
        "repairs": list(mended),
        "failure": found.failure,
        "plan": {
            "choice": found.plan.choice,
            "gpus": found.serving.gpus,
            "ftl_s": found.serving.ftl_s,
            "ttl_s": found.serving.ttl_s,
            "requests_per_s": found.serving.requests_per_s,
            "load": found.planned,
        },
    }


class _Line:
    """How far it is, in one line of standard error written over; nothing where that is no terminal."""

    def __init__(self) -> None:
        self._wide = 0

    def progress(self, at: Progress) -> None:
        if sys.stderr is None or not sys.stderr.isatty():
            return
        left = f", {at.left_s:.0f} s left" if at.left_s < 1e6 else ""
        text = f"{at.ended:,} of {at.requests:,} requests, {at.requests_per_s:,.0f}/s{left}"
        sys.stderr.write("\r" + text.ljust(self._wide))
        sys.stderr.flush()
        self._wide = len(text)

    def clear(self) -> None:
        if self._wide:
            sys.stderr.write("\r" + " " * self._wide + "\r")
            sys.stderr.flush()
