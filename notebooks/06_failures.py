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
# # 6. When a worker dies
#
# **Question.** Chefs faint. If somebody else takes over their orders, guests notice nothing but a delay. What does that
# delay depend on, and what if nobody takes over?

# %%
import math

import numpy as np

import lbsim
from lbsim import teach

N = teach.size(20_000, quick=3000)
P = lbsim.policies
# A worker dies every two seconds, in turn. A new one is up half a second later.
CRASHES = [lbsim.Crash(k % 4, at=5.0 + 2.0 * k) for k in range(30)]


def site(faults, policy=None, max_attempts=3):
    """Four workers at 70 % load."""
    cluster = lbsim.Cluster(workers=4, faults=faults, max_attempts=max_attempts)
    workload = lbsim.Workload.synthetic(
        N, service=lbsim.Exponential(0.010), load=0.7, cluster=cluster, seed=1
    )
    return lbsim.simulate(workload, policy or P.LeastConnections(), cluster, seed=1)


quiet = site(lbsim.Faults())

# %% [markdown]
# ## Predict
#
# 30 crashes in a minute. Requests that a dead worker had go to another one.

# %%
guess = teach.predict("p99 without crashes is 67 ms. And with them?", unit="ms")
guess

# %% [markdown]
# ## Run

# %%
runs = {
    "no crash": quiet,
    "taken over at once": site(lbsim.Faults(*CRASHES, restart_s=0.5)),
    "noticed after 1 s": site(lbsim.Faults(*CRASHES, restart_s=0.5, detect_s=1.0)),
    "not taken over": site(lbsim.Faults(*CRASHES, restart_s=0.5), max_attempts=1),
    "one crash, no restart": site(lbsim.Faults(CRASHES[0], restart_s=math.inf)),
    "two crashes, no restart": site(lbsim.Faults(*CRASHES[:2], restart_s=math.inf)),
    "rolling reload": site(lbsim.Faults(lbsim.Reload(at=20.0), restart_s=0.5)),
}
teach.table(runs, "p50 p99 worst answered lost redispatched")

# %%
ax = guess.reveal(1e3 * runs["taken over at once"].quantile(0.99))

# %%
ax = lbsim.plot.latency_over_time(
    {name: runs[name] for name in ("taken over at once", "noticed after 1 s")}, q=0.99
)

# %%
lbsim.plot.animate(runs["taken over at once"], window=(4.8, 5.8))

# %%
noticed = runs["noticed after 1 s"]
slow = np.flatnonzero(noticed.latency > 0.5)
print(f"{len(slow)} requests took longer than 0.5 s when a crash is noticed after 1 s, such as:")
print("-", noticed.slowest(1)[0])

# %% [markdown]
# ## For real
#
# A real server with four workers, 120 requests a second of 20 ms each (60 % load). `SIGKILL` hits a worker every second. That is
# not a polite request to stop: the process is gone, in the middle of what it did.

# %%
kills = [lbsim.Crash(k % 4, at=1.0 + k) for k in range(teach.size(8, quick=2))]
cluster = lbsim.Cluster(workers=4, faults=lbsim.Faults(*kills))
killed = lbsim.Workload.synthetic(
    teach.size(1100, quick=300), service=lbsim.Exponential(0.020), rate=120.0, seed=2
)


def experiment():
    import live

    return {"killed": live.measure(killed, P.LeastConnections(), cluster)}


real = teach.measured("lesson-6-killed", experiment)["killed"]
print(real)
deaths = (real.events()["event"] == "crash").sum()
print(f"{deaths} workers killed, {int((real.n_attempts > 1).sum())} requests handed over twice, ")
print(f"{int((real.outcome != 0).sum())} not answered")

# %% [markdown]
# ## What happened and why
#
# Taking over costs little: `35` of 20,000 requests were in a dead worker's hands, and are begun again elsewhere. The p99 rises
# from `67.4` to `92.7` ms, less because of them than because half a second with three workers in place of four means a
# load of 93 %.
#
# *Noticing* matters more. As long as the master does not know, it goes on sending: a dead worker finishes
# nothing, and under least connections it looks busy only by what it already has. A master that watches its workers'
# processes knows at once; one that waits for a health check does not.
#
# *Not taking over* loses what the worker had, and somebody sees an error. *Not restarting* looks harmless after the
# first crash, and is fatal after the second: two workers are offered 140 % of what they can do.
#
# A planned reload loses nothing and is hardly seen, because a worker that leaves finishes what it has
# and gets nothing new. That is the difference between leaving and dying.
#
# The real run says whether all this is true of processes, too: every request was answered, though workers died in the middle of
# their work. The master keeps a second handle of each connection until the answer is out.
#
# **Try this.**
#
# - `P.CentralQueue()` with `detect_s=1.0`. Why is it hurt so much less?
# - A request that kills its worker each time would go round for ever. What does `max_attempts` do about it?
# - `restart_s=3.0` and all four crashing at once. How long until everything is as before?
