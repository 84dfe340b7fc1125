"""Measure the time from a slider to its picture in a real browser.

python benchmarks/explore.py            median, 90th percentile and worst of 40 movements each
python benchmarks/explore.py --quick    only to see that it runs

JupyterLab runs on the loopback, headless chromium shows `lbsim.explore()` with 100,000 requests.
The time is the browser's own: from the slider's event until after the frame in which the changed
curve was painted. Needs the extras `notebook` and `test`, and chromium.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for the tests' own JupyterLab

# Moves one slider, and waits for the picture: the curve has changed and a frame has passed.
MOVE = """([name, value]) => new Promise(done => {
  const root = document.querySelector(".lbsim-explore");
  const slider = root.querySelector(`[data-name=${name}]`);
  const begin = performance.now();
  const watch = new MutationObserver(() => {
    watch.disconnect();
    requestAnimationFrame(() => setTimeout(() => done(performance.now() - begin)));
  });
  watch.observe(root.querySelector(".curve-0"), { attributes: true });
  slider.value = String(value);
  slider.dispatchEvent(new Event("input", { bubbles: true }));
})"""

# Drags a slider to and fro for three seconds: how many pictures, and how old each is.
DRAG = """seconds => new Promise(done => {
  const root = document.querySelector(".lbsim-explore");
  const slider = root.querySelector("[data-name=load]");
  const ages = [];
  const watch = new MutationObserver(() => ages.push(Number(root.dataset.ms)));
  watch.observe(root, { attributes: true, attributeFilter: ["data-ms"] });
  const begin = performance.now();
  const timer = setInterval(() => {
    const t = (performance.now() - begin) / 1e3;
    slider.value = String(0.6 + 0.3 * Math.sin(2 * t));
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    if (t < seconds) return;
    clearInterval(timer);
    setTimeout(() => { watch.disconnect(); done(ages); }, 500);
  }, 16);
})"""

MOVES = {
    "load": [round(0.50 + 0.01 * i, 2) for i in range(40)],
    "workers": [2 + i % 30 for i in range(40)],
    "alpha": [round(1.2 + 0.05 * (i % 32), 2) for i in range(40)],
    "sticky": [round(0.05 + 0.05 * (i % 19), 2) for i in range(40)],
}
POLICIES = (("LeastConnections", "(none)"), ("RoundRobin", "PowerOfD:d=2"))


def main() -> int:
    """Run JupyterLab and the browser, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few movements")
    arguments = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("no chromium on this machine (Debian: apt-get install chromium)", file=sys.stderr)
        return 2
    import nbformat
    from playwright.sync_api import sync_playwright

    from tests.browser.conftest import ARGUMENTS
    from tests.browser.lab import Lab, open_and_run

    with tempfile.TemporaryDirectory() as name:
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell("import lbsim\nexplorer = lbsim.explore()\nexplorer")],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        )
        nbformat.write(notebook, Path(name) / "explore.ipynb")
        with Lab(Path(name)) as lab, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
            page = browser.new_page(viewport={"width": 1400, "height": 1000})
            open_and_run(page, lab, "explore.ipynb")
            page.wait_for_selector(".lbsim-explore .curve-0", state="attached")
            measure(page, 4 if arguments.quick else 40)
            browser.close()
    return 0


def measure(page: Any, rounds: int) -> None:
    """Move every slider under one policy and under two; print milliseconds."""
    print(f"{'slider':10} {'policies':32} {'median':>8} {'p90':>8} {'worst':>8}  [ms]")
    for first, second in POLICIES:
        for name, value in (("policy", first), ("other", second)):
            page.locator(f".lbsim-explore [data-name={name}]").select_option(value)
        names = first if second == "(none)" else f"{first} and {second}"
        for slider, values in MOVES.items():
            settle(page)
            page.evaluate(MOVE, [slider, values[-1]])  # compiles what is not yet compiled
            settle(page)
            took = [page.evaluate(MOVE, [slider, value]) for value in values[:rounds]]
            report(slider, names, took)
            settle(page)
        # Back to what the sliders were.
        page.evaluate(MOVE, ["sticky", 0.0])
        settle(page)
        report("load, drag", names, page.evaluate(DRAG, 0.5 if rounds < 40 else 3.0))


def settle(page: Any) -> None:
    """Wait until the last answer has been shown."""
    page.wait_for_function(
        "document.querySelector('.lbsim-explore .note').textContent.includes('simulated')",
        timeout=120_000,
    )
    page.wait_for_timeout(100)


def report(slider: str, names: str, took: list[float]) -> None:
    """Print one line."""
    p90 = sorted(took)[int(0.9 * (len(took) - 1))]
    print(
        f"{slider:10} {names:32} {statistics.median(took):8.0f} {p90:8.0f} {max(took):8.0f}"
        f"  {len(took)} pictures"
    )


if __name__ == "__main__":
    sys.exit(main())
