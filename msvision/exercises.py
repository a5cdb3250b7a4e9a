"""Exercises that check themselves."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from msvision.claims import show


def self_check(name: str, check: Callable[[], None]) -> None:
    """Run an exercise's check and show whether its answer is right; a wrong answer does not stop the notebook.

    Parameters
    ----------
    name
        Number of the exercise, such as ``"1.2"``.
    check
        A function that raises, by ``assert`` or otherwise, unless the answer is right.

    Examples
    --------
    >>> def check():
    ...     assert answer == 4, f"the answer is not {answer}"
    >>> answer = ...
    >>> self_check("1.1", check)
    Exercise 1.1 is open: the answer is not Ellipsis
    >>> answer = 4
    >>> self_check("1.1", check)
    Exercise 1.1 is solved.
    """
    try:
        check()
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        text, state = f"Exercise {name} is open: {reason}", "open"
    else:
        text, state = f"Exercise {name} is solved.", "solved"
    show(text, f'<div class="msv-check msv-check-{state}">{escape(text)}</div>')
