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
# # Exercise 2. Mend a biased coin
#
# A colleague wrote a random policy. In the tests it was perfectly even. In production one worker is always the
# busiest, but only on days on which something has crashed.

# %%
import lbsim
from lbsim.teach import checks


class Biased(lbsim.Policy):
    """Draw a worker; if it is down, take the next one."""

    def choose(self, request, cluster):
        n = len(cluster.is_up)
        worker = int(cluster.rng.random() * n)
        while not cluster.is_up[worker]:
            worker = (worker + 1) % n
        return worker


lbsim.check_policy(Biased())  # the contract is kept: the bias is no crash

# %% [markdown]
# **Task.** Find out who gets too much, and why. Then write a random policy that gives every worker that
# is up the same chance.
#
# To see the bias, crash a worker for good and count:

# %%
cluster = lbsim.Cluster(5, faults=lbsim.Faults(lbsim.Crash(2, at=0.0), restart_s=1e9))
workload = lbsim.Workload.synthetic(
    4000, service=lbsim.Exponential(0.010), load=0.4, cluster=cluster, seed=1
)
run = lbsim.simulate(workload, Biased(), cluster, seed=1)
print({worker: int((run.worker == worker).sum()) for worker in range(5)})


# %% nbgrader={"grade": false, "grade_id": "fair-coin", "locked": false, "schema_version": 3, "solution": true, "task": false}
class Fair(lbsim.Policy):
    def choose(self, request, cluster):
        ### BEGIN SOLUTION
        return cluster.up[int(cluster.rng.random() * len(cluster.up))]
        ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "fair-coin-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.fair_random(Fair())

# %% [markdown]
# **Further.** `round(rng.random() * (n - 1))` is another favourite. Who gets too little there, and how little?
