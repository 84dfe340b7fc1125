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
# # Exercise 3. A sticky policy that survives a crash
#
# Sessions live in the memory of a worker. So a session's requests should all go to one worker, and:
#
# 1. as long as that worker is up, the session stays there, *whatever happens to other workers*;
# 2. when it crashes, its sessions go on elsewhere, spread over all workers that are up;
# 3. each worker has about the same number of sessions.
#
# The obvious policy fails the first point. `cluster.up[hash % len(cluster.up)]` moves nearly *every*
# session when one worker crashes. Try it, and read what the check says.
#
# `lbsim.hash64(key, salt)` mixes a key (and a second number, if you like) into 63 random-looking bits, the same
# ones every time. A policy may keep arrays (made in `prepare`), but no dictionary: it must compile.

# %%
import lbsim
from lbsim.teach import checks


# %% nbgrader={"grade": false, "grade_id": "sticky", "locked": false, "schema_version": 3, "solution": true, "task": false}
class Home(lbsim.Policy):
    def choose(self, request, cluster):
        ### BEGIN SOLUTION
        # Every pair of session and worker has a score; the session lives at the highest score
        # that is up. When a worker goes, only the sessions it won are decided anew.
        best = cluster.up[0]
        highest = -1
        for worker in cluster.up:
            score = lbsim.hash64(request.key, worker)
            if score > highest:
                best = worker
                highest = score
        return best
        ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "sticky-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.sticky(Home())

# %% [markdown]
# ## What it costs
#
# Sessions that move lose what they had in memory. *Kept* is the share of requests that found their session where
# they went:

# %%
from lbsim import teach

cluster = lbsim.Cluster(8, faults=lbsim.Faults(lbsim.Crash(3, at=5.0), restart_s=5.0))
workload = lbsim.Workload.synthetic(
    teach.size(8000),
    service=lbsim.Exponential(0.010),
    sessions=lbsim.Sessions(2000, zipf=0.5),
    load=0.6,
    cluster=cluster,
    seed=1,
)
policies = {
    "yours": Home(),
    "hash % len(up)": lbsim.policies.KeyHash(),
    "table": lbsim.policies.Sticky(),
    "not sticky": lbsim.policies.LeastConnections(),
}
runs = {name: lbsim.simulate(workload, p, cluster, seed=1) for name, p in policies.items()}
teach.table(runs, "p50 p99 kept moved")

# %% [markdown]
# **Further.** When the worker is back, some of your sessions return to it and lose their memory a second time. A
# table that remembers where each session is (see `lbsim.policies.Sticky`) avoids that. What does the table cost?
