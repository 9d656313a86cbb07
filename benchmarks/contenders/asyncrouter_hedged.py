"""asyncrouter: the same chain with a hedge at p95, and the hedge's default budget."""

from functools import partial

from _contender import main
from asyncrouter_chain import contender

if __name__ == "__main__":
    main(partial(contender, hedge={"after": "p95"}))
