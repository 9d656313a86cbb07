"""Fuzzing: answers and errors that providers really send, damaged at random, fed to every decoder and the classifier.

`python -m tests.fuzz --inputs 1000000` tries so many, from one seed; what fails prints the command that replays it.
`seeds.py` holds what is damaged, `mutate.py` damages it, `check.py` says what must hold however bad the damage,
`sdk.py` how the vendors' own clients read the same bytes, `growth.py` that twice the input takes twice the time.
"""
