"""Finds and loads presets and the user's own files. Nothing is parsed before it is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args

from planner.errors import InputError, listed, printable, unknown
from planner.inputs import naming, own, toml_tables
from planner.inputs.scenario import Scenario
from planner.inputs.toml_tables import ALIASES
from planner.values import dataclass
from planner.words import PresetKind

if TYPE_CHECKING:
    from planner.inputs.engine import EngineProfile
    from planner.inputs.kernels import MeasuredKernels
    from planner.inputs.model import ModelSpec
    from planner.inputs.system import System

KINDS: tuple[PresetKind, ...] = get_args(PresetKind)
FILE_KINDS: tuple[PresetKind, ...] = ("model", "system", "engine")  # that a file of one's own may stand for
# keys of a preset that are for the catalog alone
RELATIVE = "relative"
ACCURACY_FILE = "accuracy.toml"
RECIPES_FILE = "recipes.toml"
CONFIG_VARIABLE = "RATEMATCH_CONFIG"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """Presets by name, the user's own over those that come with ratematch.

    Names are matched as `planner.inputs.naming` reads them: without regard to case, organisation, or an
    end that tells a format; presets may list aliases. A file of one's own may stand in a name's place:
    its path is its name. Every lookup raises InputError for a name that is not known (with the nearest
    that are) and for a file that cannot be used.

    Threads may share a catalog: what a file says is kept with `setdefault`, so that of two threads that
    parse one at the same time both get the result that came first.
    """

    files: Mapping[PresetKind, Mapping[str, Path]]  # kind to name to file
    accuracy_file: Path | None = None  # measured errors, `planner.planning.bands`
    unmeasured: frozenset[str] = frozenset()  # kernels files taken as never measured
    _parsed: dict[Path, dict[str, Any]] = field(default_factory=dict, repr=False, compare=False)
    _built: dict[Path, Any] = field(default_factory=dict, repr=False, compare=False)

    def names(self, kind: PresetKind) -> tuple[str, ...]:
        """Names of a kind (model, system, engine, scenario, kernels), in order."""
        return tuple(sorted(self._of(kind)))

    def canonical(self, kind: PresetKind, name: str) -> str:
        """The catalog's name for what was typed: exact, by alias, or without what names carry besides.

        The path of a file of one's own stays as it is. Raises InputError if unknown.
        """
        if not isinstance(name, str):
            raise InputError(kind, type(name).__name__, "a name, as a text")
        files = self._of(kind)
        typed = _key(name)
        if typed in files:
            return typed
        own_kind = cast("PresetKind", kind.removesuffix("s") if kind != "kernels" else kind)
        if own_kind in FILE_KINDS and naming.is_file(own_kind, name):
            self._path(own_kind, name)
            return name
        known = {**dict(self._aliases(kind)), **{each: each for each in files}}
        found = known.get(typed) or naming.find(own_kind, name, known, self._fits)
        if found is not None:
            return found
        raise self._unknown(own_kind, name, known)

    def model(self, name: str) -> ModelSpec:
        """A model's architecture."""
        from planner.inputs import checks
        from planner.inputs.model import ModelSpec

        return self._build("model", name, ModelSpec, checks.model)

    def system(self, name: str) -> System:
        """A GPU and the fabric around it."""
        from planner.inputs import checks
        from planner.inputs.system import System

        return self._build("system", name, System, checks.system)

    def engine(self, name: str) -> EngineProfile:
        """A serving engine."""
        from planner.inputs import checks
        from planner.inputs.engine import EngineProfile

        return self._build("engine", name, EngineProfile, checks.engine)

    def kernels(self, system: System, engine: str) -> MeasuredKernels:
        """Kernel constants of a system under an engine: its file, then its relatives' in turn."""
        from planner.inputs import checks
        from planner.inputs.kernels import MeasuredKernels

        found: list[tuple[str, Mapping[str, Any]]] = []
        name: str | None = system.kernels
        while name is not None and name not in (seen for seen, _ in found):
            table = dict(self._checked(self._file("kernels", name), checks.kernels))
            relative = table.pop(RELATIVE, None)
            if relative is not None and not isinstance(relative, str):
                raise InputError(f"{name}.toml: {RELATIVE}", relative, "the name of a kernels file")
            found.append((name, table))
            name = relative
        rest = tuple(item for item in found if item[0] not in self.unmeasured)
        measured_on = {name: self._family_of(name) for name, _ in found}
        return MeasuredKernels(
            engine=engine,
            tables=rest or tuple(found),
            family=system.family,
            families={name: family for name, family in measured_on.items() if family},
        )

    def _family_of(self, system: str) -> str:
        """The family of GPUs of a system; "" where no system is called so, or it cannot be read."""
        try:
            return self.system(system).family if system in self._of("system") else ""
        except InputError:  # of a file that nothing was asked about
            return ""

    def without_kernels(self, system: str) -> Catalog:
        """The catalog of someone who never measured a system's kernels: those of a relative stand in.

        A system that has no relative keeps its own.
        """
        return replace(self, unmeasured=self.unmeasured | {self.system(system).kernels})

    def accuracy(self) -> Mapping[str, Any]:
        """How far predictions are off, as `ratematch calibrate --bands` wrote it; {} without a file."""
        from planner.inputs import checks

        return {} if self.accuracy_file is None else self._checked(self.accuracy_file, checks.accuracy)

    def recipes(self) -> Sequence[Mapping[str, Any]]:
        """What public recipes of measured runs set, as presets/recipes.toml has them."""
        found: Sequence[Mapping[str, Any]] = self._read(preset_folder() / RECIPES_FILE)["recipe"]
        return found

    def scenario(self, name: str | Path) -> Scenario:
        """A scenario by preset name, or from a TOML file."""
        from planner.inputs import scenario_file

        return scenario_file.read(self.scenario_path(name), self)

    def scenario_path(self, name: str | Path) -> Path:
        """The file of a scenario: a preset's name first, then a path."""
        if not isinstance(name, (str, Path)):
            raise InputError("scenario", type(name).__name__, "a preset's name or a TOML file")
        path = Path(name)
        if isinstance(name, str) and not name.endswith(".toml") and os.sep not in name:
            try:
                return self._of("scenario")[self.canonical("scenario", name)]
            except InputError:
                if not os.path.isfile(name):  # noqa: PTH113 (never raises, whatever the name)
                    raise
        if not os.path.isfile(path):  # noqa: PTH113
            there = os.path.exists(path)  # noqa: PTH110 (a folder, a device, a pipe)
            why = "it is no file" if there else "no such file"
            raise InputError("scenario", str(name), f"{why}; a preset's name or a TOML file")
        return path

    def note(self, kind: PresetKind, name: str) -> str:
        """One line on a preset: a scenario's note, the label of anything else."""
        exact = self.canonical(kind, name)
        if exact not in self._of(kind):
            return str(getattr(getattr(self, kind)(exact), "label", ""))
        table = self._table(kind, exact)
        return str(table.get("note", table.get("label", "")))

    def called(self, kind: PresetKind, name: str) -> tuple[str, ...]:
        """A preset's name and its aliases."""
        return (name, *(alias for alias, preset in self._aliases(kind) if preset == name))

    def is_own(self, kind: PresetKind, name: str) -> bool:
        """Whether a preset is the user's own."""
        return not self._of(kind)[name].is_relative_to(preset_folder())

    def shadowed(self, kind: PresetKind, name: str) -> bool:
        """Whether a preset of the user's own has the name of one that comes with ratematch."""
        return self.is_own(kind, name) and (preset_folder() / _folder_name(kind) / f"{name}.toml").is_file()

    def _unknown(self, kind: PresetKind, name: str, known: Mapping[str, str]) -> InputError:
        """A name that leads nowhere: the nearest that do, and files of the user's that cannot be read."""
        near = list(dict.fromkeys(known[other] for other in naming.near(name, known)))
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {listed(sorted(self._of(kind)))}"
        if kind == "model":
            hint += " Else give its config.json" if near else "; or give its config.json"
        for other in self._of(kind):
            if self.is_own(kind, other):
                try:
                    self._table(kind, other)
                except InputError as broken:
                    hint = f"{hint}; {broken}"
        return InputError(kind, name, hint)

    def _path(self, kind: PresetKind, name: str) -> Path:
        """The file of a preset that is named by its path."""
        path = Path(os.path.expanduser(name))  # noqa: PTH111 (never raises, whatever the name)
        if kind == "model" and os.path.isdir(path):  # noqa: PTH112
            path = naming.config_in(name)
        if not os.path.exists(path):  # noqa: PTH110 (never raises, whatever the name)
            raise InputError(kind, name, "no such file; a preset's name or a file of your own")
        return path

    def _fits(self, system: str, memory_bytes: float) -> bool:
        """Whether a system's GPU has about so much memory."""
        try:
            found = self.system(system).gpu.memory_bytes
        except InputError:
            return False
        return abs(found / memory_bytes - 1.0) <= naming.MEMORY_SLACK

    def _of(self, kind: PresetKind) -> Mapping[str, Path]:
        known: dict[str, PresetKind] = {name: k for k in KINDS for name in (k, f"{k}s")}  # or in the plural
        if not isinstance(kind, str):
            raise InputError("kind", type(kind).__name__, f"one of {', '.join(KINDS)}")
        if kind not in known:
            raise unknown("kind", kind, KINDS)
        return self.files.get(known[kind], {})

    def _table(self, kind: PresetKind, name: str) -> dict[str, Any]:
        return self._read(self._file(kind, name))

    def _file(self, kind: PresetKind, name: str) -> Path:
        files = self._of(kind)
        if name not in files:
            raise unknown(kind, name, files)
        return files[name]

    def _checked(self, path: Path, check: Callable[[Mapping[str, Any], str], None]) -> dict[str, Any]:
        """A table that no dataclass describes, its shape checked once."""
        made: dict[str, Any] | None = self._built.get(path)
        if made is None:
            check(self._read(path), path.name)
            made = self._built.setdefault(path, self._read(path))
        return made

    def _read(self, path: Path) -> dict[str, Any]:
        found = self._parsed.get(path)
        return self._parsed.setdefault(path, toml_tables.read_toml(path)) if found is None else found

    def _build(self, kind: PresetKind, name: str, into: type[T], check: Callable[[T, str], T]) -> T:
        exact = self.canonical(kind, name)
        path = self._of(kind).get(exact) or self._path(kind, exact)
        made: T | None = self._built.get(path)
        if made is None:
            made = self._built.setdefault(path, check(self._decoded(kind, exact, path, into), path.name))
        return made

    def _decoded(self, kind: PresetKind, name: str, path: Path, into: type[T]) -> T:
        """What a file says, with what it takes from its base; a model's may be a config.json."""
        if path.suffix == ".json":
            from planner.inputs.huggingface.config import from_hf_config
            from planner.inputs.huggingface.import_model import read_config

            return cast("T", from_hf_config(read_config(path), name)[0])
        toml_tables.check_words(self._read(path), ALIASES, path.name)
        whole = own.whole(path, self._read, lambda base: self._base(kind, base, path), kind)
        table = {key: value for key, value in whole.items() if key != ALIASES}
        return toml_tables.decode(into, {**table, "name": name}, path.name)

    def _base(self, kind: PresetKind, name: str, path: Path) -> Path:
        """The file of a preset that another builds on; of the same name, the one that is shipped."""
        shipped = preset_folder() / _folder_name(kind) / f"{_key(name)}.toml"
        if _key(name) == _key(path.stem) and shipped != path and os.path.isfile(shipped):  # noqa: PTH113
            return shipped
        exact = self.canonical(kind, name)
        return self._of(kind).get(exact) or self._path(kind, exact)

    def _aliases(self, kind: PresetKind) -> Iterator[tuple[str, str]]:
        """Aliases of every readable preset of a kind; one broken file does not hide the others'."""
        for name in self._of(kind):
            try:
                listed = self._table(kind, name).get(ALIASES, ())
            except InputError:
                continue
            if isinstance(listed, list):
                yield from ((_key(alias), name) for alias in listed if isinstance(alias, str))


