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
# # Exercise 5. Why is the 99th percentile bad?
#
# Four small sites with four workers each. A typical request takes about 7 ms, and the p99 of every site is hundreds of
# milliseconds. You get what an operator has: a table of requests. The cause is one of
#
# - `"slow worker"`: one worker computes more slowly than the others (say which `worker`, and `since` when);
# - `"hot session"`: one session sends so much that its worker cannot keep up (say which `key`, and at which `worker`);
# - `"blocking kind"`: one kind of request is so long that others wait behind it (say which `kind`);
# - `"too little capacity"`: there is simply too much work for the four.
#
# **Task.** Find the cause of each.
#
# How to look: latency = waiting + time in service. Which of the two is it? Group by `worker`, by `kind`, by `key`, by time.

# %%
import numpy as np

from lbsim.teach import cases, checks

traces = {name: cases.case(name) for name in cases.CASES}
traces["a"].head()

# %%
for name, t in traces.items():
    waiting = t["started"] - t["arrival"]
    service = t["finished"] - t["started"]
    print(
        f"case {name}: p99 latency {1e3 * t['latency'].quantile(0.99):4.0f} ms, "
        f"waiting {1e3 * waiting.quantile(0.99):4.0f} ms, in service {1e3 * service.quantile(0.99):4.0f} ms"
    )

# %% [markdown]
# Your own looking goes here:

# %% nbgrader={"grade": false, "grade_id": "looking", "locked": false, "schema_version": 3, "solution": true, "task": false}
### BEGIN SOLUTION
for name, t in traces.items():
    service = t["finished"] - t["started"]
    span = t["finished"].max() - t["arrival"].min()
    print(f"case {name}")
    print(
        "  busy, by worker:      ", (service.groupby(t["worker"]).sum() / span).round(2).to_dict()
    )
    print(
        "  median service, ms:   ", (1e3 * service.groupby(t["worker"]).median()).round(1).to_dict()
    )
    print(
        "  by kind, ms:          ", (1e3 * service.groupby(t["kind"]).median()).round(1).to_dict()
    )
    top = t["key"].value_counts(normalize=True)
    home = t.loc[t["key"] == top.index[0], "worker"].mode()[0]
    print(f"  most active session:   {top.index[0]} {top.iloc[0]:.1%}, at worker {home}")
t = traces["a"]
t = t[t["worker"] == 2]
service = t["finished"] - t["started"]
second = np.floor(t["arrival"])
print((1e3 * service.groupby(second).mean()).round(0).loc[5:20].to_dict())
### END SOLUTION

# %% [markdown]
# Your answers: one entry a case, such as `"a": {"cause": "hot session", "worker": 3, "key": 1234}`.

# %% nbgrader={"grade": false, "grade_id": "diagnosis", "locked": false, "schema_version": 3, "solution": true, "task": false}
### BEGIN SOLUTION
answers = {
    "a": {"cause": "slow worker", "worker": 2, "since": 12.0},
    "b": {"cause": "hot session", "worker": 0, "key": 7871888486120124124},
    "c": {"cause": "blocking kind", "kind": 1},
    "d": {"cause": "too little capacity"},
}
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "diagnosis-check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
for name in cases.CASES:
    print(checks.diagnosis(name, **answers[name]))
