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
# # 4. Sticky sessions
#
# **Question.** A guest who always gets the same chef need not explain her allergy twice. What does the kitchen
# pay for that?
#
# A session that lives in the memory of one worker ties its requests to that worker. There are three ways
# to deal with it: *stick* to the worker, *fetch* the session from wherever it is, or keep it in a *store*
# that all workers read.

# %%
import numpy as np

import lbsim
from lbsim import teach

N = teach.size(20_000)


def run(policy, miss_s=0.0, zipf=1.0, load=0.6):
    """Eight workers; a request whose session is elsewhere waits miss_s for it."""
    cluster = lbsim.Cluster(workers=8, session_miss_s=miss_s)
    workload = lbsim.Workload.synthetic(
        N,
        service=lbsim.Exponential(mean=0.010),
        sessions=lbsim.Sessions(2000, zipf=zipf),
        load=load,
        cluster=cluster,
        seed=1,
    )
    return lbsim.simulate(workload, policy, cluster, seed=1)


P = lbsim.policies
# %% [markdown]
# ## Predict
#
# 2,000 sessions of unequal popularity (the k-th most popular sends in proportion to 1/k), 60 % load. Moving a
# session costs nothing for now. Which policy has the lowest 99th percentile?

# %%
policies = {
    "least connections": P.LeastConnections(),
    "sticky table": P.Sticky(),
    "hash of the key": P.KeyHash(),
    "hash with a bound": P.BoundedLoadHash(),
}
guess = teach.predict("Lowest p99 first", order=list(policies), unit="ms")
guess

# %% [markdown]
# ## Run: what stickiness costs

# %%
runs = {name: run(policy) for name, policy in policies.items()}
teach.table(runs, "mean p99 kept imbalance")

# %%
ax = guess.reveal({name: r.quantile(0.99) * 1e3 for name, r in runs.items()})

# %%
print("share of all requests, most popular session:", f"{lbsim.Sessions(2000).shares()[0]:.1%}")
print("a worker's fair share:", f"{1 / 8:.1%}")
work = np.bincount(runs["hash of the key"].worker, weights=runs["hash of the key"].workload.service)
print(f"work of the busiest worker under the hash / fair share: {lbsim.stats.imbalance(work):.2f}")
ax = lbsim.plot.shares(
    {"sticky table": runs["sticky table"], "hash of the key": runs["hash of the key"]}
)

# %% [markdown]
# A hash knows nothing of popularity: it may put several of the most popular sessions on one worker,
# and here it does. The busiest worker gets `2.52` times its fair share; at 60 % load that is
# more than it can do, and its queue grows until the run ends. The sticky table places a *new* session where fewest
# requests are, and so spreads the popular ones; but it, too, must send every later request to a worker that may be
# busy. Its p99 is `144` ms, against `50.9` when every request may go anywhere.
#
# ## Run: what a lost session costs
#
# Now a request whose session is at another worker has to wait for it.

# %%
costs_ms = [0, 2, 5, 10, 20]
p99 = {name: [] for name in policies}
for cost in costs_ms:
    for name, policy in policies.items():
        p99[name].append(run(policy, cost / 1e3).quantile(0.99) * 1e3)
print("fetching costs [ms]" + "".join(f"{cost:>9}" for cost in costs_ms))
for name, values in p99.items():
    print(f"{name:19}" + "".join(f"{value:9,.0f}" for value in values))

# %% [markdown]
# ## What happened and why
#
# Without stickiness seven requests in eight find their session elsewhere (only `11.5` % are kept), and a synchronous
# worker stands still while it fetches. At 5 ms a fetch, nearly every request of 10 ms takes 15: the load rises from
# 60 % to almost 90 %. Even so its p99 of `76` ms is about half of the sticky table's `144`. At 10 ms a fetch the load is
# above 100 % and no choice can help. So stickiness pays only from some price on: here,
# between 5 and 10 ms a fetch. The bound in between, "stick unless that worker already has a quarter more than its
# share", is the best of both for a while.
#
# ## Run: what a store costs here
#
# An external store changes the price, not the shape: each request pays a small, fixed amount instead of a large one.
# How small? One read and one write of a session of 1,000 bytes, in this process; Redis only where a `redis-server` can be
# started.

# %%
from live import store_costs

for store, took in store_costs.costs(size=1000, pairs=teach.size(2000)).items():
    p50, p99 = np.quantile(took, [0.5, 0.99]) * 1e6
    print(f"{store:8} p50 {p50:8.1f} µs   p99 {p99:8.1f} µs")

# %% [markdown]
# Memory costs next to nothing, but it is the worker's own. A file (SQLite) and a server (Redis) are shared; both
# cost far less than a request of 10 ms. As long as that is so, "any worker, shared store" keeps the freedom of choice,
# and freedom of choice is what keeps the 99th percentile low. `python benchmarks/stores.py` shows what happens to
# the price when several processes ask at once.
#
# **Try this.**
#
# - Make the sessions less unequal, `zipf=0.5`. Which policy gains most?
# - Event-loop workers do not stand still while they fetch. Add `discipline="event_loop"` to the cluster: what
#   happens to the row "least connections"?
# - Give the sticky table room for 50 sessions only, `P.Sticky(capacity=50)`, and look at `kept`.