def load(user_dir: Path | str | None = None) -> Catalog:
    """The presets that come with ratematch, under those in the user's folder.

    Parameters
    ----------
    user_dir
        Folder with models/, systems/, engines/, scenarios/, kernels/ and accuracy.toml;
        `user_folder()` by default. It need not exist.
    """
    folders = _folders(user_dir)
    files: dict[PresetKind, dict[str, Path]] = {}
    for kind in KINDS:
        found = files.setdefault(kind, {})
        for folder in folders:
            found.update(_toml_files(folder / _folder_name(kind)))
    measured = (folder / ACCURACY_FILE for folder in reversed(folders))
    return Catalog(files=files, accuracy_file=next((path for path in measured if os.path.isfile(path)), None))  # noqa: PTH113


def stamp() -> tuple[tuple[str, int], ...]:
    """The files of `load()` and when each was changed, ns: what is the same has not changed meanwhile.

    A quarter of the time that `load` takes with a look at each of its files.
    """
    folders = (folder / _folder_name(kind) for folder in _folders(None) for kind in KINDS)
    return tuple((entry.path, _changed_ns(entry)) for folder in folders for entry in _entries(folder))


def _changed_ns(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_mtime_ns
    except OSError:  # reading it will say why
        return -1


def _folders(user_dir: Path | str | None) -> tuple[Path, Path]:
    try:
        return preset_folder(), user_folder() if user_dir is None else Path(user_dir)
    except TypeError:
        raise InputError("user_dir", type(user_dir).__name__, "a folder, as a Path or a text") from None


def user_folder() -> Path:
    """Where the user's own presets live: RATEMATCH_CONFIG, or the platform's folder for settings."""
    chosen = os.environ.get(CONFIG_VARIABLE)
    if chosen:
        try:
            return Path(chosen).expanduser()
        except RuntimeError:  # no such user
            raise InputError(CONFIG_VARIABLE, chosen, "a folder, such as ~/presets") from None
    import platformdirs

    return platformdirs.user_config_path("ratematch", appauthor=False)


@cache
def preset_folder() -> Path:
    """Inside the package where it was installed from a wheel, beside it in a checkout; looked for once."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "presets"
    return inside if inside.is_dir() else package.parent / "presets"


def _folder_name(kind: PresetKind) -> str:
    return kind if kind.endswith("s") else f"{kind}s"


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """The TOML files of a folder; none where there is no folder."""
    try:
        return [entry for entry in os.scandir(folder) if entry.name.endswith(".toml")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError("folder", str(folder), f"cannot be read: {reason}") from None


def _toml_files(folder: Path) -> dict[str, Path]:
    paths = (Path(entry.path) for entry in _entries(folder))
    # a name is shown wherever presets are: what a terminal would obey in it is spelled out
    return {_key(printable(path.stem)): path for path in paths if not path.name.startswith(".")}


_key = naming.key
