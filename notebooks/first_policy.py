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
# # Your first policy
#
# **Question.** A worker that is about to get its third request is a worse choice than an idle one.
# But how much better than guessing is it to *look* at the workers?
#
# **Predict.** Eight workers, 80 % load, a few slow requests among many quick ones. If rotation has a 99th
# percentile of one second, what will yours have: half of it, a tenth?

# %%
import os

import lbsim

# A smaller run for automatic checks; the numbers in the text are those of the full one.
REQUESTS = int(os.environ.get("LBSIM_NOTEBOOK_REQUESTS", "20000"))

cluster = lbsim.Cluster(workers=8)
workload = lbsim.data.heavy_tailed(cluster, load=0.8, n=REQUESTS, seed=1)
print(workload)

# %% [markdown]
# ## Ten lines
#
# A policy is asked once for every request. `cluster.up` are the workers that accept requests,
# `cluster.in_flight` counts what each has, queued and in service. What must be remembered from one request
# to the next is made in `prepare`, so that every run begins afresh.


# %%
class LookAtTwo(lbsim.Policy):
    """Compare the next worker in turn with a random one, and take the less loaded."""

    def prepare(self, n_workers):
        self.turn = 0

    def choose(self, request, cluster):
        self.turn = self.turn + 1
        mine = cluster.up[self.turn % len(cluster.up)]
        other = cluster.up[int(cluster.rng.random() * len(cluster.up))]
        return other if cluster.in_flight[other] < cluster.in_flight[mine] else mine


lbsim.check_policy(LookAtTwo())

# %% [markdown]
# ## The comparison
#
# All policies get the *same* requests; the intervals are over independent replications.

# %%
policies = [
    lbsim.policies.RoundRobin(),
    LookAtTwo(),
    lbsim.policies.PowerOfD(2),
    lbsim.policies.LeastConnections(),
    lbsim.policies.CentralQueue(),
]
result = lbsim.compare(workload, policies, cluster, replications=4, seed=1)
result

# %%
ax = result.plot()

# %% [markdown]
# ## What happened and why
#
# The slowest request under your policy, and what it waited behind:

# %%
print(result.runs["LookAtTwo()"].slowest(1)[0])

# %%
ax = lbsim.plot.timeline(result.runs["LookAtTwo()"])

# %% [markdown]
# A random guess now and then would not help; *comparing* does, because two queues are rarely both
# long. But the policy decides when the request arrives, and a worker that looks good then may be about to
# spend two seconds on a search. The central queue decides when a worker is free.
#
# **Try this.** Look at three. Look at all. Does the 99th percentile fall as much at the second step as it
# did at the first? Then break the policy: return 99, or forget `prepare`, and read what `check_policy` says.
