"""What a router has learned, and what it lets through: may this model be tried now?"""

from asyncrouter._policies.budget import Bucket, HedgeBudgets
from asyncrouter._policies.lease import Lease, Policies
from asyncrouter._policies.standing import Standing

__all__ = ["Bucket", "HedgeBudgets", "Lease", "Policies", "Standing"]
