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
# # 9. The power of two choices, and stale information
#
# **Question.** 64 chefs. Looking at all of them before each order takes too long. How much is lost if the waiter
# looks at two, picked at random, and takes the less busy one?

# %%
import lbsim
from lbsim import teach

N = teach.size(30_000, quick=2000)
WARM = N // 12  # requests left out: the kitchen starts empty
P = lbsim.policies

cluster = lbsim.Cluster(workers=64)
workload = lbsim.Workload.synthetic(
    N, service=lbsim.Exponential(0.010), load=0.9, cluster=cluster, seed=1
)
blind = lbsim.simulate(workload, P.Random(), cluster, seed=1)
teach.table({"look at 1": blind}, "mean p99", warmup=WARM)

# %% [markdown]
# ## Predict
#
# Looking at one, that is at random, gives a p99 of about 0.4 s. Looking at all 64 gives
# about 50 ms.

# %%
guess = teach.predict("p99 when the waiter looks at two?", unit="ms")
guess

# %% [markdown]
# ## Run

# %%
looks = {"look at 1": blind}
for d in (2, 3, 8):
    looks[f"look at {d}"] = lbsim.simulate(workload, P.PowerOfD(d), cluster, seed=1)
looks["look at all"] = lbsim.simulate(workload, P.LeastConnections(ties="random"), cluster, seed=1)
teach.table(looks, "mean p99", warmup=WARM)

# %%
ax = guess.reveal(looks["look at 2"].summary(warmup=WARM)["p99"] * 1e3)

# %% [markdown]
# Two looks do most of it: the p99 falls from `386` to `92.4` ms, and the other 62 looks take it to
# `51.4`. The theory for very many workers says why: with one look the share of queues longer than k falls
# like 0.9^k, with two like 0.9^(2^k - 1).

# %%
for d in (1, 2):
    tails = [lbsim.theory.power_of_d_queue_tail(k, d, 0.9) for k in (1, 5, 10)]
    print(f"look at {d}: queues of at least 1, 5, 10: " + ", ".join(f"{t:.2g}" for t in tails))

# %% [markdown]
# ## What if the information is old?
#
# Now the waiter does not look himself; a board shows how many orders each chef has, and it is renewed only now and then.
#
# ## Predict

# %%
second = teach.predict(
    "The board is renewed every 100 ms (ten orders' time). Lowest p99?",
    choices=["look at 1", "look at 2", "look at 8", "look at all"],
    unit="ms",
)
second

# %%
ages = [0, 20, 100, 200]
policies = {
    "look at 1": P.Random(),
    "look at 2": P.PowerOfD(2),
    "look at 8": P.PowerOfD(8),
    "look at all": P.LeastConnections(ties="random"),
}
p99 = {name: {} for name in policies}
for age in ages:
    board = lbsim.Cluster(workers=64, info_every_s=age / 1e3)
    for name, policy in policies.items():
        run = lbsim.simulate(workload, policy, board, seed=1)
        p99[name][age] = run.summary(warmup=WARM)["p99"] * 1e3
print("p99 [ms], board renewed every" + "".join(f"{age:>7}" for age in ages) + "  ms")
for name, row in p99.items():
    print(f"{name:29}" + "".join(f"{value:7,.0f}" for value in row.values()))

# %%
ax = second.reveal({name: row[100] for name, row in p99.items()})

# %%
herd = lbsim.simulate(
    workload, P.LeastConnections(ties="random"), lbsim.Cluster(64, info_every_s=0.2), seed=1
)
ax = lbsim.plot.queue_lengths(herd, begin=2.0, end=4.0)

# %% [markdown]
# ## What happened and why
#
# With a fresh board looking at all is best. With an old one it becomes the worst: everybody sees the same
# shortest queue and goes there, until the board is renewed. The picture shows the herd: each renewal turns a few idle workers into the
# most crowded ones. Looking at all with a board of 200 ms has a p99 of `8,613` ms, more than twenty times that of
# not looking.
#
# Two looks need no coordination and survive old information, since chance keeps the herd apart. The more a
# policy trusts the board, the more an old board hurts it. A single master always has a fresh one; many masters, or a
# load balancer that polls, do not.
#
# **Try this.**
#
# - Eight workers instead of 64. Is an old board as bad?
# - `info_delay_s=0.1` (every look is 0.1 s old, but at each moment another one) in place of `info_every_s`.
# - `PowerOfD(2, distinct=False)`: the same chef may be drawn twice. What does that cost with 2 workers? With 64?
