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
# # 13. Your own access log
#
# **Question.** All this was about made-up traffic. What would another policy have done for *yours*?
#
# Put the name of your log here: nginx with `$request_time`, Apache with `%D`, CSV or Parquet with columns for
# arrival and duration; gzip or not. Without one, the lesson uses a log that it writes itself.

# %%
import tempfile
from pathlib import Path

import lbsim
from lbsim import teach
from lbsim.teach.logs import write_example_log

LOG = None  # for example "/var/log/nginx/access.log.1"
WORKERS = 4

if LOG is None:
    LOG = Path(tempfile.mkdtemp()) / "access.log"
    write_example_log(LOG, n=teach.size(12_000), seed=1)
    print(*LOG.read_text().splitlines()[:2], sep="\n")

# %% [markdown]
# ## Read and look
#
# What comes out of a log is never quite what you think. Read the description before you run anything.

# %%
workload = lbsim.Workload.from_trace(LOG, skip_bad=True)
lbsim.workload.describe(workload)

# %%
cluster = lbsim.Cluster(workers=WORKERS)
print(f"offered load on {WORKERS} workers as it is: {workload.offered_load(cluster):.2f}")

# %% [markdown]
# Two things to know. The duration in a log includes the waiting on the server that wrote it; taken as a service time
# it is too long, more so if that server was busy. And a log holds only the requests that were answered.
#
# ## Predict
#
# The load as it is tells what your machines need today. The interesting question is what happens when there is more.
# `scaled` stretches the gaps between requests and keeps their pattern.

# %%
policies = [
    lbsim.policies.RoundRobin(),
    lbsim.policies.NodeCluster(),
    lbsim.policies.PowerOfD(2),
    lbsim.policies.LeastConnections(),
    lbsim.policies.CentralQueue(),
]
guess = teach.predict("Your traffic at 60 % load: lowest p99 first", order=policies, unit="ms")
guess

# %% [markdown]
# ## Run

# %%
result = lbsim.compare(
    workload.scaled(0.6, cluster),
    policies,
    cluster,
    replications=teach.size(20, quick=3),
    seed=1,
)
teach.ranked(result, "p99")

# %%
ax = guess.reveal({p: result.interval(p, "p99").estimate * 1e3 for p in result.policies})

# %%
ax = result.plot()

# %% [markdown]
# ## What happened and why
#
# A log cannot be drawn again, so the intervals come from resampling it in blocks: pieces of consecutive requests, so
# that bursts stay bursts.

# %%
print(result.method)
for story in result.runs["RoundRobin()"].slowest(3):
    print("-", story)

# %% [markdown]
# In the example log rotation has a p99 of `2,348` ms, and the central queue `518`, on the same requests.
#
# The slowest requests tell more than the table: what did they wait behind, and was anybody idle meanwhile? If yes,
# another policy helps. If no worker was idle, no policy will; you need fewer, shorter or better spread
# requests, or more workers.
#
# And now the report, for whoever must decide: one page, with everything on it.

# %%
page = result.report(Path(tempfile.mkdtemp()) / "report.html")
print(page.name, f"{page.stat().st_size // 1000} kB")

# %% [markdown]
# From the command line it is `lbsim compare access.log --workers 4 --load 0.6`.
#
# **Try this.**
#
# - How many workers would you need for a p99 below 200 ms under each policy? (Change `WORKERS`, keep the arrivals: leave out
#   `scaled`.)
# - `columns={"kind": "path"}` in `from_trace`: which kind of request is it that others wait behind?
# - Take the busiest hour only: `workload.window(begin, end)`.
