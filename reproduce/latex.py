"""Values into LaTeX: escaping, and numbers as a paper prints them."""

import math
import re
import unicodedata
from typing import Any

_CHARACTERS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\ensuremath{<}",
    ">": r"\ensuremath{>}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "[": "{[}",  # an opening bracket after \\ would be read as its optional argument
    "]": "{]}",
    "±": r"\ensuremath{\pm}",
    "×": r"\ensuremath{\times}",
    "÷": r"\ensuremath{\div}",
    "−": r"\ensuremath{-}",
    "·": r"\ensuremath{\cdot}",
    "≤": r"\ensuremath{\le}",
    "≥": r"\ensuremath{\ge}",
    "≈": r"\ensuremath{\approx}",
    "≠": r"\ensuremath{\ne}",
    "∞": r"\ensuremath{\infty}",
    "→": r"\ensuremath{\to}",
    "∈": r"\ensuremath{\in}",
    "√": r"\ensuremath{\surd}",
    "‖": r"\ensuremath{\Vert}",
    "★": r"\ensuremath{\star}",
    "α": r"\ensuremath{\alpha}",
    "β": r"\ensuremath{\beta}",
    "γ": r"\ensuremath{\gamma}",
    "δ": r"\ensuremath{\delta}",
    "ε": r"\ensuremath{\epsilon}",
    "η": r"\ensuremath{\eta}",
    "λ": r"\ensuremath{\lambda}",
    "μ": r"\ensuremath{\mu}",
    "π": r"\ensuremath{\pi}",
    "ρ": r"\ensuremath{\rho}",
    "σ": r"\ensuremath{\sigma}",
    "φ": r"\ensuremath{\phi}",
    "ℓ": r"\ensuremath{\ell}",
    "Δ": r"\ensuremath{\Delta}",
    "Σ": r"\ensuremath{\Sigma}",
    "∇": r"\ensuremath{\nabla}",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "…": r"\ldots{}",
    "‘": "`",
    "’": "'",
    "“": "``",
    "”": "''",
    "°": r"\ensuremath{^\circ}",
    "†": r"\dag{}",
    "\u00a0": "~",
    "⁺": r"\ensuremath{^{+}}",
    "©": r"\textcopyright{}",
    "§": r"\S{}",
    "•": r"\textbullet{}",
    "ı": r"\i{}",
}
_CHARACTERS |= {digit: rf"\ensuremath{{_{value}}}" for value, digit in enumerate("₀₁₂₃₄₅₆₇₈₉")}
_LATIN = frozenset("ĂăĄąĆćČčĎďĘęĚěĞğŁłŃńŇňŐőŔŕŘřŚśŞşŠšŤťŮůŰűŸŹźŻżŽž")  # what T1 has beyond Latin-1
_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-", strict=True))
_EXPONENT = re.compile("[" + "".join(_SUPERSCRIPTS) + "]+")


class Tex(str):
    """LaTeX that is inserted as it is; every other value is escaped."""


def escape(value: Any) -> Tex:
    """Any value as LaTeX text that prints it literally; `Tex` passes unchanged, None prints nothing.

    Characters that pdflatex cannot set become a question mark: a strange label must not stop the report.
    """
    if isinstance(value, Tex):
        return value
    if value is None:
        return Tex("")
    text = " ".join(str(value).split("\n"))
    pieces, end = [], 0
    for run in _EXPONENT.finditer(text):
        digits = "".join(_SUPERSCRIPTS[character] for character in run.group())
        pieces += [_plain(text[end : run.start()]), rf"\ensuremath{{^{{{digits}}}}}"]
        end = run.end()
    return Tex("".join([*pieces, _plain(text[end:])]))


def _plain(text: str) -> str:
    # two hyphens in a row would become a dash: options are printed as they are typed
    return "".join(_CHARACTERS.get(character) or _printable(character) for character in text).replace("--", "-{}-")


def _printable(character: str) -> str:
    if 0x20 <= ord(character) < 0x7F or (0xC0 <= ord(character) < 0x100):  # ASCII and Latin-1 letters
        return character
    if character in _LATIN:
        return character
    base = unicodedata.normalize("NFKD", character)
    plain = "".join(_CHARACTERS.get(part, part if 0x20 <= ord(part) < 0x7F else "") for part in base)
    return plain or ("" if unicodedata.combining(character) else "?")


def number(value: float, digits: int = 3) -> str:
    """A number with `digits` significant digits, as text: 0.0123, 4.57, 312, 1.2×10⁻⁵; an infinite one is ∞."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(float(f"{value:.{digits - 1}e}"))))
    if -4 <= magnitude < 6:
        return f"{value:.{max(0, digits - 1 - magnitude)}f}".replace("-", "−")
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    raised = "".join("⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".index(character)] for character in str(int(exponent)))
    return f"{mantissa}×10{raised}".replace("-", "−")


def spread(mean: float, deviation: float | None, *, decimals: int | None = None) -> str:
    """`99.66 ± 0.05`, both with the same decimals; without a deviation the mean alone.

    Without `decimals`, enough for two significant digits of the deviation, or three of the mean where there is none;
    small numbers that would need more than five decimals, and large ones, keep their significant digits (`number`).
    """
    if math.isnan(mean):
        return "–"
    missing = deviation is None or math.isnan(deviation)
    if decimals is None:
        guide = mean if missing or deviation == 0 else deviation
        wanted = 3 if missing or deviation == 0 else 2
        decimals = max(0, wanted - 1 - math.floor(math.log10(abs(guide)))) if guide else 2
        if decimals > 5 or abs(mean) >= 1e6:
            first = number(mean)
            return first if missing or deviation is None else f"{first} ± {number(deviation, 2)}"
    first = f"{mean:.{decimals}f}".replace("-", "−")
    return first if missing or deviation is None else f"{first} ± {deviation:.{decimals}f}"
