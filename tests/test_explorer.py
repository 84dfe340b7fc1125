"""Sliders: from settings to the numbers of the picture, and one answer for each question."""

import sys
from dataclasses import replace

import numpy as np
import pytest

import lbsim
from lbsim import InputError
from lbsim.explorer import model

SETTINGS = model.Settings(0.8, 4, 1.5, 0.0, 2000, 1)


@pytest.fixture
def explorer():
    pytest.importorskip("anywidget", reason="the extra 'notebook' is not installed")
    return lbsim.explore(["RoundRobin", "LeastConnections"], workers=4, requests=2000)


def test_load_and_workers_stretch_time_and_change_no_request():
    first = model.workload_of(SETTINGS)
    busier = model.workload_of(replace(SETTINGS, load=0.4, workers=2))
    assert busier.service.tolist() == first.service.tolist()
    assert busier.arrival == pytest.approx(4.0 * first.arrival)
    # 2,000 requests of a heavy tail: the load is what was asked for, but for luck.
    assert first.service.sum() / 4 / first.arrival[-1] == pytest.approx(0.8, rel=0.2)


def test_sessions_have_keys_and_make_the_policy_sticky(monkeypatch):
    def interpreted(*given, engine, seed):
        return lbsim.simulate(*given, engine="readable", seed=seed)

    monkeypatch.setattr("lbsim.explorer.model.simulate", interpreted)  # compiling takes longer
    settings = replace(SETTINGS, sticky=0.5)
    keys = model.workload_of(settings).key
    assert (keys >= 0).mean() == pytest.approx(0.5, abs=0.05)
    run = model.run(settings, lbsim.policies.Random())
    assert repr(run.policy).startswith("Sticky(fallback=Random()")
    for key in np.unique(keys[keys >= 0])[:20]:
        assert len(set(run.worker[keys == key])) == 1
    assert (model.workload_of(SETTINGS).key == -1).all()


def test_the_curve_is_the_share_that_took_at_least_so_long():
    run = model.run(SETTINGS, lbsim.policies.RoundRobin())
    drawn = model.curve("x", run)
    latency = run.latency
    for x, share in zip(drawn["latency"][::20], drawn["share"][::20], strict=True):
        # Four digits of x are sent.
        assert (latency >= x * (1 + 1e-3)).mean() <= share + 1 / len(latency)
        assert (latency >= x * (1 - 1e-3)).mean() >= share - 1 / len(latency)
    assert drawn["latency"][-1] == pytest.approx(latency.max(), rel=1e-3)
    assert drawn["figures"] == pytest.approx(
        [latency.mean(), *np.quantile(latency, [0.5, 0.9, 0.99, 0.999])], rel=1e-3
    )
    busy = np.bincount(run.worker, run.workload.service, minlength=4)
    span = run.finished.max() - run.arrival[0]
    assert drawn["used"] == pytest.approx(busy / span, rel=1e-3)


def test_a_movement_is_answered_with_its_number(explorer):
    before = explorer.answer
    explorer.set_state({"load": 0.9, "asked": 1})
    assert explorer.answer["number"] == 1
    assert [c["label"] for c in explorer.answer["curves"]] == ["RoundRobin", "LeastConnections"]
    assert explorer.answer["curves"][0]["figures"][3] > before["curves"][0]["figures"][3]
    assert explorer.runs["RoundRobin"].workload is explorer.runs["LeastConnections"].workload


def test_settings_that_come_together_are_run_once(explorer, monkeypatch):
    runs = []
    monkeypatch.setattr(explorer, "_results", lambda names, _: runs.append(names) or names)
    monkeypatch.setattr("lbsim.explorer.widget.curve", lambda name, _: {"label": name})
    explorer.set_state({"load": 0.5, "workers": 3, "alpha": 2.0, "asked": 1})
    assert runs == [["RoundRobin", "LeastConnections"]]


def test_one_policy_alone_and_nothing_chosen(explorer):
    explorer.other = "(none)"
    assert [c["label"] for c in explorer.answer["curves"]] == ["RoundRobin"]
    explorer.policy = "(none)"
    assert "no policy is chosen" in explorer.answer["error"]


def test_what_is_wrong_is_told_in_the_answer(explorer):
    explorer.set_state({"load": 1.5, "asked": 1})
    assert explorer.answer == {
        "number": 1,
        "error": "explore: load = 1.5 must lie between 0.05 and 0.98; change load",
    }
    explorer.set_state({"load": 0.5, "policy": "Best", "asked": 2})
    assert "policy = 'Best' is not among the choices" in explorer.answer["error"]
    explorer.set_state({"policy": "RoundRobin", "asked": 3})
    assert explorer.answer["number"] == 3
    assert "curves" in explorer.answer


def test_the_browser_is_told_of_a_fault_too(explorer, monkeypatch):
    monkeypatch.setattr(explorer, "_results", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        explorer.load = 0.7
    assert explorer.answer["error"] == "ZeroDivisionError: division by zero"


def test_a_policy_that_is_not_compiled_runs_few_requests(monkeypatch):
    pytest.importorskip("anywidget", reason="the extra 'notebook' is not installed")

    def interpreted(workload, policy, cluster, *, engine, seed):
        engine = "readable" if isinstance(policy, lbsim.policies.Random) else engine
        return lbsim.simulate(workload, policy, cluster, engine=engine, seed=seed)

    # What cannot be compiled is found out by compiling it, which takes long.
    monkeypatch.setattr("lbsim.explorer.model.simulate", interpreted)
    monkeypatch.setattr("lbsim.explorer.widget.SLOW_REQUESTS", 300)
    explorer = lbsim.explore(["Random", "RoundRobin"], requests=1000)
    assert [c["requests"] for c in explorer.answer["curves"]] == [300, 1000]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lbsim.explore(load=1.2), "load = 1.2 must lie between 0.05 and 0.98"),
        (lambda: lbsim.explore(workers=2.5), "workers = 2.5 must be a whole number"),
        (lambda: lbsim.explore(requests=3), "requests = 3 must be a whole number of at least 100"),
        (lambda: lbsim.explore([]), "leaves nothing to choose from"),
        (lambda: lbsim.explore([lbsim.policies.Random]), "is not a policy object or name"),
        (lambda: lbsim.explore("PowerOfE"), "did you mean: PowerOfD"),
    ],
)
def test_messages(make, message):
    pytest.importorskip("anywidget", reason="the extra 'notebook' is not installed")
    with pytest.raises(InputError, match=message):
        make()


def test_without_widgets_the_remedy_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "lbsim.explorer.widget", raising=False)
    with pytest.raises(InputError, match=r"anywidget.* pip install 'lbsim\[notebook\]'"):
        lbsim.explore()


def test_a_saved_page_shows_a_picture_in_place_of_the_sliders(explorer):
    bundle, _ = explorer._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert 'src="data:image/png;base64,' in bundle["text/html"]
    assert "policy=&#x27;RoundRobin&#x27;" in bundle["text/html"]
