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
# # 10. Routing by size, and when it loses
#
# **Question.** Supermarkets have an express checkout. Should a cluster have one?
#
# *Size-interval assignment* gives each worker an interval of request sizes. Worker 0 gets the small ones, the last worker the
# huge ones, and the borders are chosen so that each has the same amount of work. A small request never waits
# behind a huge one. The price: a request may go to one worker only, even if all others are idle.

# %%
import numpy as np

import lbsim
from lbsim import teach

N = teach.size(30_000)
REPLICATIONS = teach.size(8, quick=2)
P = lbsim.policies
cluster = lbsim.Cluster(workers=4)


def borders(law):
    """Sizes that cut the work into four equal parts, from a large sample of the law."""
    sizes = np.sort(law.draw(np.random.default_rng(0), 1_000_000))
    work = np.cumsum(sizes) / sizes.sum()
    return [float(sizes[np.searchsorted(work, share)]) for share in (0.25, 0.5, 0.75)]


def compare(law, size_error, load=0.7):
    """All policies on the same requests, several times."""
    workload = lbsim.Workload.synthetic(
        N, service=law, load=load, cluster=cluster, size_error=size_error, seed=1
    )
    policies = {
        "least connections": P.LeastConnections(),
        "by size": P.SizeInterval(borders(law)),
        "central queue": P.CentralQueue(),
        "central, shortest first": P.CentralQueue(order="shortest"),
    }
    return lbsim.compare(workload, policies, cluster, replications=REPLICATIONS, seed=1)


VERY_HEAVY = lbsim.BoundedPareto(alpha=1.1, mean=0.010, maximum=2.0)

# %% [markdown]
# ## Predict
#
# A very heavy tail (a few requests carry much of the work), sizes known exactly, 70 % load.

# %%
NAMES = ["least connections", "by size", "central queue", "central, shortest first"]
guess = teach.predict("Lowest p99 first", order=NAMES, unit="ms")
guess

# %% [markdown]
# ## Run

# %%
heavy = compare(VERY_HEAVY, size_error=0.0)
teach.ranked(heavy, "p99")

# %%
ax = guess.reveal({name: heavy.interval(name, "p99").estimate * 1e3 for name in NAMES})

# %% [markdown]
# Among the policies that decide at once, routing by size has less than half the p99 of least connections. It is as
# good as a central queue that knows nothing of sizes: the two share a rank, since their difference could be chance. Now
# the same with an ordinary distribution:

# %%
light = compare(lbsim.Exponential(0.010), size_error=0.0)
teach.ranked(light, "p99")

# %% [markdown]
# And with the very heavy one again, but clients know their size only roughly: the estimate is off by a random
# factor (the standard deviation of its logarithm is 1, so one in three is off by more than e = 2.7).

# %%
rough = compare(VERY_HEAVY, size_error=1.0)
teach.ranked(rough, "p99")

# %% [markdown]
# ## What happened and why
#
# Size intervals trade freedom for protection. They pay when sizes are so unequal that a small request must be
# protected: p99 `295` ms against `661`. With exponential sizes there is little to protect from, and what is left is the price:
# by size is last, at more than twice the p99 of least connections.
#
# And they need to know. An estimate that is off by a factor of three sends large requests to the small
# ones' worker, where everybody must wait for them; and the borders no longer cut the work into equal parts. The
# p99 rises from `295` to `536` ms.
#
# *Central, shortest first* uses the same rough estimates and hardly suffers, `188` to `218` ms: a wrong estimate puts a request at
# a wrong place in one queue, but it never overloads a worker. Who may hold requests should let the size decide the
# *order*. Who must decide at once, knows sizes well, and has a heavy tail, may let it decide the *place*.
#
# **Try this.**
#
# - `alpha=1.5`: a tail between the two. Who wins?
# - At which `size_error` does routing by size stop being better than least connections?
# - Load 0.9. Which row suffers most, and why that one?
