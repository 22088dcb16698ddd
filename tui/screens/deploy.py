"""What launches the plan: a target, its files, copied or saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, get_args

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from planner.errors import InputError, printable_lines
from planner.output.spelling import count
from planner.values import dataclass
from planner.words import Target
from tui.glyphs import UNICODE, Glyphs
from tui.help_texts import in_rows

if TYPE_CHECKING:
    from planner.output.running import Pool
    from planner.planning.result import Plan

TARGETS: tuple[Target, ...] = get_args(Target)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """What a target makes of a plan."""

    files: Mapping[str, str]  # none where it is refused
    text: str  # of all files, or why there are none


def deployed(plan: Plan, target: Target) -> Deployed:
    """The files of a target as one text, or the reason why it has none."""
    from planner import load
    from planner.output.deploy import write
    from planner.output.deploy.parts import Options, Refused

    try:
        catalog = load()
        found = write.export(plan, target, catalog=catalog)
        if isinstance(found, Refused):
            near = write.nearest(plan, target, Options(), catalog)
            return Deployed(files={}, text=f"{found.reason}.{f' But {near}.' if near else ''}")
    except InputError as error:
        return Deployed(files={}, text=str(error))
    notes = f"# {listing(list(found.files))}\n" + "".join(f"# {in_rows(note)}\n" for note in found.notes)
    parts = (f"# ---- {name}\n{text}" for name, text in found.files.items() if name != "router.py")
    return Deployed(files=found.files, text=notes + "\n".join(parts))


def listing(names: Sequence[str]) -> str:
    """What files there are, and which of them starts the rest.

    >>> listing(["serve.yaml", "host-0.sh", "host-1.sh", "host-2.sh", "start.sh"])
    '5 files: serve.yaml, host-0.sh to host-2.sh, start.sh; start.sh launches all'
    """
    hosts = [name for name in names if name.startswith("host-")]
    told = [name for name in names if name not in hosts[1:]]
    if len(hosts) > 1:
        told[told.index(hosts[0])] = f"{hosts[0]} to {hosts[-1]}"
    starts = "; start.sh launches all" if "start.sh" in names else ""
    return f"{count(len(names), 'file')}: {', '.join(told)}{starts}"


class DeployScreen(ModalScreen[tuple[Target, Mapping[str, str]] | None]):
    """Left and right choose the target, y copies its files, enter saves them; escape leaves.

    r marks the plan as what runs: from then on the page says what a plan changes against it.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,d", "leave", "leave", id="deploy-leave"),
        Binding("right,tab,l", "target(1)", "target", show=False, priority=True, id="deploy-next"),
        Binding("left,shift+tab,h", "target(-1)", "target", show=False, priority=True, id="deploy-previous"),
        Binding("down,j", "scroll(1)", "down", show=False, priority=True, id="deploy-down"),
        Binding("up,k", "scroll(-1)", "up", show=False, priority=True, id="deploy-up"),
        Binding("pagedown,space", "scroll(16)", "page", show=False, priority=True, id="deploy-page-down"),
        Binding("pageup", "scroll(-16)", "page", show=False, priority=True, id="deploy-page-up"),
        Binding("y", "copy", "copy", priority=True, id="deploy-copy"),
        Binding("enter,w", "save", "save", priority=True, id="deploy-save"),
        Binding("r", "mark", "mark as running", priority=True, id="deploy-mark"),
    ]

    def __init__(
        self,
        plan: Plan,
        target: Target,
        copy: Callable[[str, str], None],
        *,
        running: tuple[Pool, ...] | None = None,
        mark: Callable[[tuple[Pool, ...]], bool] = lambda pools: False,
        glyphs: Glyphs = UNICODE,
    ) -> None:
        super().__init__()
        self.glyphs = glyphs
        self._runs, self._mark = running, mark
        self.target = target
        self._plan, self._copy = plan, copy
        self._made: dict[Target, Deployed] = {}

    def compose(self) -> ComposeResult:
        """The targets, and the files of one."""
        with Vertical(id="deploy") as box:
            box.border_title = "Deployment"
            yield Static(id="deploy-targets")
            yield Static(id="deploy-running")
            with VerticalScroll(id="deploy-body"):
                yield Static(id="deploy-text")

    def on_mount(self) -> None:
        """The first target."""
        self.set_class(self.glyphs.ascii, "-ascii")
        self.query_one("#deploy-body").can_focus = False
        self._show()
        self._compare()

    def _show(self) -> None:
        names = [
            (f" {name} ", "bold $hue-split reverse" if name == self.target else "$hue-muted")
            for name in TARGETS
        ]
        self.query_one("#deploy-targets", Static).update(Content.assemble(*names))
        self._tell_keys()
        made = self._made.get(self.target)
        if made is None:
            self._say("...")
            target = self.target
            self.run_worker(lambda: self._work(target), thread=True, exit_on_error=False)
        else:
            self._say(made.text)

    def on_resize(self) -> None:
        """The keys that have room now."""
        self.call_after_refresh(self._tell_keys)

    def _work(self, target: Target) -> None:
        """Off the screen's thread: files are read, layouts checked."""
        made = deployed(self._plan, target)
        self.app.call_from_thread(self._done, target, made)

    def _done(self, target: Target, made: Deployed) -> None:
        self._made[target] = made
        if self.is_attached and target == self.target:
            self._say(made.text)
            self._tell_keys()

    def _tell_keys(self) -> None:
        """Those that do something, as many as fit: a refused target has nothing to copy or to save."""
        g, made, box = self.glyphs, self._made.get(self.target), self.query_one("#deploy")
        files = ("y copy", f"{g.enter} save") if made is None or made.files else ()
        least = (f"{g.left_right} target", *files, "esc leave")
        more = (f"{g.up_down} scroll", *files, "r mark as running", "esc leave")
        whole = (*least[:1], *more)
        for keys in (whole, (*least[:-1], *more[-2:]), least):
            box.border_subtitle = f" {g.dot} ".join(keys)
            if cell_len(box.border_subtitle) + 2 <= box.size.width:
                break

    def _say(self, text: str) -> None:
        self.query_one("#deploy-text", Static).update(Content(self.glyphs.plain(printable_lines(text))))
        self.query_one("#deploy-body", VerticalScroll).scroll_home(animate=False)

    def _compare(self) -> None:
        """What the plan changes against what runs; nothing where nothing was marked."""
        from planner.output import running

        serving = self._plan.deployed
        line = self.query_one("#deploy-running", Static)
        line.display = self._runs is not None and serving is not None
        if self._runs is not None and serving is not None:
            found = running.changes(self._runs, running.of_serving(serving, self._plan.scenario))
            line.update(Content(self.glyphs.plain(running.sentence(found))))

    def action_mark(self) -> None:
        """This plan runs from now on."""
        from planner.output import running

        serving = self._plan.deployed
        if serving is not None and self._mark(pools := running.of_serving(serving, self._plan.scenario)):
            self._runs = pools
            self._compare()

    def action_target(self, by: int) -> None:
        """Another target."""
        self.target = TARGETS[(TARGETS.index(self.target) + by) % len(TARGETS)]
        self._show()

    def action_scroll(self, by: int) -> None:
        """Through the files."""
        self.query_one("#deploy-body", VerticalScroll).scroll_relative(y=by, animate=False)

    def action_copy(self) -> None:
        """All files of the target as one text."""
        made = self._made.get(self.target)
        if made is not None and made.files:
            self._copy(made.text, self.target)

    def action_save(self) -> None:
        """Leave with the files of the target."""
        made = self._made.get(self.target)
        if made is not None and made.files:
            self.dismiss((self.target, made.files))

    def action_leave(self) -> None:
        """Save nothing."""
        self.dismiss(None)
