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
# # Exercise 1. Write your first policy
#
# A policy is asked once for every request: *which worker gets it?* It sees two things:
#
# - `request`: its `time`, `key` (session), `kind`, `priority`, `size` (an estimate);
# - `cluster`: `cluster.up`, the workers that accept requests, and `cluster.in_flight`, how many requests each worker
#   has, queued and in service.
#
# It answers with the index of a worker in `cluster.up`. What must be remembered from one request to the
# next is made in `prepare`, so that every run begins afresh.
#
# **Task.** Give each request to a worker with the *fewest requests in flight*. If several have equally few, take turns: begin
# the search after the worker that you chose last.

# %%
import lbsim
from lbsim.teach import checks


# %% nbgrader={"grade": false, "grade_id": "first-policy", "locked": false, "schema_version": 3, "solution": true, "task": false}
class Fewest(lbsim.Policy):
    def prepare(self, n_workers):
        self.last = -1  # the worker chosen last

    def choose(self, request, cluster):
        ### BEGIN SOLUTION
        n = len(cluster.is_up)
        best = -1
        for step in range(1, n + 1):
            worker = (self.last + step) % n
            if cluster.is_up[worker] and (
                best < 0 or cluster.in_flight[worker] < cluster.in_flight[best]
            ):
                best = worker
        self.last = best
        return best
        ### END SOLUTION


# %% [markdown]
# The check runs your policy and looks at every choice. If something is wrong it says what it saw, and when.

# %% nbgrader={"grade": true, "grade_id": "first-policy-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.least_loaded(Fewest())

# %% [markdown]
# ## What is it good for?
#
# All policies get the *same* requests; the intervals are over independent replications.

# %%
from lbsim import teach

cluster = lbsim.Cluster(workers=8)
workload = lbsim.data.heavy_tailed(cluster, load=0.8, n=teach.size(10_000), seed=1)
policies = [lbsim.policies.RoundRobin(), Fewest(), lbsim.policies.CentralQueue()]
result = lbsim.compare(workload, policies, cluster, replications=4, seed=1)
teach.ranked(result, "p99")

# %%
print(result.runs["Fewest()"].slowest(1)[0])
ax = lbsim.plot.timeline(result.runs["Fewest()"])

# %% [markdown]
# Your policy decides when the request *arrives*, and a worker that looks good then may be about to spend two seconds
# on a search. The central queue decides when a worker is free.
#
# **Further.** Break your policy on purpose: return 99; forget the `return`; remember something in a global. Read what
# `lbsim.check_policy` says.
