"""The moving picture's event list, its page and its messages."""

import html
import itertools
import json
import re

import numpy as np
import pytest

import lbsim
from lbsim import Client, Cluster, Crash, Faults, InputError, Workload
from lbsim.engines import record
from lbsim.plot import animate
from lbsim.plot.moving import stays as s
from lbsim.policies import CentralQueue, LeastConnections, RoundRobin
from tests.conftest import every_policy


def run_of(arrivals, services, cluster=None, policy=None, **options):
    workload = Workload.from_arrays(arrivals, services)
    return lbsim.simulate(workload, policy or RoundRobin(), cluster or Cluster(1), **options)


def rows(run):
    """Stays as tuples that can be read: request, worker, since .. ended, ending."""
    stays = s.stays(run)
    columns = (stays.request, stays.worker, stays.since, stays.dispatched, stays.started)
    return [
        tuple(None if np.isnan(value) else float(value) for value in row)
        for row in zip(*columns, stays.ended, stays.ending, strict=True)
    ]


def test_a_request_that_waits_at_its_worker():
    assert rows(run_of([0.0, 0.5], [2.0, 1.0])) == [
        (0, 0, 0.0, 0.0, 0.0, 2.0, record.ANSWERED),
        (1, 0, 0.5, 0.5, 2.0, 3.0, record.ANSWERED),
    ]


def test_a_request_that_is_held_is_with_the_master():
    assert rows(run_of([0.0, 0.5], [2.0, 1.0], policy=CentralQueue()))[1] == (
        (1, 0, 0.5, 2.0, 2.0, 3.0, record.ANSWERED)
    )


def test_after_a_crash_a_request_is_with_the_master_again():
    cluster = Cluster(1, faults=Faults(Crash(0, 1.0), restart_s=0.5))
    assert rows(run_of([0.0], [2.0], cluster)) == [
        (0, 0, 0.0, 0.0, 0.0, 1.0, record.CRASHED),
        (0, 0, 1.0, 1.5, 1.5, 3.5, record.ANSWERED),
    ]
    never = Cluster(1, faults=Faults(Crash(0, 1.0), restart_s=np.inf))
    assert rows(run_of([0.0], [2.0], never)) == [
        (0, 0, 0.0, 0.0, 0.0, 1.0, record.CRASHED),
        (0, -1, 1.0, None, None, None, s.UNKNOWN),
    ]
    once = Cluster(1, faults=[Crash(0, 1.0)], max_attempts=1)
    assert rows(run_of([0.0], [2.0], once)) == [(0, 0, 0.0, 0.0, 0.0, 1.0, s.LOST)]


def test_a_refused_request():
    run = run_of([0.0, 0.0, 0.0], [1.0] * 3, Cluster(1, queue_limit=1), CentralQueue())
    assert rows(run)[2] == (2, -1, 0.0, None, None, 0.0, s.REFUSED)


def test_clients_that_leave_and_come_again():
    client = Client(timeout=1.0, retries=1, backoff=0.5, take_back="nothing")
    run = run_of([0.0, 0.0], [3.0, 3.0], client=client)
    stays = s.stays(run)
    # Both tries of both requests, the second 1.5 s after the first; all of them served in vain.
    assert stays.since.tolist() == [0.0, 0.0, 1.5, 1.5]
    assert stays.copy.tolist() == [0, 0, 1, 1]
    assert stays.gone.tolist() == [1.0, 1.0, 2.5, 2.5]
    held = run_of([0.0, 0.0], [3.0, 3.0], client=client, policy=CentralQueue())
    assert s.GAVE_UP not in s.stays(held).ending  # nothing is taken back: all are served
    dropped = Client(timeout=1.0, take_back="held")
    given_up = s.stays(run_of([0.0, 0.0], [3.0, 3.0], client=dropped, policy=CentralQueue()))
    assert given_up.ending.tolist() == [record.WASTED, s.GAVE_UP]
    assert given_up.ended.tolist() == [3.0, 1.0]


