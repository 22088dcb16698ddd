"""The three engines by themselves: a script for each host, one that starts them all, a compose file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from planner.errors import InputError, listed
from planner.output.as_json import dumps
from planner.output.deploy import bench, documents, placement, record, sglang, shell, tables, trtllm, vllm
from planner.output.deploy.compose import compose
from planner.output.deploy.parts import Export, Options, Placed, Process, Refused, Settings, Subject, argv
from planner.output.spelling import count, named
from planner.planning.result import PoolPlan
from planner.simulate import encode
from planner.words import EngineFamily

ENGINES: Mapping[EngineFamily, ModuleType] = {"vllm": vllm, "sglang": sglang, "trtllm": trtllm}
PORT = placement.ROUTER_PORT
ROUTER, ROUTER_CONFIG, SERVERS = "router.py", "router.json", "servers.yaml"


def export(of: Subject) -> Export | Refused:
    """The files that launch a plan on its engine.

    Raises InputError where no checkpoint is known in the plan's format, or too few hosts are named.
    """
    engine = ENGINES[of.table.engine]
    if reason := engine.refusal(of):
        return Refused(reason=reason)
    places = placed(of)
    if isinstance(places, Refused):
        return places
    hosts = addresses(of.options, 1 + max(host for one in places for host in one.hosts))
    repository, quantization = checkpoint(of)
    model = model_words(of, repository, quantization)
    names = pool_names(of.serving.pools)
    files: dict[str, str] = {}
    encoders = [one for one in places if one.pool == len(names)]
    processes = [_encoder(of, one, hosts, model) for one in encoders]
    urls = [f"http://{hosts[one.hosts[0]]}:{one.port}" for one in encoders]
    for one in (one for one in places if one.pool < len(names)):
        more = (trtllm.config_name(names[one.pool]),) if engine is trtllm else ()
        its = engine.processes(of, one, hosts, model, *more)
        if urls and of.serving.pools[one.pool].phase != "decode":
            its = [replace(process, argv=(*process.argv, *engine.fed(of, urls))) for process in its]
        processes += its
        if engine is trtllm and len(set(one.gpus)) > 1:
            return Refused(reason=f"{one.name} has other GPUs on each host, which mpirun cannot be told")
    if engine is trtllm:
        for i, pool in enumerate(of.serving.pools):
            made = trtllm.settings(of, pool)
            text = documents.yaml_text(
                made, f"{names[i]}: {pool.layout.label}, {of.table.label} {of.table.version}"
            )
            files[trtllm.config_name(names[i])] = text
    router = _router(of, places, hosts, files)
    port = PORT if router else places[0].port
    by_host: dict[int, list[Process]] = defaultdict(list)
    for process in processes:
        by_host[process.host].append(process)
    for host, name in enumerate(hosts):
        runs = ", ".join(process.name for process in by_host[host]) or "ranks of others"
        said = f"Host {host} ({name}) of {of.options.name}: {runs}"
        files[f"host-{host}.sh"] = shell.host_script(said, by_host[host], of.vendor)
    health = [process.health for process in processes if process.health]
    files["start.sh"] = shell.start_script(
        f"Starts {of.options.name} on {count(len(hosts), 'host')}: run it on {hosts[0]}",
        hosts,
        health,
        router,
        port,
    )
    image = of.options.image or of.table.images[of.vendor]
    contained = [process for process in processes if not process.spans]
    services = compose(project(of.options.name), image, contained, router, of.vendor)
    files["compose.yaml"] = documents.yaml_text(
        services, f"docker compose --profile host-0 up: {of.options.name}"
    )
    files["bench.sh"] = bench.script(of, f"http://{hosts[0]}:{port}", repository)
    files[record.FILE] = record.record(of)
    notes = _notes(of, places, hosts, quantization, [p.name for p in processes if p.spans])
    return Export(target=of.target, files=files, notes=tuple(notes))


def environment(of: Subject, pool: PoolPlan) -> Mapping[str, str]:
    """What instances of a pool are told beside their flags, wherever they lie."""
    return ENGINES[of.table.engine].environment(of, pool)  # type: ignore[no-any-return]


def _encoder(of: Subject, one: Placed, hosts: Sequence[str], model: Sequence[str]) -> Process:
    """A server that encodes images alone, on the first GPU of its place."""
    flag, host = of.flag, one.hosts[0]
    here: Settings = {**ENGINES[of.table.engine].encoder(of), flag("host"): "0.0.0.0", flag("port"): one.port}
    return Process(
        name=one.name,
        host=host,
        gpus=one.gpus[0],
        argv=(*of.table.command, *model, *argv(here)),
        health=f"{hosts[host]}:{one.port}",
    )


def placed(of: Subject) -> tuple[Placed, ...] | Refused:
    """Every instance on its hosts, or why one cannot be."""
    engine, pools = ENGINES[of.table.engine], of.serving.pools
    host_gpus = of.options.gpus_per_host or tables.gpus_per_host(of.system)
    names = pool_names(pools)
    sizes = []
    for name, pool in zip(names, pools, strict=True):
        layout = pool.layout
        size = placement.Size(
            name=name,
            instances=pool.instances,
            gpus=layout.gpus,
            stage=layout.tp * layout.attention_dp,
            tp=layout.tp,
            unit=engine.host_unit(pool),
            side_ports=engine.side_ports(pool),
        )
        if not placement.per_host(size, host_gpus):
            return Refused(reason=too_wide(of, pool, size.unit, host_gpus))
        sizes.append(size)
    if of.encoders is not None:  # behind the serving's pools, as `planner.planning.survive` has them
        of_one = placement.Size(
            name="encode", instances=of.encoders.instances, gpus=encode.GPUS, stage=1, tp=1, unit=1
        )
        sizes.append(of_one)
    return placement.placed(sizes, host_gpus, max(of.system.fabric.scale_up_gpus // host_gpus, 1))


def too_wide(of: Subject, pool: PoolPlan, unit: int, host_gpus: int) -> str:
    """Why an instance lies on no number of hosts."""
    return (
        f"{pool.layout.label} ({named(pool.phase)}): {of.table.label} keeps the {count(unit, 'GPU')} of a "
        f"rank on one host, which has {host_gpus}"
    )


def pool_names(pools: Sequence[PoolPlan]) -> list[str]:
    """Names of pools: their phase, with a number from the second of it on.

    >>> from types import SimpleNamespace as Pool
    >>> pool_names([Pool(phase=phase) for phase in ("prefill", "decode", "decode", "colocated")])
    ['prefill', 'decode', 'decode2', 'serve']
    """
    names: list[str] = []
    for i, pool in enumerate(pools):
        before = sum(other.phase == pool.phase for other in pools[:i])
        name = "serve" if pool.phase == "colocated" else pool.phase
        names.append(f"{name}{before + 1}" if before else name)
    return names


def addresses(options: Options, needed: int) -> tuple[str, ...]:
    """Of as many hosts as the instances need; names to be filled in where none were said.

    Raises InputError where fewer were.
    """
    if options.hosts:
        if len(options.hosts) < needed:
            raise InputError(
                "hosts", ",".join(options.hosts), f"{count(needed, 'host')}, as the instances need"
            )
        return options.hosts[:needed]
    return ("127.0.0.1",) if needed == 1 else tuple(f"host-{i}" for i in range(needed))


def checkpoint(of: Subject) -> tuple[str, str]:
    """Repository, and what it is quantised to as it is loaded. Raises InputError where none is known."""
    formats = of.plan.precision
    weights = (formats.experts or formats.weights) if formats else of.model.checkpoint
    return tables.checkpoint(of.model, weights, of.table, of.options)


def model_words(of: Subject, repository: str, quantization: str) -> tuple[str, ...]:
    """The words of a command that name the model."""
    flags = of.table.flags
    words = [flags["model"], repository] if "model" in flags else [repository]
    if of.options.revision and "revision" in flags:
        words += [flags["revision"], of.options.revision]
    if quantization:
        words += [flags["quantization"], quantization]
    if "name" in flags:
        words += [flags["name"], of.model.name]
    return tuple(words)


def project(name: str) -> str:
    """A name of containers: lower case, digits, dashes.

    >>> project("Über chat.toml; rm"), project("")
    ('ber-chat-toml-rm', 'ratematch')
    """
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())
    return "-".join(filter(None, kept.split("-")))[:40] or "ratematch"


def _router(
    of: Subject, places: Sequence[Placed], hosts: Sequence[str], files: dict[str, str]
) -> tuple[str, ...]:
    """The command of what joins the instances, its files added; () where there is one alone."""
    if not of.split and len(places) == 1:
        return ()
    if of.table.engine == "sglang":
        return sglang.router(of, places, hosts, PORT)
    if of.table.engine == "trtllm" and of.split:
        files[SERVERS] = documents.yaml_text(trtllm.servers(of, places, hosts, PORT))
        return ("trtllm-serve", "disaggregated", "-c", SERVERS)
    files[ROUTER_CONFIG] = dumps(vllm.router_config(of, places, hosts)) + "\n"
    files[ROUTER] = (Path(__file__).parent / "scripts" / "router.py").read_text()
    return ("python3", ROUTER, ROUTER_CONFIG, "--port", str(PORT))


def _notes(
    of: Subject, places: Sequence[Placed], hosts: Sequence[str], quantization: str, spanning: Sequence[str]
) -> list[str]:
    notes = []
    host_gpus = of.options.gpus_per_host or tables.gpus_per_host(of.system)
    least = -(-of.serving.gpus // host_gpus)
    if len(hosts) > least:
        notes.append(
            f"{count(len(hosts), 'host')} of {count(host_gpus, 'GPU')}, {len(hosts) - least} more than "
            f"{count(of.serving.gpus, 'GPU')} need: instances do not fill hosts evenly, some GPUs stay idle"
        )
    if len(hosts) > 1 and not of.options.hosts:
        notes.append("hosts are called host-0 and so on: `ratematch export --hosts` names yours")
    if not of.own_engine:
        engine = of.plan.engine.label if of.plan.engine else of.scenario.engine
        notes.append(f"the plan was made for {engine}: --engine {of.table.engine} predicts this one")
    if quantization:
        notes.append(
            f"no checkpoint in this format is known: weights are quantised when loaded ({quantization})"
        )
    if of.mtp and not of.model.mtp_layers:
        notes.append("the model has no prediction heads: add the draft model to the flags of speculation")
    if of.encoders is not None:
        notes.append("bench.sh sends text alone: requests with images are yours to send")
        if of.table.engine == "vllm" and len(hosts) > 1:
            notes.append(
                f"images are handed over as files in {vllm.IMAGES}: a file system that all hosts share, there"
            )
    if spanning:
        notes.append(
            f"compose.yaml leaves out {listed(list(spanning))}: instances across hosts are for start.sh"
        )
    if of.table.engine == "sglang" and sglang.normal_across_hosts(of, host_gpus):
        notes.append(
            "prompts are dispatched across hosts of a rack: their kernels (DeepEP's normal ones) reach over "
            "NVLink there in builds with fabric handles alone"
        )
    if of.table.engine == "trtllm" and of.options.revision:
        notes.append("trtllm-serve takes no revision: download it and name the folder with --checkpoint")
    return notes
