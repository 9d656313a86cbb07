"""Limits and budgets divided among worker processes, where these share nothing while they run."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING

from asyncrouter import Budget, Config, Router

if TYPE_CHECKING:
    from asyncrouter import Shared
    from asyncrouter.batch._job_options import JobOptions


def divided(config: Config, count: int) -> Config:
    """A configuration for one of `count` processes: the budget, and every model's `rpm`, `tpm` and `max_concurrent`,
    divided by it.

    `max_concurrent` is rounded down, but is at least 1. Limits that are not set stay so. A router with `shared` needs
    none of this.
    """
    models = {
        name: replace(
            model,
            rpm=None if model.rpm is None else model.rpm / count,
            tpm=None if model.tpm is None else model.tpm / count,
            max_concurrent=None if model.max_concurrent is None else max(1, model.max_concurrent // count),
        )
        for name, model in config.models.items()
    }
    return replace(config, models=models, budget=None if config.budget is None else _part(config.budget, count))


def _part(budget: Budget, count: int) -> Budget:
    tags = {name: replace(one, usd=None if one.usd is None else one.usd / count)
            for name in budget.tags if (one := budget.of_tag(name)).usd is not None}
    return replace(budget, usd=None if budget.usd is None else budget.usd / count, tags=tags)


def divided_options(options: JobOptions, count: int) -> JobOptions:
    """A job's options for one of `count` processes: concurrency, budget and `min_rows` divided by it.

    `limit` stays: each process counts all pending rows.
    """
    rules = options.rules
    budget = None if rules.budget_usd is None else rules.budget_usd / count
    return replace(
        options, concurrency=ceil(options.concurrency / count),
        rules=replace(rules, budget_usd=budget, min_rows=max(1, rules.min_rows // count)),
    )


def router_of(config: Config, shared: Shared | None, number: int, count: int) -> Router:
    """A router with this configuration, for process `number` of `count`; it can be pickled, as a lambda cannot."""
    return Router(config, shared=shared)
