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
# # 8. Heavy tails, and why the mean lies
#
# **Question.** Four restaurants. In each an order takes 10 minutes on average, and each kitchen is 70 % busy. Do
# their guests wait the same?
#
# Here a minute is a millisecond. In the first restaurant every order takes the same time. In the second times are
# exponential. In the third and fourth they are *heavy-tailed* (Pareto, cut off at 1 s and at 5 s): most orders are
# quick, and a few are enormous.

# %%
import numpy as np

import lbsim
from lbsim import teach

N = teach.size(40_000)
LAWS = {
    "constant": lbsim.Deterministic(0.010),
    "exponential": lbsim.Exponential(0.010),
    "heavy": lbsim.BoundedPareto(alpha=1.5, mean=0.010, maximum=1.0),
    "very heavy": lbsim.BoundedPareto(alpha=1.1, mean=0.010, maximum=5.0),
}
cluster = lbsim.Cluster(workers=8)
workloads = {
    name: lbsim.Workload.synthetic(N, service=law, load=0.7, cluster=cluster, seed=1)
    for name, law in LAWS.items()
}
print(f"{'service time [ms]':18}{'mean':>8}{'median':>8}{'p99':>8}{'max':>8}   work in the top 1 %")
for name, w in workloads.items():
    s = np.sort(w.service) * 1e3
    top = s[-N // 100 :].sum() / s.sum()
    print(
        f"{name:18}{s.mean():8.1f}{np.median(s):8.1f}{np.quantile(s, 0.99):8.1f}{s[-1]:8.0f}{top:10.0%}"
    )

# %% [markdown]
# ## Predict
#
# Rotation over eight workers, 70 % load. With constant times the 99th percentile of the latency is about 17 ms.

# %%
guess = teach.predict("p99 of the very heavy one?", unit="ms")
guess

# %% [markdown]
# ## Run

# %%
rotation = {
    name: lbsim.simulate(w, lbsim.policies.RoundRobin(), cluster, seed=1)
    for name, w in workloads.items()
}
teach.table(rotation, "mean p50 p99 worst utilisation")

# %%
ax = guess.reveal(rotation["very heavy"].quantile(0.99) * 1e3)

# %%
ax = lbsim.plot.ccdf(rotation)

# %% [markdown]
# ## Which policy helps?

# %%
central = {
    name: lbsim.simulate(w, lbsim.policies.CentralQueue(), cluster, seed=1)
    for name, w in workloads.items()
}
teach.table(central, "mean p50 p99 worst utilisation")

# %% [markdown]
# ## The mean is not where anybody is

# %%
run = rotation["heavy"]
mean = np.nanmean(run.latency)
print(
    f"heavy, rotation: mean latency {mean * 1e3:.0f} ms; {(run.latency > mean).mean():.0%} were slower"
)
for n in (N // 40, N // 10, N // 4, N):
    print(f"  mean of the first {n:6,} requests: {run.latency[:n].mean() * 1e3:5.0f} ms")
print(run.slowest(1)[0])

# %%
leaves = [1, 10, 100]
for n in leaves:
    share = lbsim.theory.fan_out_slow(n, 0.99)
    print(f"a page made of {n:3} requests is slower than one request's p99 with chance {share:.0%}")

# %% [markdown]
# ## What happened and why
#
# Mean service time and utilisation are the same in all four, and the latencies differ by orders of magnitude. A worker that has
# drawn an order of a second is blocked for a second, and rotation goes on sending it every eighth request. What the
# mean hides is how the work is *distributed*: in the very heavy case 1 % of the requests carries `42%`
# of the work.
#
# With constant times the choice of policy does not matter: rotation and the central queue are equal. The heavier the tail, the
# more it matters. The central queue cannot make the enormous orders shorter (look at its worst latency), but nobody needs to stand behind
# them while another worker is free.
#
# And the mean latency lies in three ways. Here `22%` of the requests are slower than it. It does not settle: the mean over the first thousand requests is less than half of
# the mean over all. And users do not feel a mean: a page that needs a hundred
# answers waits for the slowest of them, and in `63%` of all cases
# that includes one of the slowest 1 %.
#
# And now with sliders: load, workers, tail (a smaller index is a heavier tail), two policies. Each change runs
# 100,000 requests again.

# %%
explorer = lbsim.explore(requests=teach.size(100_000))
explorer

# %% [markdown]
# **Try this.**
#
# - `maximum=50.0` for the very heavy law. Does the mean of the *service times* still come out at 10 ms?
# - Which load makes the constant restaurant as bad as the heavy one at 0.7?
# - Run the heavy one with ten seeds and compare the p99. How many digits of it would you put into a report?
