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
# # 2. Why sharing evenly matters
#
# **Question.** Four chefs could cook everything if each got a quarter of the orders. Now the head waiter likes
# one of them a little too much, and she gets 30 % instead of 25 %. The kitchen as a whole is no busier than
# before. What do the guests notice?

# %%
import lbsim
from lbsim import teach

N = teach.size(40_000, quick=4000)


def kitchen(weights):
    """Four workers at 80 % load; requests are shared out at random in these proportions."""
    cluster = lbsim.Cluster(workers=4, weights=weights)
    workload = lbsim.Workload.synthetic(
        N, service=lbsim.Exponential(mean=0.010), load=0.8, cluster=cluster, seed=1
    )
    return lbsim.simulate(workload, lbsim.policies.WeightedRandom(), cluster, seed=1)


even = kitchen([25, 25, 25, 25])
print(even)

# %% [markdown]
# ## Predict
#
# With even shares the mean time is about 54 ms: 10 ms of work, the rest is waiting. One worker now gets
# 30 % of the requests, the others 23.3 % each. The total is the same.

# %%
guess = teach.predict("Mean latency when one worker gets 30 %?", unit="ms")
guess

# %% [markdown]
# ## Run

# %%
runs = {
    "25 25 25 25": even,
    "28 24 24 24": kitchen([28, 24, 24, 24]),
    "30 23.3 23.3 23.3": kitchen([30, 23.3, 23.3, 23.3]),
    "31 23 23 23": kitchen([31, 23, 23, 23]),
}
teach.table(runs, "mean p50 p99 imbalance utilisation")

# %%
ax = guess.reveal(runs["30 23.3 23.3 23.3"].latency.mean() * 1e3)

# %% [markdown]
# ## What happened and why
#
# The utilisation of the whole is the same in every row. But latency does not follow the mean load, it follows
# the load of the busiest worker, and it does so like 1 / (1 - load). A worker with 25 % of the requests
# runs at 80 % load; with 30 % it runs at 96 %, and its queue is six times as long. The median hardly
# moves, since most requests still go elsewhere. The 99th percentile, which is where the
# unlucky ones are, more than doubles.
#
# The formula for random sharing says the same (M/M/1 at each worker):

# %%
rate = 4 * 0.8 / 0.010
for shares in ([0.25] * 4, [0.30, 0.70 / 3, 0.70 / 3, 0.70 / 3]):
    mean = lbsim.theory.split_mean(rate, shares, [1 / 0.010] * 4)
    print(f"{shares[0]:.0%} for the first worker: mean {mean * 1e3:.1f} ms in the long run")

# %% [markdown]
# ## Even in number is not even in time
#
# All three policies below give each worker a quarter. They differ in *when*.

# %%
cluster = lbsim.Cluster(workers=4)
workload = even.workload
timing = {
    "at random": lbsim.simulate(workload, lbsim.policies.Random(), cluster, seed=1),
    "in turn": lbsim.simulate(workload, lbsim.policies.RoundRobin(), cluster, seed=1),
    "where fewest are": lbsim.simulate(
        workload, lbsim.policies.LeastConnections(), cluster, seed=1
    ),
}
teach.table(timing, "mean p50 p99 imbalance idle_while_waiting")

# %%
ax = lbsim.plot.queue_lengths(timing["at random"], begin=10.0, end=14.0)

# %% [markdown]
# The imbalance over the whole run is 1 or nearly so in each row. What
# differs is *idle while waiting*: the share of time in which some worker had nothing to do while a request waited
# elsewhere. Sharing evenly in the long run is not enough. What counts is that no worker
# stands idle while another has a queue, now.
#
# Seen in motion: the same 240 requests, at random on the left, where fewest are on the right. Press play, or drag.

# %%
lbsim.plot.animate(
    timing["at random"],
    timing["where fewest are"],
    window=(10.0, 10.75),
    labels=["at random", "where fewest are"],
)

# %% [markdown]
# **Try this.**
#
# - Lower the load to 0.5. Does the favourite matter as much?
# - Make one worker half as fast (`speeds=[0.5, 1, 1, 1]`) and keep the weights even. What should the weights be?
#   (Leave `weights` out and look at `cluster.weights`.)
# - How far can the favourite go before the run never settles? Calculate first.
