"""What a router has learned, and what it lets through: may this model be tried now?"""

from asyncrouter._policies.breaker import Breaker
from asyncrouter._policies.budget import Bucket, HedgeBudgets
from asyncrouter._policies.latency import Histogram, Latency
from asyncrouter._policies.lease import Lease
from asyncrouter._policies.pacing import Pacer, Turn
from asyncrouter._policies.policies import Policies
from asyncrouter._policies.retry_budget import RetryBudget
from asyncrouter._policies.standing import Standing
from asyncrouter._policies.target import Account, Target

__all__ = [
    "Account",
    "Breaker",
    "Bucket",
    "HedgeBudgets",
    "Histogram",
    "Latency",
    "Lease",
    "Pacer",
    "Policies",
    "RetryBudget",
    "Standing",
    "Target",
    "Turn",
]
