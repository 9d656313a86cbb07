"""Limits and budget divided among worker processes, which share nothing while they run."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING

from asyncrouter import Config, Router

if TYPE_CHECKING:
    from asyncrouter.batch._job_options import JobOptions


def divided(config: Config, count: int) -> Config:
    """A configuration for one of `count` processes: every model's `rpm`, `tpm` and `max_concurrent` divided by it.

    `max_concurrent` is rounded down, but is at least 1. Limits that are not set stay so.
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
    return replace(config, models=models)


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


def router_of(config: Config, number: int, count: int) -> Router:
    """A router with this configuration, for process `number` of `count`; it can be pickled, as a lambda cannot."""
    return Router(config)
