"""Saved pages in a real browser: the moving picture and the report."""

import pytest

import lbsim
from lbsim.plot import animate
from lbsim.policies import CentralQueue, RoundRobin

PIXELS = """canvas => {
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let sum = 0;
  for (let i = 0; i < data.length; i += 1) sum = (sum * 31 + data[i]) % 4294967291;
  return sum;
}"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    cluster = lbsim.Cluster(3, faults=[lbsim.Crash(1, 1.0)])
    workload = lbsim.data.heavy_tailed(cluster, n=600)
    runs = [lbsim.simulate(workload, policy, cluster) for policy in (RoundRobin(), CentralQueue())]
    return animate(*runs).save(tmp_path_factory.mktemp("pages") / "moving.html").as_uri()


def time_of(page):
    return float(page.locator("[data-part=clock]").inner_text().removesuffix(" s"))


def picture(page):
    return [page.locator("canvas.panel").nth(i).evaluate(PIXELS) for i in (0, 1)]


def test_the_animation_plays_and_obeys_the_keyboard(page, saved):
    page.goto(saved)
    play = page.locator("[data-part=play]")
    # It plays by itself, and what is seen changes.
    page.wait_for_function(
        "document.querySelector('[data-part=play]').textContent.includes('pause')"
    )
    first = picture(page)
    page.wait_for_function("player.t > 100")
    assert all(now != then for now, then in zip(picture(page), first, strict=True))
    page.keyboard.press("Space")
    assert "play" in play.inner_text()
    paused = time_of(page), picture(page)
    page.keyboard.press("Home")
    assert time_of(page) == pytest.approx(page.evaluate("DATA.begin"), abs=0.01)
    page.keyboard.press("ArrowRight")
    assert time_of(page) > page.evaluate("DATA.begin")
    assert picture(page) != paused[1]
    page.keyboard.press("End")
    # All are answered, on both sides, and it is said to those who do not see.
    said = page.locator("[role=status]").inner_text()
    assert said.count("0 waiting, 600 answered") == 2


@pytest.mark.slow
def test_scrub_step_and_speed(page, saved):
    page.emulate_media(reduced_motion="reduce")
    page.goto(saved)
    page.wait_for_function("window.player")
    # Who asked for calm is not moved by a picture that starts by itself.
    assert "play" in page.locator("[data-part=play]").inner_text()
    page.locator("[data-part=time]").fill("50000")
    middle = page.evaluate("DATA.begin + 50000 * DATA.tick")
    assert time_of(page) == pytest.approx(middle, abs=0.01)
    page.locator("[data-part=on]").click()
    after = page.evaluate("player.t")
    assert after > 50000
    page.locator("[data-part=back]").click()
    assert page.evaluate("player.t") < after
    chart = page.locator("canvas.chart").bounding_box()
    page.mouse.click(chart["x"] + 0.25 * chart["width"], chart["y"] + 20)
    assert page.evaluate("player.t") == pytest.approx(25000, rel=0.01)
    before = page.evaluate("player.rate()")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("player.rate()") > before
    # Played calmly it goes on in steps, a second each.
    page.locator("[data-part=play]").click()
    page.wait_for_function("player.t > 25500 && player.t < 100000")


@pytest.mark.slow
def test_a_crash_is_told(page, saved):
    page.goto(saved)
    page.wait_for_function("window.player")
    page.evaluate("player.toggle(false); player.go((1.05 - DATA.begin) / DATA.tick); player.say()")
    said = page.locator("[role=status]").inner_text()
    assert "worker 1 restarts" in said
    words = page.locator("details")
    words.locator("summary").click()
    assert "At 1 s worker 1 crashed." in words.inner_text()


@pytest.mark.slow
def test_the_report(page, tmp_path):
    cluster = lbsim.Cluster(4)
    workload = lbsim.data.heavy_tailed(cluster, n=2000)
    result = lbsim.compare(
        workload, [RoundRobin(), CentralQueue()], cluster, replications=3, seed=1
    )
    path = result.report(tmp_path / "report.html")
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto((path or tmp_path / "report.html").as_uri())
    assert page.locator("table").first.is_visible()
    drawn = page.locator("img").evaluate_all("all => all.map(i => i.complete && i.naturalWidth)")
    assert len(drawn) >= 4
    assert all(drawn)
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.slow
def test_several_on_a_page_do_not_meet(page, tmp_path):
    cluster = lbsim.Cluster(2)
    runs = [
        lbsim.simulate(lbsim.data.heavy_tailed(cluster, n=n), RoundRobin(), cluster)
        for n in (50, 100)
    ]
    frames = "".join(animate(run)._repr_html_() for run in runs)
    path = tmp_path / "two.html"
    path.write_text(f"<!DOCTYPE html><meta charset='utf-8'>{frames}", encoding="utf-8")
    page.set_viewport_size({"width": 600, "height": 1000})
    page.goto(path.as_uri())
    for i, n in enumerate((50, 100)):
        frame = page.frame_locator("iframe").nth(i)
        frame.locator("[data-part=time]").press("End")
        status = frame.locator("[role=status]")
        status.filter(has_text=f"0 waiting, {n} answered").wait_for(state="attached")
        # What is outside, and what is in the other frame, is out of reach.
        assert status.evaluate("_ => self.origin") == "null"
