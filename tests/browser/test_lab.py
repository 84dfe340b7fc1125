"""JupyterLab with a lesson, the sliders and the moving picture, in a real browser."""

from pathlib import Path

import pytest

from lbsim.teach.build import build

pytestmark = [pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
WITH_ANIMATION, WITH_SLIDERS = "02_sharing_evenly", "08_heavy_tails"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab that shows the lessons, small ones."""
    pytest.importorskip("jupyterlab", reason="the extra 'notebook' is not installed")
    pytest.importorskip("anywidget", reason="the extra 'notebook' is not installed")
    pytest.importorskip("jupytext", reason="the extra 'test' is not installed")
    from tests.browser.lab import Lab

    directory = tmp_path_factory.mktemp("lab")
    build(ROOT / "notebooks", directory, only=[WITH_ANIMATION, WITH_SLIDERS], render=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LBSIM_QUICK", "1")
        with Lab(directory) as running:
            yield running


def test_the_animation_of_a_lesson_plays_and_a_guess_is_taken(page, lab):
    from tests.browser.lab import open_and_run

    open_and_run(page, lab, f"notebooks/{WITH_ANIMATION}.ipynb")
    field = page.locator(".widget-text input").first
    field.scroll_into_view_if_needed()
    field.fill("250")
    page.wait_for_selector("text=your guess: 250 ms")

    element = page.wait_for_selector("iframe[srcdoc]", state="attached")
    element.evaluate("frame => frame.scrollIntoView({ block: 'center' })")
    frame = element.content_frame()
    # It plays by itself once it is on the screen, and goes on.
    frame.wait_for_function("window.player && player.t > 0")
    first = frame.evaluate("player.t")
    frame.wait_for_function("first => player.t > first", arg=first)
    frame.locator("[data-part=play]").click()
    assert "play" in frame.locator("[data-part=play]").inner_text()


def test_a_slider_of_a_lesson_changes_the_picture(page, lab):
    from tests.browser.lab import open_and_run

    open_and_run(page, lab, f"notebooks/{WITH_SLIDERS}.ipynb")
    curve = page.wait_for_selector(".lbsim-explore path.curve-0", state="attached")
    load = page.locator(".lbsim-explore [data-name=load]")
    load.scroll_into_view_if_needed()
    # As the mouse does it, then with the keyboard, which JupyterLab must not take for itself.
    for move in (lambda: load.fill("0.95"), lambda: load.press("Home")):
        before = curve.get_attribute("d")
        move()
        page.wait_for_function(
            "before => document.querySelector('.curve-0').getAttribute('d') !== before", arg=before
        )
    assert load.input_value() == "0.05"
    page.wait_for_selector(".lbsim-explore .note:has-text('from slider to picture')")


def test_what_a_slider_passes_through_is_not_run(page, lab):
    from tests.browser.lab import open_and_run

    open_and_run(page, lab, f"notebooks/{WITH_SLIDERS}.ipynb")
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
