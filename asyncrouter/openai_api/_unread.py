"""The timeouts of a call whose answer nobody reads while it comes.

The limits on the first content and between contents need a stream from the provider, which takes several times the
processor time of one JSON body. A client that has asked for no stream sees none of it. So where nobody has set these
limits to a number, nor a hedge, such a call goes without them: then its answer comes as one body
(`wire_stream = "auto"`), and `total` and the deadline limit it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from asyncrouter import AutoSeconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter import Config, ExplainedStep, Router

MAX_CHOICES: Final = 1000
"""Choices of models that are remembered; they come from clients."""
_CHOICE: Final = ("task", "tier", "model")
_LIMITS: Final = ("first_token", "idle")
_NO_LIMITS: Final[Mapping[str, None]] = dict.fromkeys(_LIMITS)


class UnreadLimits:
    """Arguments of `Router.chat` for calls that nobody reads along, by what says their models."""

    __slots__ = ("_config", "_known")

    def __init__(self) -> None:
        self._config: Config | None = None
        self._known: dict[tuple[object, ...], Mapping[str, None]] = {}

    def of(self, router: Router, options: Mapping[str, object]) -> Mapping[str, None]:
        """The arguments to add to `options`. Raises what `Router.explain` raises."""
        config = router.config
        if config is not self._config or len(self._known) >= MAX_CHOICES:
            self._config, self._known = config, {}
        chain = options.get("chain")
        key = (*map(options.get, _CHOICE), tuple(chain) if isinstance(chain, list) else None)
        found = self._known.get(key)
        if found is None:
            choice = {name: options[name] for name in (*_CHOICE, "chain") if name in options}
            if "task" in choice and choice["task"] not in config.tasks:
                choice["task"] = "default"  # whose chain an unknown one uses; the call itself says so
            plan = router.explain(**choice)  # type: ignore[arg-type]  # as read from a request
            bare = plan.hedge is None and all(map(_has_no_limit, (*plan.steps, *plan.on_context)))
            found = self._known[key] = _NO_LIMITS if bare else {}
        return found


def _has_no_limit(step: ExplainedStep) -> bool:
    """Whether nobody has set a number as a limit on the contents of a step's answer."""
    limits = [getattr(step, name) for name in _LIMITS]
    return all(limit is None or isinstance(limit, AutoSeconds) for limit in limits)
