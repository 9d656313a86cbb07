"""Pools: which member of a pool a call goes to."""
