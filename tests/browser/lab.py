"""JupyterLab on this machine's loopback, for the browser to open notebooks in."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Self

TOKEN = "for-this-test-alone"
# What asks the network for news, and looks for language servers that are not there.
UNWANTED = (
    "@jupyterlab/apputils-extension:announcements",
    "@jupyterlab/lsp-extension",
    "@jupyterlab/fileeditor-extension:language-server",
    "@jupyterlab/notebook-extension:language-server",
)
PATIENCE_S = 120.0


class Lab:
    """A running JupyterLab; a context manager. `directory` is what it shows."""

    def __init__(self, directory: Path) -> None:
        import jupyterlab

        self.directory = directory
        self.log = directory / "lab.log"
        # Where pip put the application itself, whichever environment this is.
        share = Path(jupyterlab.__file__).parents[4] / "share" / "jupyter"
        home = directory / "home"
        settings = home / "config" / "labconfig" / "page_config.json"
        settings.parent.mkdir(parents=True)
        settings.write_text(json.dumps({"disabledExtensions": dict.fromkeys(UNWANTED, True)}))
        self.environment = {
            **os.environ,
            "HOME": str(home),
            "JUPYTER_CONFIG_DIR": str(home / "config"),
            "JUPYTER_DATA_DIR": str(home / "data"),
            "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
            "JUPYTER_PATH": str(share),
            "IPYTHONDIR": str(home / "ipython"),
        }
        self.command = [
            sys.executable,
            "-m",
            "jupyterlab",
            "--no-browser",
            "--allow-root",
            "--ip=127.0.0.1",
            "--port=0",
            f"--app-dir={share / 'lab'}",
            f"--IdentityProvider.token={TOKEN}",
            f"--ServerApp.root_dir={directory}",
            "--LabApp.expose_app_in_browser=True",
            "--LabApp.extension_manager=readonly",
        ]

    def __enter__(self) -> Self:
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                self.command, env=self.environment, cwd=self.directory, stdout=log, stderr=log
            )
        try:
            self.root = self._wait_for_url()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # The server ends its kernels when it is told to end.
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _wait_for_url(self) -> str:
        until = time.monotonic() + PATIENCE_S
        runtime = Path(self.environment["JUPYTER_RUNTIME_DIR"])
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise RuntimeError(f"JupyterLab did not start:\n{self.log.read_text()}")
            for path in runtime.glob("jpserver-*.json"):
                try:
                    root = json.loads(path.read_text())["url"]
                    urllib.request.urlopen(f"{root}api?token={TOKEN}", timeout=5).close()
                except (ValueError, urllib.error.URLError):
                    continue  # half written, or not listening yet
                return str(root)
            time.sleep(0.1)
        raise RuntimeError(f"JupyterLab did not answer:\n{self.log.read_text()}")

    def url(self, notebook: str) -> str:
        """Return the address of a notebook in a fresh workspace."""
        return f"{self.root}lab/tree/{notebook}?token={TOKEN}&reset"


def open_and_run(page, lab: Lab, notebook: str) -> None:
    """Open a notebook, run all cells, and wait until every one has run without an error."""
    page.goto(lab.url(notebook), timeout=PATIENCE_S * 1e3)
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=PATIENCE_S * 1e3)
    page.wait_for_function(
        "window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'",
        timeout=PATIENCE_S * 1e3,
    )
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_function(
        """() => {
          const cells = [...window.jupyterapp.shell.currentWidget.content.model.cells];
          const code = cells.filter(cell => cell.type === "code");
          return code.some(cell => cell.outputs.toJSON().some(out => out.output_type === "error"))
            || code.every(cell => cell.executionCount && cell.executionState !== "running");
        }""",
        timeout=2 * PATIENCE_S * 1e3,
    )
    errors = page.evaluate(
        """[...window.jupyterapp.shell.currentWidget.content.model.cells]
           .filter(cell => cell.type === "code").flatMap(cell => cell.outputs.toJSON())
           .filter(out => out.output_type === "error").map(out => out.evalue)"""
    )
    assert errors == []
