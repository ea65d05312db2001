"""What Golmant et al. claim, and the rule by which each claim is judged.

Declared before anything ran, but for those that the study's notes name.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from bsgap.analysis import mean_interval
from bsgap.errors import UsageError
from reproduce.claims import Claim
from reproduce.papers.golmant.effects import Effect, Values, at, difference, geometric_mean, judged, ratio
from reproduce.papers.golmant.figures import approximation_frame, longer_frame
from reproduce.papers.golmant.panels import Panel, curve, panel
from reproduce.papers.golmant.problems import (
    BASE,
    CONTOURS,
    DATA_SETS,
    LINEAR,
    NETWORKS,
    ROOT,
    STRATEGIES,
    present,
    problem,
)
from reproduce.papers.golmant.trials import batches, run, seeds
from reproduce.results import Results
from reproduce.study import Plan

LINEAR_EFFICIENCY = 0.8
SUBLINEAR_EFFICIENCY = 0.5
FLAT_GAIN = 1.2
PARTIAL_GAIN = 1.27
AHEAD = 1.1
DEARER = 1.5
ACCURACY_PER_DECADE = -0.5
BASELINE = 0.1
LONGER = 1.0

MEDIUM = (4, 32)
"""Batch sizes over the base that count as medium: 256 to 2048 over the paper's 64."""
PAST = 2048
"""Batch size past which the paper sees the linear approximation fail."""
HUGE = 1e6
"""Stands for an infinite error."""

MAIN = "ResNet34"


@dataclass(frozen=True)
class Context:
    """What every claim looks at; a panel, which takes its time, is made once."""

    plan: Plan
    results: Results
    panels: dict[tuple[str, float, int | None], Panel | str | None] = field(default_factory=dict, compare=False)

    def panel(self, name: str, fraction: float = 1.0, reference: int | None = None) -> Panel | str | None:
        """The panel of a problem; None where it is not run, the reason where it cannot be taken from its runs."""
        key = name, fraction, reference
        if key not in self.panels:
            self.panels[key] = self._panel(*key)
        return self.panels[key]

    def _panel(self, name: str, fraction: float, reference: int | None) -> Panel | str | None:
        if name not in self.plan.networks:
            return None
        rules = problem(self.plan, name).rules if fraction == 1 else (BASE,)
        try:
            return panel(self.plan, self.results, name, rules, fraction, reference)
        except UsageError as error:
            return str(error).rstrip(".")

    def rows(self, name: str, rule: str = BASE, fraction: float = 1.0, reference: int | None = None) -> pd.DataFrame:
        """Rows of one rule of a panel; empty where there are none."""
        found = self.panel(name, fraction, reference)
        return found.of(rule) if isinstance(found, Panel) else pd.DataFrame(columns=["batch", "seed"])

    def reasoned(self, effect: Effect, *names: str) -> Effect:
        """The effect, with the reason why there is none where the panels of these problems cannot be taken."""
        reasons = [found for name in names if isinstance(found := self.panel(name), str)]
        return Effect(None, problem="; ".join(reasons)) if effect.interval is None and reasons else effect


def every_claim(plan: Plan, results: Results) -> list[Claim]:
    """Every claim that the plan's figures bear on."""
    context = Context(plan, results)
    return [claim for needed, make in CLAIMS if needed in plan.artifacts for claim in make(context)]


