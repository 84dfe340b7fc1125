# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Four myths and three mistakes
#
# Each is broken by an experiment. Guess first: true or false?

# %%
import numpy as np

import lbsim
from lbsim import teach

P = lbsim.policies

# %% [markdown]
# ## Myth 1: "Workers are threads, and share memory"
#
# An application counts its requests in a global variable. Four workers, eight requests, in turn. What do the answers
# say?

# %%
first = teach.predict(
    "The eight answers?", choices=["1 2 3 4 5 6 7 8", "1 1 1 1 2 2 2 2", "1 1 1 1 1 1 1 1"]
)
first

# %%
if teach.can_measure():
    from live.asking import ask

    answers = [a.body for a in ask("live.asking:count", P.RoundRobin(), workers=4, times=8)]
else:
    answers = ["1", "1", "1", "1", "2", "2", "2", "2"]  # what a real server answered elsewhere
print(*answers)

# %%
ax = first.reveal(" ".join(answers))

# %% [markdown]
# Four counters, not one. After a fork each process has its own copy of everything, and a change in
# one is seen in none of the others. Nobody is told; the program is simply wrong.
#
# **Mistake 1: sharing variables across processes.** It is this: a counter, a cache that is invalidated, a list of who is logged
# in, a lock. In one process it works, in the tests (one process) as well. How wrong the answers are when sessions live in such
# variables is measured in *What a session store costs*.
#
# ## Myth 2: "Round-robin is always best, because it is fair"

# %%
cluster = lbsim.Cluster(workers=8)
cases = {
    "all requests alike": lbsim.Deterministic(0.010),
    "exponential": lbsim.Exponential(0.010),
    "heavy tail": lbsim.BoundedPareto(alpha=1.5, mean=0.010, maximum=1.0),
}
second = teach.predict("Where is rotation as good as it gets?", choices=list(cases), unit="times")
second

# %%
ratio = {}
for name, law in cases.items():
    workload = lbsim.Workload.synthetic(
        teach.size(20_000), service=law, load=0.8, cluster=cluster, seed=1
    )
    rotation, central = (
        lbsim.simulate(workload, p, cluster, seed=1).quantile(0.99)
        for p in (P.RoundRobin(), P.CentralQueue())
    )
    ratio[name] = rotation / central
    print(
        f"{name:20} p99 of rotation {1e3 * rotation:6.0f} ms, central queue {1e3 * central:5.0f} ms"
    )

# %%
ax = second.reveal(ratio)

# %% [markdown]
# Rotation is fair in *number*. If all requests are alike that is all there is, and nothing beats it. The more they
# differ, the worse it gets: a request waits behind a long one because it is "its turn".
#
# **Mistake 2: rotation for all workloads.** It is a good default where requests are alike, and where they only wait; look at your own
# (`lbsim describe access.log`, lesson 13) before you leave it at that.
#
# ## Myth 3: "Stickiness can be ignored"
#
# Both ways. One says: my application keeps sessions in memory, and any worker will do. The other says: I have switched stickiness on, and it
# costs nothing.

# %%
workload = lbsim.Workload.synthetic(
    teach.size(20_000),
    service=lbsim.Exponential(0.010),
    sessions=lbsim.Sessions(2000),
    load=0.6,
    cluster=cluster,
    seed=1,
)
runs = {
    "any worker": lbsim.simulate(workload, P.LeastConnections(), cluster, seed=1),
    "sticky": lbsim.simulate(workload, P.Sticky(), cluster, seed=1),
}
for name, run in runs.items():
    wrong = lbsim.sessions.wrong_answers(run).mean()
    print(f"{name:12} {wrong:6.1%} wrong answers   p99 {1e3 * run.quantile(0.99):4.0f} ms")

# %% [markdown]
# Ignoring it makes `90.0%` of the answers wrong. Having it makes the p99 nearly three times as long. There is a price either way, and a
# third way (a shared store) with a price of its own: lesson 4 and *What a session store costs*.
#
# ## Myth 4: "One crash stops the application"
#
# It does if there is one process. Four real workers, and `SIGKILL` for one of them in the middle of its work:

# %%
killed = lbsim.Workload.synthetic(
    teach.size(240, quick=120), service=lbsim.Exponential(0.020), rate=120.0, seed=4
)
faults = lbsim.Faults(lbsim.Crash(0, at=0.5))


def experiment():
    import live

    return {
        "one killed": live.measure(killed, P.LeastConnections(), lbsim.Cluster(4, faults=faults))
    }


real = teach.measured("myth-4-crash", experiment)["one killed"]
print(
    real.events()[["time", "event", "worker"]]
    .query("event in ('crash', 'noticed')")
    .to_string(index=False)
)
print(
    f"{(real.outcome == 0).sum()} of {len(real)} requests answered, "
    f"{int((real.n_attempts > 1).sum())} of them by a second worker"
)

# %% [markdown]
# **Mistake 3: not restarting.** The first crash is survived by the others. Then there are fewer:

# %%
for restart_s, name in ((0.5, "restarted after 0.5 s"), (float("inf"), "not restarted")):
    crashes = lbsim.Faults(lbsim.Crash(0, 5.0), lbsim.Crash(1, 15.0), restart_s=restart_s)
    site = lbsim.Cluster(workers=4, faults=crashes)
    workload = lbsim.Workload.synthetic(
        teach.size(12_000, quick=8000),
        service=lbsim.Exponential(0.010),
        load=0.7,
        cluster=site,
        seed=1,
    )
    run = lbsim.simulate(workload, P.LeastConnections(), site, seed=1)
    spans = [(0, 5), (6, 15), (16, 25)]
    p99 = [
        1e3 * np.nanquantile(run.latency[(run.arrival >= a) & (run.arrival < b)], 0.99)
        for a, b in spans
    ]
    print(
        f"{name:22} p99 before, after one crash, after two: "
        + ", ".join(f"{x:,.0f}" for x in p99)
        + " ms"
    )

# %% [markdown]
# Three workers do the work of four, just. Two cannot, and from then on the queue grows for as long as the site is up. A
# supervisor that restarts is not a luxury; it is what makes a crash an event in place of a loss. (And it must wait longer from
# crash to crash, or a worker that cannot start keeps the machine busy: `restart_s` and `backoff` of
# `lbsim.Faults`.)
#
# **Try this.** Take one of the four myths, and change the experiment until the myth is *true*. What did you have to
# change?
