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
# # All cores, and past them; and when a cluster is not worth it
#
# **Question.** A process runs on one core at a time, so a machine with several cores needs several workers to be busy. As many as
# cores? Twice as many? And when is one enough?

# %%
import os

import numpy as np

import lbsim
from lbsim import teach

cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
COUNTS = [1, 2, 4, 8] if not teach.is_quick() else [1, 2]
CLIENTS = 16

# %% [markdown]
# ## Predict
#
# 16 clients, each sends its next request when it has its answer. A request *computes* for 5 ms of a real core.

# %%
guess = teach.predict(
    "How many times the throughput of one worker do eight workers have, on this machine?"
)
guess

# %% [markdown]
# ## Run: real computing

# %%
computing = lbsim.Workload.synthetic(
    teach.size(800, quick=100),
    arrivals=lbsim.ClosedLoop(CLIENTS, think=0.0),
    service=lbsim.Deterministic(0.005),
    seed=1,
)


def experiment():
    import live

    return {
        f"{n} workers": live.measure(
            computing,
            lbsim.policies.LeastConnections(),
            lbsim.Cluster(n, discipline="event_loop"),
            busy="spin",
        )
        for n in COUNTS
    }


runs = teach.measured("cores-throughput", experiment)
throughput = {}
for name, run in runs.items():
    span = np.nanmax(run.finished) - np.nanmin(run.arrival)
    throughput[name] = len(run) / span
    in_service = 1e3 * np.nanmedian(run.finished - run.started)
    print(
        f"{name:10} {throughput[name]:6.0f} requests/s   p50 {1e3 * run.quantile(0.5):5.0f} ms   "
        f"p99 {1e3 * run.quantile(0.99):5.0f} ms   in service {in_service:5.1f} ms"
    )
print(f"(this machine: {cores} cores)")

# %%
ax = guess.reveal(throughput[f"{COUNTS[-1]} workers"] / throughput[f"{COUNTS[0]} workers"])

# %% [markdown]
# As far as there are free cores (the master and the load generator need some, too), more workers do more. Past that, throughput
# hardly grows, and each request takes longer *in service*: the operating system gives every busy worker a slice in
# turn, so all of them compute slowly at the same time. Look at the last column: a request of 5 ms is in service for
# several times as long with eight workers on two cores. A policy that counts requests sees short queues
# where there is a long one, in the kernel.
#
# Workers that mostly *wait* (for a database, say) are another matter: a waiting worker uses no core. Synchronous
# workers, which wait standing still, need to be many; event loops do not.
#
# ## When is one worker enough?
#
# No cores are needed for this: simulated, requests of 5 ms.

# %%
print("p99 [ms] of requests of 5 ms (exponential), central queue")
print("requests/s" + "".join(f"{n:>12} workers" for n in (1, 2, 4)))
for rate in (10, 40, 100, 160, 190):
    cells = []
    for n in (1, 2, 4):
        workload = lbsim.Workload.synthetic(
            teach.size(20_000), service=lbsim.Exponential(0.005), rate=rate, seed=1
        )
        run = lbsim.simulate(workload, lbsim.policies.CentralQueue(), lbsim.Cluster(n), seed=1)
        cells.append(1e3 * run.quantile(0.99))
    print(f"{rate:>10}" + "".join(f"{c:>20.0f}" for c in cells))

# %% [markdown]
# ## What happened and why
#
# At ten requests a second a second worker buys almost nothing: there is hardly ever anybody to wait behind. What it costs is the memory
# of another process, a master in the way of each request, and everything that no longer works because memory
# is not shared (see `myths` and `session_memory`). A cluster is worth it when
#
# - one core is busy for a good part of the time: from some 50 % on the queue shows in the 99th percentile;
# - or a crash, or a reload, must not stop the service: two workers are enough for that;
# - or single requests block for long: then the second worker is for the others.
#
# It is *not* worth it when the work is waiting (one event loop can wait for thousands), when a database is the
# bottleneck (more workers press it harder), or when a cache in front would remove most requests.
#
# **Try this.**
#
# - `service=lbsim.Deterministic(0.005)` in the table: is one worker enough for longer?
# - In the first experiment let a request compute for 1 ms and wait for 20 (`wait=0.020`). How many workers now?
# - Leave a core to the master and the load generator: how many workers give the best p99 on your machine?
