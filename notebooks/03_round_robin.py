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
# # 3. Round-robin, and what Node's really is
#
# **Question.** The documentation of Node.js says that its `cluster` module distributes connections
# "in a round-robin fashion". Does it deal them out like cards?
#
# In Node the primary process keeps a list of *free* workers. A connection goes to the first of the list,
# and that worker is on the list again when it has *acknowledged* the connection. Acknowledging
# is done by the worker's event loop. What if the loop is busy?

# %%
import lbsim
from lbsim import teach

N = teach.size(20_000)
LAW = lbsim.BoundedPareto(alpha=1.5, mean=0.010, maximum=1.0)

# Four event loops. Handing over takes 20 microseconds, accepting 10.
cluster = lbsim.Cluster(
    workers=4,
    discipline="event_loop",
    master=lbsim.Master(dispatch_s=20e-6),
    accept_s=10e-6,
)
blocking = lbsim.Workload.synthetic(N, service=LAW, load=0.7, cluster=cluster, seed=1)
rate = blocking.parameters["rate"]
awaiting = lbsim.Workload.synthetic(N, service=1e-4, wait=LAW, rate=rate, seed=1)
print(blocking, awaiting, sep="\n")

# %% [markdown]
# Two workloads with the same arrivals. In the first a request *computes* for 10 ms on average and so blocks the
# event loop. In the second it computes for 0.1 ms and then *awaits* for 10 ms, a database for instance,
# while the loop serves others.
#
# ## Predict

# %%
policies = [
    lbsim.policies.RoundRobin(),
    lbsim.policies.NodeCluster(),
    lbsim.policies.LeastConnections(),
    lbsim.policies.CentralQueue(),
]
guess = teach.predict("Blocking requests: lowest p99 first", order=policies, unit="ms")
guess


# %% [markdown]
# ## Run


# %%
def try_all(workload):
    return {repr(p): lbsim.simulate(workload, p, cluster, seed=1) for p in policies}


blocked = try_all(blocking)
teach.table(blocked, "mean p50 p99 idle_while_waiting")

# %%
ax = guess.reveal({name: run.quantile(0.99) * 1e3 for name, run in blocked.items()})

# %%
awaited = try_all(awaiting)
teach.table(awaited, "mean p50 p99 idle_while_waiting")

# %%
for name, runs in (("blocking", blocked), ("awaiting", awaited)):
    rotation, node = runs["RoundRobin()"], runs["NodeCluster()"]
    same = (rotation.worker == node.worker).mean()
    print(f"{name}: {same:.1%} of the requests went to the same worker under both")

# %% [markdown]
# ## What happened and why
#
# With **blocking** requests Node's rule is not a rotation at all. A worker that computes does not acknowledge, so
# it is not free, so it gets nothing more, and connections wait in the primary for whoever is done first. That
# is nearly a central queue, and its 99th percentile is a quarter of the rotation's, `153` ms against
# `708`. Only about one request in four goes where the rotation would have sent it: no more than chance.
#
# With **awaiting** requests the loop is always free to acknowledge. Then the list goes round and
# round, and Node's rule *is* the blind rotation: `100.0%` of the choices are the same. It does no
# harm here, because waiting costs a worker nothing: all four rows but the last are alike. The central queue with one
# request at a time is the worst choice for workers that could have awaited many.
#
# So "round-robin" names two different things, and which one you get depends on what your handlers do.
#
# **Try this.**
#
# - Let a request compute for 3 ms and await 7. Who wins?
# - Give the central queue more slots, `CentralQueue(slots=50)`, on the awaiting workload.
# - Set `dispatch_s` to 0. Node's p99 on the blocking workload changes: a race decides whether a second connection
#   is handed to a worker before it begins to compute.