def test_the_second_try_is_sent_when_the_engine_sends_it():
    client = Client(timeout=1.0, retries=2, backoff=0.5, jitter=0.8, take_back="held")
    run = run_of(np.arange(20.0) / 10, np.full(20, 0.9), client=client, seed=3)
    rows = run.record.handovers
    request, copy = rows.ticket // run.copies, rows.ticket % run.copies
    assert (copy > 0).sum() > 10
    # A worker without a bound is handed every try at once.
    assert s._sent(run)[0][request, copy] == pytest.approx(rows.dispatched, abs=1e-12)


def test_every_answer_is_one_stay_whatever_happens():
    cluster = Cluster(3, faults=Faults(Crash(1, 2.0), Crash(1, 4.0), detect_s=0.1), slots=4)
    workload = Workload.synthetic(
        800, service=lbsim.Exponential(0.1), load=0.9, cluster=cluster, seed=1
    )
    client = Client(timeout=0.5, retries=2, backoff=0.05, jitter=0.5, hedge_after=0.2)
    run = lbsim.simulate(workload, LeastConnections(), cluster, client=client)
    stays = s.stays(run)
    answered = stays.ending == record.ANSWERED
    assert np.sort(stays.request[answered]).tolist() == np.flatnonzero(run.outcome == 0).tolist()
    order = np.argsort(stays.request[answered])
    assert stays.ended[answered][order].tolist() == run.finished[run.outcome == 0].tolist()
    later = [stays.since, stays.dispatched, stays.started, stays.ended]
    for before, after in itertools.pairwise(later):
        assert not (after < before).any()
    assert (stays.gone >= stays.since)[~np.isnan(stays.gone)].all()


CLIENTS = (
    None,
    Client(timeout=0.05, retries=2, backoff=0.01, jitter=0.5, take_back="service"),
    Client(timeout=0.2, retries=1, hedge_after=0.03, take_back="queued"),
    Client(timeout=0.1, take_back="nothing"),
)


@pytest.mark.parametrize("number", range(len(every_policy())))
def test_stays_follow_each_other_under_every_policy(number):
    cluster = Cluster(
        4,
        discipline=("fcfs", "ps", "event_loop")[number % 3],
        slots=4,
        queue_limit=30,
        max_attempts=2,
        faults=Faults(Crash(1, 0.3), lbsim.Hang(2, 0.4, 0.2), lbsim.Reload(0.7), detect_s=0.05),
        master=lbsim.Master(dispatch_s=0.0005),
    )
    workload = lbsim.data.heavy_tailed(cluster, n=300, load=0.9)
    client = CLIENTS[number % len(CLIENTS)]
    run = lbsim.simulate(workload, every_policy()[number], cluster, client=client)
    stays = s.stays(run)
    assert len(np.unique(stays.request)) == len(run)
    assert (stays.ending == record.ANSWERED).sum() == (run.outcome == record.OK).sum()
    times = [stays.since, stays.dispatched, stays.started, stays.ended]
    for before, after in itertools.combinations(times, 2):
        assert not (after < before).any()
    assert animate(run).data["panels"][0]["words"]


@pytest.fixture(scope="module")
def runs():
    cluster = Cluster(3, faults=[Crash(1, 1.0)])
    workload = lbsim.data.heavy_tailed(cluster, n=600)
    return [lbsim.simulate(workload, policy, cluster) for policy in (RoundRobin(), CentralQueue())]


def test_times_survive_the_packing(runs):
    data = animate(runs[0]).data
    packed, stays = data["panels"][0]["rows"], s.stays(runs[0])
    since = np.cumsum(packed["since"])
    ended = (since + packed["whole"]) * data["tick"] + data["begin"]
    assert np.abs(ended - stays.ended).max() <= data["tick"]
    assert np.cumsum(packed["request"]).tolist() == stays.request.tolist()
    started = since + packed["held"] + np.array(packed["queued"])
    assert (started >= since).all()
    assert (started <= since + packed["whole"]).all()


