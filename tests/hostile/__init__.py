"""Hostile input, and one command that runs all attacks: `python -m tests.hostile`.

`attacks.py` names the tests of each kind of attack, wherever in the suite they stand. `responses.py` sends a router
damaged and hostile responses of all four wires: a million of them by `python -m tests.hostile --responses 1000000`.
`arguments.py` is the same for arguments, configurations, keys, header fields and rows, with the values of `values.py`:
`python -m tests.hostile.arguments`.
"""
