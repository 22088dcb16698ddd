"""Finds and loads presets and the user's own files. Nothing is parsed before it is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, get_args

from planner.errors import InputError, printable, unknown
from planner.inputs import checks, toml_tables
from planner.inputs.engine import EngineProfile
from planner.inputs.kernels import MeasuredKernels
from planner.inputs.model import ModelSpec
from planner.inputs.scenario import Scenario
from planner.inputs.system import System
from planner.inputs.toml_tables import ALIASES
from planner.words import PresetKind

KINDS: tuple[PresetKind, ...] = get_args(PresetKind)
# keys of a preset that are for the catalog alone
RELATIVE = "relative"
ACCURACY_FILE = "accuracy.toml"
RECIPES_FILE = "recipes.toml"
CONFIG_VARIABLE = "RATEMATCH_CONFIG"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """Presets by name, the user's own over those that come with ratematch.

    Names are matched without regard to case, of ``_`` as of ``-``, and without the organisation
    of a Hugging Face id; presets may list aliases. Every lookup raises InputError for a name that
    is not known (with the nearest that are) and for a file that cannot be used.

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
        """The catalog's name for what was typed: exact, then by alias. Raises InputError if unknown."""
        if not isinstance(name, str):
            raise InputError(kind, type(name).__name__, "a name, as a text")
        files = self._of(kind)
        typed = _key(name)
        if typed in files:
            return typed
        by_alias = dict(self._aliases(kind))
        if typed in by_alias:
            return by_alias[typed]
        raise unknown(kind.removesuffix("s"), name, files)

    def model(self, name: str) -> ModelSpec:
        """A model's architecture."""
        return self._build("model", name, ModelSpec, checks.model)

    def system(self, name: str) -> System:
        """A GPU and the fabric around it."""
        return self._build("system", name, System, checks.system)

    def engine(self, name: str) -> EngineProfile:
        """A serving engine."""
        return self._build("engine", name, EngineProfile, checks.engine)

    def kernels(self, system: System, engine: str) -> MeasuredKernels:
        """Kernel constants of a system under an engine: its file, then its relatives' in turn."""
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
        return MeasuredKernels(engine=engine, tables=rest or tuple(found), family=system.family)

    def without_kernels(self, system: str) -> Catalog:
        """The catalog of someone who never measured a system's kernels: those of a relative stand in.

        A system that has no relative keeps its own.
        """
        return replace(self, unmeasured=self.unmeasured | {self.system(system).kernels})

    def accuracy(self) -> Mapping[str, Any]:
        """How far predictions are off, as `ratematch calibrate --bands` wrote it; {} without a file."""
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
            raise InputError("scenario", str(name), "no such file; a preset's name or a TOML file")
        return path

    def note(self, kind: PresetKind, name: str) -> str:
        """One line on a preset: a scenario's note, the label of anything else."""
        table = self._table(kind, self.canonical(kind, name))
        return str(table.get("note", table.get("label", "")))

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
        path = self._of(kind)[exact]
        made: T | None = self._built.get(path)
        if made is None:
            toml_tables.check_words(self._table(kind, exact), ALIASES, path.name)
            table = {key: value for key, value in self._table(kind, exact).items() if key != ALIASES}
            decoded = toml_tables.decode(into, {**table, "name": exact}, path.name)
            made = self._built.setdefault(path, check(decoded, path.name))
        return made

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
    try:
        folders = (preset_folder(), user_folder() if user_dir is None else Path(user_dir))
    except TypeError:
        raise InputError("user_dir", type(user_dir).__name__, "a folder, as a Path or a text") from None
    files: dict[PresetKind, dict[str, Path]] = {}
    for kind in KINDS:
        found = files.setdefault(kind, {})
        for folder in folders:
            found.update(_toml_files(folder / _folder_name(kind)))
    measured = (folder / ACCURACY_FILE for folder in reversed(folders))
    return Catalog(files=files, accuracy_file=next((path for path in measured if os.path.isfile(path)), None))  # noqa: PTH113


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


def preset_folder() -> Path:
    """Inside the package where it was installed from a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "presets"
    return inside if inside.is_dir() else package.parent / "presets"


def _folder_name(kind: PresetKind) -> str:
    return kind if kind.endswith("s") else f"{kind}s"


def _toml_files(folder: Path) -> dict[str, Path]:
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError("folder", str(folder), f"cannot be read: {reason}") from None
    paths = (Path(entry.path) for entry in entries if entry.name.endswith(".toml"))
    # a name is shown wherever presets are: what a terminal would obey in it is spelled out
    return {_key(printable(path.stem)): path for path in paths if not path.name.startswith(".")}


def _key(name: str) -> str:
    return name.strip().rsplit("/", 1)[-1].lower().replace("_", "-").replace(" ", "-")
