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
# # 5. Strategies of your own: by load, by type, by priority
#
# **Question.** One order in twenty is a wedding cake. Must everybody who wants a coffee wait behind it?

# %%
import numpy as np

import lbsim
from lbsim import teach

N = teach.size(20_000)
PAGE, REPORT = 0, 1

cluster = lbsim.Cluster(workers=8)
workload = lbsim.Workload.synthetic(
    N,
    kinds={
        "page": lbsim.Kind(0.95, lbsim.Exponential(0.005), priority=0),
        "report": lbsim.Kind(0.05, lbsim.Exponential(0.200), priority=1),
    },
    load=0.7,
    cluster=cluster,
    seed=1,
)
print(workload)


# %% [markdown]
# 95 % of the requests are pages of 5 ms, 5 % are reports of 200 ms: two thirds of the work. A policy may look at the
# load, at the type, or at the priority of a request. A policy of your own is a class with one method.


# %%
class OwnRoom(lbsim.Policy):
    """Reports may use only the last `rooms` workers, pages any; least loaded first."""

    def __init__(self, rooms=6):
        self.rooms = rooms

    def choose(self, request, cluster):
        first = len(cluster.is_up) - self.rooms if request.kind == 1 else 0
        best = -1
        for worker in cluster.up:
            if worker >= first and (
                best < 0 or cluster.in_flight[worker] < cluster.in_flight[best]
            ):
                best = worker
        return best if best >= 0 else lbsim.least_loaded(cluster, 0)


lbsim.check_policy(OwnRoom())

# %% [markdown]
# ## Predict

# %%
P = lbsim.policies
policies = {
    "rotation": P.RoundRobin(),
    "by load": P.LeastConnections(),
    "by type (yours)": OwnRoom(rooms=6),
    "by type, apart": P.ByKind(((0, 1), (2, 3, 4, 5, 6, 7))),
    "central queue": P.CentralQueue(),
    "by priority": P.ByPriority(),
    "priority, 1 reserved": P.ByPriority(reserved=1),
}
guess = teach.predict("Who gives pages the lowest p99?", choices=list(policies), unit="ms")
guess

# %% [markdown]
# ## Run

# %%
runs = {
    name: lbsim.simulate(workload, policy, cluster, seed=1) for name, policy in policies.items()
}
print(f"{'':22}{'page p50':>10}{'page p99':>10}{'report p50':>12}{'report p99':>12}   [ms]")
pages = {}
for name, run in runs.items():
    page, report = (run.latency[workload.kind == kind] * 1e3 for kind in (PAGE, REPORT))
    pages[name] = np.quantile(page, 0.99)
    values = [f"{np.quantile(x, q):.0f}" for x in (page, report) for q in (0.5, 0.99)]
    print(f"{name:22}{values[0]:>10}{values[1]:>10}{values[2]:>12}{values[3]:>12}")

# %%
ax = guess.reveal(pages)

# %%
kinds = {
    f"{name}, pages": run.latency[workload.kind == PAGE]
    for name, run in runs.items()
    if name in ("by load", "central queue", "priority, 1 reserved")
}
ax = lbsim.plot.ccdf(kinds)

# %% [markdown]
# ## What happened and why
#
# Rotation mixes pages and reports in every queue: a page waits behind reports of 200 ms, and half the pages take
# longer than `72` ms. *By load* a page avoids the workers that have a report, unless all have something. *By type*, two
# workers never see a report, so there is nearly always a quick queue: p99 `201` instead of `454` ms, at the
# price of slower reports. Keeping the types strictly apart (two workers for pages only, six for reports only) gives a
# better p99 still, but the median is four times as long: pages may not use a free worker of the others.
#
# The central queue does better than any of these in the 99th percentile without knowing types, because it decides late: when a
# worker is free, not when the request comes. And on top of that it can choose *whom* to serve
# next. With priorities, and one worker that takes no reports, the p99 of a page is `38` ms, while
# reports are hardly slower than under the plain central queue.
#
# The lesson is not "use priorities". It is that the choice has three parts: when to decide, what to
# look at, and whom to favour.
#
# **Try this.**
#
# - `OwnRoom(rooms=7)`, `rooms=4`: who pays?
# - Let a report be 1 % of the requests and take 1 s. Is the order of the policies the same?
# - Break the policy: return 99, or leave the `return` out, and read what `check_policy` says.
