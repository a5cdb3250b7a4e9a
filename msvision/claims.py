"""Claims: sentences of the book that are checked where they are made."""

from __future__ import annotations

from html import escape

MIME = "application/vnd.msvision.claim+json"  # what a claim is kept as among the outputs of a notebook


def claim(
    sentence: str,
    measured: float,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    digits: int = 2,
) -> None:
    """Show a sentence with the number that supports it, and stop if the number does not.

    Parameters
    ----------
    sentence
        What is claimed, as the text says it.
    measured
        The number that the code above has measured.
    at_least, at_most
        What it must be for the sentence to be true; one of them or both.
    digits
        Significant digits shown of ``measured``.

    Raises
    ------
    AssertionError
        If ``measured`` is outside the bounds, or is not a number.
    ValueError
        If no bound is given.

    Examples
    --------
    >>> claim("Two levels need a quarter more memory than one", 1.25, at_most=1.25, digits=3)
    claim holds: Two levels need a quarter more memory than one — measured 1.25, at most 1.25
    """
    if at_least is None and at_most is None:
        raise ValueError("claim needs a bound: at_least=… or at_most=…, got neither")
    number = f"{float(measured):.{digits}g}"
    bounds = [
        f"{words} {limit:g}" for words, limit in (("at least", at_least), ("at most", at_most)) if limit is not None
    ]
    bound = " and ".join(bounds)
    # Written so that a number that is not one (nan) fails.
    holds = (at_least is None or measured >= at_least) and (at_most is None or measured <= at_most)
    if not holds:
        raise AssertionError(f"claim fails: {sentence} — measured {float(measured):.6g}, needs {bound}")
    show(
        f"claim holds: {sentence} — measured {number}, {bound}",
        f'<div class="msv-claim"><span class="msv-claim-sentence">{escape(sentence)}</span> '
        f'<span class="msv-claim-numbers">measured {number}, {bound}</span></div>',
        {MIME: {"sentence": sentence, "measured": number, "bound": bound}},
    )


def claims_of(notebook: dict) -> list[dict[str, str]]:
    """Every claim among a notebook's outputs, from top to bottom: its sentence, what was measured, and the bound.

    Examples
    --------
    >>> said = {"sentence": "One is less than two", "measured": "1", "bound": "at most 2"}
    >>> claims_of({"cells": [{"outputs": [{"data": {MIME: said}}]}]})
    [{'sentence': 'One is less than two', 'measured': '1', 'bound': 'at most 2'}]
    """
    bundles = [output.get("data", {}) for cell in notebook["cells"] for output in cell.get("outputs", [])]
    return [bundle[MIME] for bundle in bundles if MIME in bundle]


def show(text: str, html: str, data: dict | None = None) -> None:
    """Display HTML in a notebook, or print the text elsewhere."""
    try:
        from IPython import display, get_ipython
    except ModuleNotFoundError:
        get_ipython = None
    if get_ipython is None or get_ipython() is None:
        print(text)
    else:
        display.display({"text/plain": text, "text/html": html, **(data or {})}, raw=True)
