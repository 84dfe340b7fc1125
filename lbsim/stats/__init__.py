"""Statistics of runs, on plain arrays.

    warmup         how much of the beginning to leave out (MSER-5)
    intervals      Interval; Student's t over replications
    blocks         how long the blocks of a block bootstrap should be
    bootstrap      intervals of means, quantiles and quantile ratios of one autocorrelated run
    paired         paired differences, sign test, Holm's correction
    ranking        ranks with ties
    resampled      intervals of a trace from simulations of its resamples
    balance        Jain's fairness, imbalance, coefficient of variation, shares
    paths          counts over time, queue lengths
    occupancy      utilisation, waiting, idle while waiting: exact time averages
    distributions  CCDF, quantiles, Q-Q points, Kolmogorov-Smirnov and Wasserstein distance
    buckets        log-linear buckets as integer arithmetic that compiles
    histogram      mergeable histogram, 0.1 % at any quantile
    hdr            HdrHistogram's file formats
    moments        mergeable mean, variance, skewness, extremes
    samples        what all of these ask of their data

Times are in seconds unless a function says otherwise; bad input raises `lbsim.InputError`.
"""

from lbsim.stats.balance import coefficient_of_variation, imbalance, jain, shares
from lbsim.stats.blocks import block_length
from lbsim.stats.bootstrap import mean_interval, quantile_intervals, quantile_ratio_intervals
from lbsim.stats.distributions import ccdf, ks_distance, qq_points, quantile, wasserstein_distance
from lbsim.stats.histogram import Histogram
from lbsim.stats.intervals import Interval, replication_interval
from lbsim.stats.moments import Moments
from lbsim.stats.occupancy import Occupancy, occupancy
from lbsim.stats.paired import PairedDifference, holm, paired_difference, paired_differences
from lbsim.stats.paths import Path, count_path, queue_lengths
from lbsim.stats.ranking import Ranked, rank
from lbsim.stats.resampled import resampled_interval
from lbsim.stats.warmup import WarmUp, mser5

__all__ = [
    "Histogram",
    "Interval",
    "Moments",
    "Occupancy",
    "PairedDifference",
    "Path",
    "Ranked",
    "WarmUp",
    "block_length",
    "ccdf",
    "coefficient_of_variation",
    "count_path",
    "holm",
    "imbalance",
    "jain",
    "ks_distance",
    "mean_interval",
    "mser5",
    "occupancy",
    "paired_difference",
    "paired_differences",
    "qq_points",
    "quantile",
    "quantile_intervals",
    "quantile_ratio_intervals",
    "queue_lengths",
    "rank",
    "replication_interval",
    "resampled_interval",
    "shares",
    "wasserstein_distance",
]
