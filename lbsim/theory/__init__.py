"""What queueing theory says a correct simulation must show: closed forms and exact chains.

    single          M/M/1 under several orders of service; how long a run must be
    many            M/M/c, the central queue: Erlang's B and C
    finite          M/M/c/K: limited room
    general         M/G/1 under FCFS and processor sharing; M/D/1 quantiles
    renewal         GI/M/1: round robin; Kingman
    priority        Cobham, preemptive-resume, M/M/c with classes
    split           random and weighted dispatch, static shares
    shortest_queue  join the shortest queue, JBSQ(k): exact for a few workers
    power_of_d      the shortest of d: many workers
    size_interval   SITA: a worker for each interval of sizes
    hedging         second copies, fan-out
    breakdowns      a worker that fails and is repaired
    impatience      clients that give up

Rates are per second and times in seconds; with a service rate of 1 they are in units of the mean
service time. A load of 1 or more raises `lbsim.InputError`. Results beyond FCFS, Poisson arrivals
and equal workers say so in their names.
"""

from lbsim.theory.breakdowns import availability, breakdown_mean
from lbsim.theory.finite import FiniteQueue, mmck
from lbsim.theory.general import (
    md1_quantile,
    md1_wait_quantile,
    md1_wait_tail,
    mg1_mean,
    mg1_ps_mean,
    mg1_ps_time,
    mg1_wait_mean,
    mg1_wait_variance,
)
from lbsim.theory.hedging import fan_out_slow, hedged_mean, hedged_quantile, hedged_share
from lbsim.theory.impatience import abandoned_share
from lbsim.theory.many import (
    erlang_b,
    erlang_c,
    mmc_mean,
    mmc_quantile,
    mmc_tail,
    mmc_wait_mean,
    mmc_wait_quantile,
)
from lbsim.theory.power_of_d import (
    power_of_d_mean,
    power_of_d_quantile,
    power_of_d_queue_tail,
    power_of_d_tail,
)
from lbsim.theory.priority import mmc_priority_waits, preemptive_means, priority_waits
from lbsim.theory.renewal import (
    deterministic_transform,
    erlang_transform,
    gim1_mean,
    gim1_quantile,
    gim1_root,
    hyperexponential_transform,
    kingman_approximation,
    kingman_bound,
    round_robin_mean,
    round_robin_quantile,
)
from lbsim.theory.shortest_queue import jbsq_mean, jsq_mean
from lbsim.theory.single import (
    mm1_mean,
    mm1_quantile,
    mm1_relative_error,
    mm1_tail,
    mm1_variance,
    mm1_wait_quantile,
)
from lbsim.theory.size_interval import SizeIntervals, sita, sita_e_cutoffs
from lbsim.theory.split import optimal_split, split_mean

__all__ = [
    "FiniteQueue",
    "SizeIntervals",
    "abandoned_share",
    "availability",
    "breakdown_mean",
    "deterministic_transform",
    "erlang_b",
    "erlang_c",
    "erlang_transform",
    "fan_out_slow",
    "gim1_mean",
    "gim1_quantile",
    "gim1_root",
    "hedged_mean",
    "hedged_quantile",
    "hedged_share",
    "hyperexponential_transform",
    "jbsq_mean",
    "jsq_mean",
    "kingman_approximation",
    "kingman_bound",
    "md1_quantile",
    "md1_wait_quantile",
    "md1_wait_tail",
    "mg1_mean",
    "mg1_ps_mean",
    "mg1_ps_time",
    "mg1_wait_mean",
    "mg1_wait_variance",
    "mm1_mean",
    "mm1_quantile",
    "mm1_relative_error",
    "mm1_tail",
    "mm1_variance",
    "mm1_wait_quantile",
    "mmc_mean",
    "mmc_priority_waits",
    "mmc_quantile",
    "mmc_tail",
    "mmc_wait_mean",
    "mmc_wait_quantile",
    "mmck",
    "optimal_split",
    "power_of_d_mean",
    "power_of_d_quantile",
    "power_of_d_queue_tail",
    "power_of_d_tail",
    "preemptive_means",
    "priority_waits",
    "round_robin_mean",
    "round_robin_quantile",
    "sita",
    "sita_e_cutoffs",
    "split_mean",
]