def _regimes(context: Context) -> Iterator[Claim]:
    """Linear, then sublinear, then flat."""
    if MAIN not in context.plan.networks:
        return
    scale, rows = context.plan.scale, context.rows(MAIN)
    label, sizes = problem(context.plan, MAIN).label, batches(problem(context.plan, MAIN))
    first, second, before, last = sizes[0], sizes[1], sizes[-2], sizes[-1]
    low, high = sizes[len(sizes) // 2 - 1], sizes[len(sizes) // 2]

    def compared(a: int, b: int) -> Effect:
        return context.reasoned(ratio(at(rows, a, "speedup"), at(rows, b, "speedup")), MAIN)

    yield judged(
        "golmant-ideal", f"{label}: at small batches the speed-up is linear", "Sect. 1, Fig. 1", "linear (S)",
        context.reasoned(ratio(at(rows, second, "speedup"), second / first), MAIN),
        quantity=f"speed-up from batch {first} to {second} over the ideal {second / first:g}, base rate, log scale",
        minimal=LINEAR_EFFICIENCY, scale=scale,
    )  # fmt: skip
    yield judged(
        "golmant-partial", f"{label}: between linear and flat a doubling of the batch gains in part", "Sect. 1",
        "sublinear from 2048 (Fig. 1) or 128 (Fig. 4) (S)", _per_doubling(compared(high, low), high / low),
        quantity=f"speed-up at batch {high} over that at {low}, over the square root of {high / low:g}, which lies "
        "half-way between linear and flat, base rate, log scale",
        minimal=PARTIAL_GAIN, direction="within", scale=scale,
    )  # fmt: skip
    yield judged(
        "golmant-sublinear", f"{label}: at large batches it is far from linear", "Sect. 1, Fig. 2",
        "s(m; m0) far below m/m0 (S)", context.reasoned(ratio(at(rows, last, "speedup"), last / first), MAIN),
        quantity=f"speed-up from batch {first} to {last} over the ideal {last / first:g}, base rate, log scale",
        minimal=SUBLINEAR_EFFICIENCY, direction="less", scale=scale,
    )  # fmt: skip
    yield judged(
        "golmant-flat", f"{label}: in the end a larger batch saves no steps", "Sect. 1, Figs 2 to 4",
        "near-zero gains (S)", compared(last, before),
        quantity=f"speed-up at batch {last} over that at {before}, base rate, log scale",
        minimal=FLAT_GAIN, direction="less", scale=scale,
    )  # fmt: skip
    yield judged(
        "golmant-cost", f"{label}: past the linear regime the total cost rises", "Sect. 4.1", "rises (S)",
        context.reasoned(ratio(at(rows, last, "cost"), at(rows, first, "cost")), MAIN), bound="lower",
        quantity=f"examples to the threshold at batch {last} over those at {first}, base rate, log scale",
        minimal=DEARER, scale=scale,
    )  # fmt: skip


def _per_doubling(effect: Effect, growth: float) -> Effect:
    """The effect over the square root of the growth of the batch."""
    found = effect.interval
    if found is None:
        return effect
    root = math.sqrt(growth)
    scaled = replace(found, estimate=found.estimate / root, low=found.low / root, high=found.high / root)
    return replace(effect, interval=scaled)


def _rules(context: Context) -> Iterator[Claim]:
    """Scaling the rate helps at medium batches, at the paper's threshold and a lower one, and hurts at the largest."""
    if MAIN not in context.plan.networks:
        return
    chosen = problem(context.plan, MAIN)
    sizes = batches(chosen)
    for rule in (rule for rule in (LINEAR, ROOT) if rule in chosen.rules):
        name = STRATEGIES[rule].lower()
        for reference, suffix, words in ((sizes[-1], "", ""), (sizes[-3], "-lower", ", at a lower loss")):
            base = context.rows(MAIN, reference=reference)
            scaled = context.rows(MAIN, rule, reference=reference)
            medium = [m for m in sizes if MEDIUM[0] <= m / sizes[0] <= MEDIUM[1] and m <= reference and m != sizes[-1]]
            level = f"threshold of batch {reference}"
            yield judged(
                f"golmant-{rule}-medium{suffix}",
                f"{chosen.label}: {name} of the rate is faster at medium batches{words}", "Fig. 2, left",
                "ahead from 256 to 2048 (S)",
                context.reasoned(
                    ratio(geometric_mean(scaled, medium, "speedup"), geometric_mean(base, medium, "speedup")), MAIN
                ),
                quantity=f"speed-up under {name} over that at the base rate, geometric mean over batches {medium[0]} "
                f"to {medium[-1]}, {level}",
                minimal=AHEAD, scale=context.plan.scale,
            )  # fmt: skip
        base, scaled = context.rows(MAIN), context.rows(MAIN, rule)
        yield judged(
            f"golmant-{rule}-large", f"{chosen.label}: {name} of the rate is slower at the largest batch",
            "Sect. 4.2, Fig. 2, left", "base rate better after 2048 (S)",
            context.reasoned(ratio(at(scaled, sizes[-1], "speedup"), at(base, sizes[-1], "speedup")), MAIN),
            quantity=f"speed-up under {name} over that at the base rate at batch {sizes[-1]}, log scale",
            minimal=1.0, direction="less", scale=context.plan.scale,
        )  # fmt: skip


def _linearity(context: Context) -> Iterator[Claim]:
    """The linear-approximation error goes with the loss of test accuracy."""
    if MAIN not in context.plan.networks:
        return
    chosen, scale = problem(context.plan, MAIN), context.plan.scale
    frame = approximation_frame(context.plan, context.results)
    slopes: dict[int, float] = {}
    worst: dict[int, float] = {}
    for seed, rows in frame.groupby("seed") if len(frame) else ():
        whole = np.isfinite(rows["error"]).all() and (rows["error"] > 0).all()
        if rows["batch"].nunique() > 2:
            fit = np.polyfit(np.log10(rows["error"]), rows["test_accuracy"], 1)[0] if whole else math.nan
            slopes[int(seed)] = float(fit)
        last = rows.loc[rows["batch"] == chosen.batches[-1]]
        if len(last) and chosen.batches[-1] > PAST:
            value = float(last["error"].iloc[0])
            worst[int(seed)] = HUGE if value == math.inf else value  # NaN where the run diverged
    yield Claim.judged(
        "golmant-approximation", f"{chosen.label}: the larger the linear-approximation error, the lower the accuracy",
        "Fig. 2, right", "strong relationship (S)", mean_interval(slopes) if slopes else None,
        quantity="slope of final test accuracy (points) over log10 of the error across batch sizes, linear rule, mean "
        "over seeds",
        minimal=ACCURACY_PER_DECADE, direction="less", scale=scale,
    )  # fmt: skip
    yield judged(
        "golmant-error-above-one", f"{chosen.label}: past batch {PAST} the step leaves the linear regime",
        "Fig. 2, right", "above 1 past 2048 (S)", ratio(Values(worst), 1.0),
        quantity=f"linear-approximation error at the largest batch, above {PAST}, linear rule, over 1, log scale",
        minimal=1.0, scale=scale,
    )  # fmt: skip


def _baselines(context: Context) -> Iterator[Claim]:
    """The largest batch does not reach the loss of the smallest in the same epochs."""
    reported = {
        "ResNet34": "8192 never reaches the lowest loss",
        "LSTM": "not past about 32",
        "DRN": "not past about 64",
    }
    for name in present(context.plan, CONTOURS):
        chosen = problem(context.plan, name)
        lowest: dict[int, dict[int, float]] = {batches(chosen)[0]: {}, batches(chosen)[-1]: {}}
        for batch, found in lowest.items():
            for seed in seeds(context.plan, name):
                losses = curve(context.results, run(context.plan, name, batch, BASE, seed))
                if losses is not None:
                    found[seed] = math.nan if losses.diverged else float(losses.losses.min())
        small, large = lowest.items()
        yield judged(
            f"golmant-baseline-{name.lower()}",
            f"{chosen.label}: in the same epochs a large batch does not reach the loss of a small one",
            "Fig. 1, Sect. 4.1", f"{reported[name]} (S)", difference(Values(large[1]), Values(small[1])),
            quantity=f"lowest training loss at batch {large[0]} minus that at {small[0]}, base rate, nats",
            minimal=BASELINE, scale=context.plan.scale,
        )  # fmt: skip


def _complexity(context: Context) -> Iterator[Claim]:
    """Network and data matter more than the number of examples."""
    plan = context.plan
    if MAIN not in plan.networks:
        return
    by_size = [context.rows(MAIN, fraction=fraction) for fraction in problem(plan, MAIN).fractions]
    for what, names, id in (("network", NETWORKS, "networks"), ("data set", DATA_SETS, "data")):
        by_kind = {name: rows for name in present(plan, names) if len(rows := context.rows(name))}
        common = set.intersection(*({int(b) for b in rows["batch"]} for rows in (*by_size, *by_kind.values())))
        enough = len(by_kind) > 1 and len(common) > 1
        batch = max(common) if enough else 0
        where = f"batch {batch}" if enough else "the largest common batch"
        over = f"{what}s ({', '.join(problem(plan, name).label for name in by_kind)})" if enough else f"{what}s"
        effect = Effect(None)
        if enough:
            effect = difference(_spread(list(by_kind.values()), batch), _spread(by_size, batch))
        if enough and effect.interval is None:
            effect = Effect(None, problem="no seed reached the threshold in all of them")
        yield judged(
            f"golmant-{id}-over-size",
            f"The speed-up depends more on the {what} than on the number of training examples", "Sect. 4.3, Figs 3, 4",
            "weak dependence on size (S)", effect,
            quantity=f"spread (standard deviation of log2 speed-up) at {where} over {over} minus that over shares of "
            "the data, base rate",
            minimal=0.0, scale=plan.scale,
        )  # fmt: skip


def _spread(groups: list[pd.DataFrame], batch: int) -> Values:
    """Standard deviation of log2 speed-up over the groups, for seeds that reached the threshold in all of them."""
    found = [at(rows, batch, "speedup") for rows in groups]
    common = set.intersection(*(set(part.of) - part.bounded for part in found))
    spreads = {seed: float(np.std([np.log2(part.of[seed]) for part in found], ddof=1)) for seed in sorted(common)}
    return Values(spreads)


def _simpler(context: Context) -> Iterator[Claim]:
    """Simpler data let the speed-up go on for longer."""
    plan = context.plan
    there = present(plan, ("SVHN", "MNIST"))
    if not there or MAIN not in plan.networks:
        return
    simple = next((name for name in there if len(context.rows(name))), there[0])
    batch = min(batches(problem(plan, MAIN))[-1], batches(problem(plan, simple))[-1])
    effect = ratio(at(context.rows(simple), batch, "speedup"), at(context.rows(MAIN), batch, "speedup"))
    yield judged(
        "golmant-simpler-data",
        f"{problem(plan, simple).label}: on simpler data than CIFAR-10 the speed-up goes further",
        "Fig. 3, right", "SVHN flattens later (S)", context.reasoned(effect, MAIN),
        quantity=f"speed-up at batch {batch} over that on CIFAR-10, base rate, each at its own threshold, log scale",
        minimal=AHEAD, scale=plan.scale,
    )  # fmt: skip


def _longer(context: Context) -> Iterator[Claim]:
    """Training the largest batch for longer restores neither the speed-up nor the accuracy."""
    frame = longer_frame(context.plan, context.results)
    for name in (name for name in context.plan.networks if problem(context.plan, name).longer):
        chosen = problem(context.plan, name)
        smallest, largest, budget = batches(chosen)[0], batches(chosen)[-1], chosen.longer[-1] * chosen.epochs
        small = frame.query("problem == @name and batch == @smallest") if len(frame) else frame
        for rule in (BASE, LINEAR):
            of_rule = "problem == @name and batch == @largest and epochs == @budget and rule == @rule"
            part = frame.query(of_rule) if len(frame) else frame
            words = f"{chosen.label}: {budget} epochs of the largest batch ({STRATEGIES[rule].lower()}) do not"
            yield judged(
                f"golmant-longer-speed-{rule}", f"{words} restore the speed-up", "Sect. 2 and 4",
                "cannot (S)", ratio(_speedups(small, part), largest / smallest),
                quantity=f"speed-up from batch {smallest} to {largest} over the ideal {largest / smallest:g}, with "
                f"{budget} epochs for the latter, log scale",
                minimal=SUBLINEAR_EFFICIENCY, direction="less", scale=context.plan.scale,
            )  # fmt: skip
            final = [{row["seed"]: row["test_accuracy"] for row in of.to_dict("records")} for of in (small, part)]
            yield judged(
                f"golmant-longer-accuracy-{rule}", f"{words} reach the smallest batch's test accuracy",
                "Sect. 2 and 4", "often not (S)", difference(Values(final[0]), Values(final[1])),
                quantity=f"test accuracy of batch {smallest} after its usual epochs minus that of batch {largest} "
                f"after {budget}, percentage points",
                minimal=LONGER, scale=context.plan.scale,
            )  # fmt: skip


def _speedups(small: pd.DataFrame, large: pd.DataFrame) -> Values:
    """Steps of the small batch over those of the large one; a bound where the latter never reached the threshold."""
    base = {int(row["seed"]): row["steps"] for row in small.to_dict("records") if row["reached"]}
    found, bounded = {}, set()
    for row in large.to_dict("records"):
        seed = int(row["seed"])
        if seed not in base:
            continue
        if not row["reached"] and not row["diverged"]:
            bounded.add(seed)
        steps = row["steps"] if row["reached"] else math.nan if row["diverged"] else row["last_step"]
        found[seed] = float(base[seed] / steps)
    return Values(found, frozenset(bounded))


CLAIMS: tuple[tuple[str, Callable[[Context], Iterator[Claim]]], ...] = (
    ("fig2left", _regimes),
    ("fig2left", _rules),
    ("fig2right", _linearity),
    ("fig1", _baselines),
    ("fig4", _complexity),
    ("fig3", _simpler),
    ("longer", _longer),
)