def test_the_event_list_is_small(runs):
    for panel in animate(*runs).data["panels"]:
        size = len(json.dumps(panel["rows"], separators=(",", ":")))
        assert size / len(panel["rows"]["since"]) < 30.0  # bytes a request


def test_window(runs):
    data = animate(runs[0], window=(0.5, 1.5)).data
    since = np.cumsum(data["panels"][0]["rows"]["since"]) * data["tick"] + data["begin"]
    assert since.max() < 1.5
    ended = since + np.array(data["panels"][0]["rows"]["whole"]) * data["tick"]
    assert ended.min() > 0.5
    words = " ".join(data["panels"][0]["words"])
    assert "At 1 s worker 1 crashed. At 1.1 s worker 1 was up again." in words
    assert [event[1] for event in animate(runs[0], window=(1.05, 1.5)).data["panels"][0]["events"]][
        :3
    ].count(record.NOTICED) == 1  # that the worker is down at the begin is told


def test_the_page_holds_its_data_and_nothing_from_elsewhere(runs):
    picture = animate(*runs, labels=["</script><b>x", 'y"'])
    page = picture.html()
    assert "</script><b>" not in page
    assert "&lt;/script&gt;&lt;b&gt;x" in page
    events = re.search(r'id="events">(.*?)</script>', page, re.S)
    assert json.loads(events[1])["panels"][0]["label"] == "</script><b>x"
    assert not re.findall(r"(?:src|href)=.?(?:https?:|//)|@import|url\(", page)
    frame = picture._repr_html_()
    srcdoc = re.fullmatch(r'<iframe [^>]*srcdoc="([^"]*)"></iframe>', frame)
    assert html.unescape(srcdoc[1]) == page


def test_save_replaces_and_leaves_nothing_beside(runs, tmp_path):
    path = tmp_path / "moving.html"
    path.write_text("old")
    assert animate(runs[0]).save(path) == path
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": (2.0, 1.0)}, r"window = \(2, 1\) is empty or not finite"),
        ({"window": 3.0}, r"window = 3.0 is not a pair of times; give \(begin, end\)"),
        ({"window": (90.0, 91.0)}, r"window = \(90, 91\) holds no request; the run lasts from"),
        ({"labels": ["a", "b"]}, "must be 1; give one for each run"),
    ],
)
def test_messages(runs, options, message):
    with pytest.raises(InputError, match=message):
        animate(runs[0], **options)


def test_too_much_to_watch_names_a_window_that_is_not():
    cluster = Cluster(2)
    run = lbsim.simulate(lbsim.data.heavy_tailed(cluster, n=6000), RoundRobin(), cluster)
    with pytest.raises(InputError, match=r"6,000 requests .* are too many to watch") as error:
        animate(run)
    begin, end = re.search(r"window=\(([\d.]+), ([\d.]+)\)", str(error.value)).groups()
    data = animate(run, window=(float(begin), float(end))).data
    slowest = int(np.nanargmax(run.latency))
    assert slowest in np.cumsum(data["panels"][0]["rows"]["request"])
    many = Cluster(33)
    with pytest.raises(InputError, match=r"33 workers are too many to watch \(at most 32\)"):
        animate(lbsim.simulate(lbsim.data.heavy_tailed(many, n=10), RoundRobin(), many))


def test_other_requests_are_refused(runs):
    other = run_of([0.0], [1.0])
    with pytest.raises(InputError, match="of different requests"):
        animate(runs[0], other)


def test_a_summary_has_no_rows():
    cluster = Cluster(2)
    workload = lbsim.data.heavy_tailed(cluster, n=100)
    summary = lbsim.simulate(workload, RoundRobin(), cluster, keep="summary")
    with pytest.raises(InputError, match="has no rows to animate; simulate with keep='rows'"):
        animate(summary)
