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
# # Exercise 4. Beat the power of two choices
#
# Nine in ten requests are pages (5 ms). One in ten is a search: 55 ms on average, up to 2 s, and most of the
# work. Eight workers, 80 % load. `PowerOfD(2)` looks at two workers drawn at random.
#
# **Task.** Write a policy whose 99th percentile is lower, on the same requests, by more than chance. It must
# answer every request and may not read `request.service`, which no real master knows. It may use:
#
# - `cluster.in_flight`, of as many workers as it likes;
# - `request.kind` (0 page, 1 search) and `request.size` (the client's estimate, within a factor of about 2);
# - `lbsim.HOLD`: keep the request in the central queue until a worker can take it. Then `slots` (how many
#   requests may be at a worker) and `rank(request)` (smallest first) decide what happens.

# %%
import lbsim
from lbsim.teach import checks

workload, cluster = checks.mixed_workload()
print(workload)
run = lbsim.simulate(workload, lbsim.policies.PowerOfD(2), cluster, seed=1)
print(run)
for story in run.slowest(3):
    print("-", story)


# %% nbgrader={"grade": false, "grade_id": "contest", "locked": false, "schema_version": 3, "solution": true, "task": false}
class Mine(lbsim.Policy):
    ### BEGIN SOLUTION
    # Late binding: a worker has one request, all others wait where they can still go anywhere.
    # And pages first: a page that waits behind a search waits for ten pages' time.
    slots = 1

    def choose(self, request, cluster):
        return lbsim.HOLD

    def rank(self, request):
        return float(request.kind)

    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "contest-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.beats_power_of_two(Mine())

# %% [markdown]
# **Further.** How low can you go? `lbsim.policies.LeastWorkLeft()` knows every service time. Is it a bound? And who pays
# for your policy: look at the searches alone (`run.latency[workload.kind == 1]`).
