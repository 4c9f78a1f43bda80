"""One JupyterLab in one browser tab, as the browser's tests drive it.

Starting JupyterLab takes longer than running a lesson, so a session of tests has one tab:
lessons are opened, run and closed in it by JupyterLab's own commands. What a learner does by
hand is done by mouse and keyboard. Nothing here waits for ever: a script that hangs fails.
"""

from dataclasses import dataclass
from typing import Any

RUN_MS = 120_000
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}

_SCRIPT = """async given => {
    const app = window.jupyterapp, lesson = app.shell.currentWidget;
    const cells = [...(lesson?.content?.model?.sharedModel?.cells ?? [])];
    const work = async () => { SCRIPT };
    const late = new Promise((_, fail) => setTimeout(() => fail(new Error('too late')), LIMIT));
    return await Promise.race([work(), late]);
}"""


@dataclass(frozen=True, slots=True)
class Lab:
    """The tab, and the lesson that is open in it."""

    page: Any

    def enter(self, base: str, token: str) -> None:
        """Loads JupyterLab, without what an earlier visit left open."""
        self.page.goto(f"{base}/lab?token={token}&reset")
        self.page.wait_for_function("() => window.jupyterapp?.shell")
        self.js("await app.restored;")

    def open(self, name: str) -> None:
        """Opens a lesson, and waits for its kernel."""
        self.js(
            """const opened = await app.commands.execute('docmanager:open', {path: given});
            await opened.context.ready;
            await opened.sessionContext.ready;
            await opened.sessionContext.session.kernel.info;
            await opened.revealed;
            app.shell.activateById(opened.id);""",
            name,
        )

    def close(self) -> None:
        """Ends the open lesson's kernel, if one is open; nothing is saved."""
        self.js(
            "if (lesson?.sessionContext) {await lesson.sessionContext.shutdown();lesson.dispose();}"
        )

    def run_all(self) -> None:
        """Runs every cell: to the end, or to the first error."""
        self.js("await app.commands.execute('notebook:run-all-cells');")

    def run_again(self, begins: str) -> None:
        """Runs the cell that begins so, as a learner who goes back to it."""
        self.js(
            """const at = cells.findIndex(cell => cell.source.startsWith(given));
            lesson.content.deselectAll();
            lesson.content.activeCellIndex = at;
            await app.commands.execute('notebook:run-cell');""",
            begins,
        )

    def start(self, code: str) -> None:
        """Puts a cell at the end of the lesson and starts it."""
        self.js(
            """const model = lesson.content.model.sharedModel;
            model.insertCell(cells.length, {cell_type: 'code', source: given});
            lesson.content.deselectAll();
            lesson.content.activeCellIndex = cells.length;
            window.lastRun = app.commands.execute('notebook:run-cell');""",
            code,
        )

    def finish(self) -> str:
        """Waits for the cell that was started: what it printed."""
        return self.js(
            """await window.lastRun;
            return cells.at(-1).outputs.map(o => [o.text || ''].flat().join('')).join('');"""
        )

    def run(self, code: str) -> str:
        """What a cell prints."""
        self.start(code)
        return self.finish()

    def wait_until_busy(self) -> None:
        """Until the kernel says that it runs a cell."""
        self.page.wait_for_function(
            """() => window.jupyterapp.shell.currentWidget
                .sessionContext.session.kernel.status === 'busy'"""
        )

    def errors(self) -> list[str]:
        """The error outputs of all cells."""
        return self.js(
            """return cells.flatMap(cell => cell.cell_type === 'code' ? cell.outputs : [])
                .filter(o => o.output_type === 'error').map(o => o.ename + ': ' + o.evalue);"""
        )

    def text(self) -> str:
        """All that stands in the lesson, closed tables included."""
        return self.js("return lesson.content.node.textContent;")

    def widgets(self) -> list[Any]:
        """The places of all widgets, from the top."""
        count = self.js(
            """const kind = 'application/vnd.jupyter.widget-view+json';
            let count = 0;
            for (const cell of lesson.content.widgets.filter(each => each.outputArea)) {
                cell.model.sharedModel.outputs.forEach((output, at) => {
                    if (!output.data?.[kind]) return;
                    cell.outputArea.node.children[at].dataset.widgetNumber = String(count++);
                });
            }
            return count;"""
        )
        return [self.page.locator(f"[data-widget-number='{number}']") for number in range(count)]

    def theme(self, name: str) -> None:
        """`light` or `dark`."""
        self.js(
            "await app.commands.execute('apputils:change-theme', {theme: given});", THEMES[name]
        )
        self.page.wait_for_function(f"() => document.body.dataset.jpThemeName === '{THEMES[name]}'")

    def js(self, script: str, given: str = "") -> Any:
        """What a script returns, which is given JupyterLab, the open lesson and its cells."""
        whole = _SCRIPT.replace("SCRIPT", script).replace("LIMIT", str(RUN_MS))
        return self.page.evaluate(whole, given)
