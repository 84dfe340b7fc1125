"""JupyterLab with a lesson, the sliders and the moving picture, in a real browser."""

from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
LESSON = "03_round_robin"

MORE = (
    "import lbsim\nexplorer = lbsim.explore(requests=20_000)\nexplorer",
    "cluster = lbsim.Cluster(3, faults=[lbsim.Crash(1, 1.0)])\n"
    "workload = lbsim.data.heavy_tailed(cluster, n=400)\n"
    "runs = [lbsim.simulate(workload, p, cluster)\n"
    "        for p in (lbsim.policies.RoundRobin(), lbsim.policies.CentralQueue())]\n"
    "lbsim.plot.animate(*runs)",
    "guess = lbsim.teach.predict('Which is faster?', choices=['a', 'b'])\nguess",
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab that shows the lesson, with three more cells, as lesson.ipynb."""
    pytest.importorskip("jupyterlab", reason="the extra 'notebook' is not installed")
    pytest.importorskip("anywidget", reason="the extra 'notebook' is not installed")
    jupytext = pytest.importorskip("jupytext", reason="the extra 'test' is not installed")
    import nbformat
    from lab import Lab

    directory = tmp_path_factory.mktemp("lab")
    notebook = jupytext.read(ROOT / "notebooks" / f"{LESSON}.py")
    notebook.cells += [nbformat.v4.new_code_cell(source) for source in MORE]
    nbformat.write(notebook, directory / "lesson.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LBSIM_QUICK", "1")
        with Lab(directory) as running:
            yield running


def test_a_lesson_runs_and_its_pictures_move(page, lab):
    from lab import open_and_run

    page.set_viewport_size({"width": 1400, "height": 1000})
    open_and_run(page, lab, "lesson.ipynb")

    # A slider is moved with the mouse's effect, then with the keyboard: the picture changes.
    load = page.locator(".lbsim-explore [data-name=load]")
    load.scroll_into_view_if_needed()
    curve = page.locator(".lbsim-explore path.curve-0")
    for move in (lambda: load.fill("0.95"), lambda: (load.focus(), page.keyboard.press("Home"))):
        before = curve.get_attribute("d")
        move()
        page.wait_for_function(
            "before => document.querySelector('.curve-0').getAttribute('d') !== before", arg=before
        )
    assert load.input_value() == "0.05"
    assert (
        "from slider to picture"
        in page.wait_for_selector(".lbsim-explore .note:has-text('from slider')").inner_text()
    )

    # The animation, in its frame, plays once it is on the screen.
    element = page.locator("iframe[srcdoc]").element_handle()
    element.evaluate("frame => frame.scrollIntoView({ block: 'center' })")
    frame = element.content_frame()
    frame.wait_for_function("window.player && player.t > 0")
    first = frame.evaluate("player.t")
    frame.wait_for_function("first => player.t > first", arg=first)
    frame.locator("[data-part=play]").click()
    assert "play" in frame.locator("[data-part=play]").inner_text()

    # A guess is taken.
    choice = page.locator(".widget-radio-box input").nth(1)
    choice.scroll_into_view_if_needed()
    choice.check()
    page.wait_for_selector("text=your guess: b")


def test_what_a_slider_passes_through_is_not_run(page, lab):
    from lab import open_and_run

    open_and_run(page, lab, "lesson.ipynb")
    page.wait_for_selector(".lbsim-explore path.curve-0", state="attached")
    # A hundred movements within one task: the first is asked, then the last, nothing between.
    page.evaluate(
        """() => {
          const slider = document.querySelector(".lbsim-explore [data-name=load]");
          for (let i = 1; i <= 100; i++) {
            slider.value = String(0.3 + i * 0.006);
            slider.dispatchEvent(new Event("input", { bubbles: true }));
          }
        }"""
    )
    page.wait_for_function(
        """async () => {
          const widget = window.jupyterapp.shell.currentWidget;
          const kernel = widget.sessionContext.session.kernel;
          let said = "";
          const future = kernel.requestExecute({ code: "print(explorer.asked, explorer.load)" });
          future.onIOPub = message => { said += message.content.text || ""; };
          await future.done;
          return said.trim() === "2 0.9";
        }"""
    )
