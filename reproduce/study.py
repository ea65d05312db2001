"""What a paper module declares: trials, measures, figures, tables and claims. Nothing here runs anything."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure as MatplotlibFigure

    from reproduce.claims import Claim
    from reproduce.results import Results

Scalar = str | int | float | bool | None
SCALES = ("demo", "laptop", "gpu", "paper")


@dataclass(frozen=True)
class Trial:
    """One run: a recipe at a scale, a seed, and what differs from the recipe.

    Attributes:
        paper: Folder of the recipe under `configs/`.
        recipe: Its name there, without ending: `f1`.
        scale: One of `SCALES`.
        seed: Seed of weights, order and augmentation.
        overrides: Dotted option -> scalar, as pairs: `("data.init_args.batch_size", 256)`.
        start: The trial and the name of its kept weights that this one starts from; None for random weights.
        keep_epochs: Epochs after which the weights are kept; they do not decide the run's numbers.
        label: What a reader calls it: `F1, batch 256, seed 0`.
        seconds: Rough duration on one core, for the first estimate of the time left.
    """

    paper: str
    recipe: str
    scale: str
    seed: int
    overrides: tuple[tuple[str, Scalar], ...] = ()
    start: "tuple[Trial, str] | None" = None
    keep_epochs: tuple[int, ...] = field(default=(), compare=False)
    label: str = field(default="", compare=False)
    seconds: float = field(default=10.0, compare=False)


@dataclass(frozen=True)
class Measure:
    """One measurement on kept weights of one run or of two.

    Attributes:
        kind: `evaluation`, `sharpness`, `path` or `distance`; see `reproduce.worker`.
        of: (trial, name of its kept weights) for each set of weights.
        options: Scalars that specify it, as pairs; with the runs and the weights' names they are its key in the store.
        seconds: Rough duration on one core.
    """

    kind: str
    of: tuple[tuple[Trial, str], ...]
    options: tuple[tuple[str, Any], ...] = ()
    seconds: float = field(default=1.0, compare=False)

    def specification(self) -> dict[str, Any]:
        """What the store keys this measurement by, beside the runs."""
        return {"kind": self.kind, "weights": [name for _, name in self.of], **dict(self.options)}


@dataclass(frozen=True)
class Plan:
    """One command's choices, resolved.

    Attributes:
        paper: The paper's command name.
        scale: One of `SCALES`.
        networks: Networks that will run.
        seeds: Number of seeds by network.
        not_run: Network -> why it does not run here.
        artifacts: Names of the figures and tables asked for.
    """

    paper: str
    scale: str
    networks: tuple[str, ...]
    seeds: Mapping[str, int]
    not_run: Mapping[str, str]
    artifacts: tuple[str, ...]


@dataclass(frozen=True)
class Artifact:
    """A figure or a table of the paper.

    Attributes:
        name: `fig3`, `table2`.
        title: One line.
        caption: What a reader needs to read it alone.
        kind: `figure` or `table`.
        trials: The runs that it needs; those that they start from are added.
        measures: The measurements that it needs, once those runs are done.
        draw: For a figure, the matplotlib figure and the frame that is drawn; for a table, the frame twice.
        then: Runs that are known only from what `trials` gave, such as those at the rate that did best on the
            validation split; asked again whenever a run has ended. None where there are none.
    """

    name: str
    title: str
    caption: str
    kind: str
    trials: Callable[[Plan], list[Trial]]
    measures: Callable[[Plan, "Results"], list[Measure]]
    draw: Callable[[Plan, "Results"], "tuple[MatplotlibFigure | pd.DataFrame, pd.DataFrame] | None"]
    then: Callable[[Plan, "Results"], list[Trial]] | None = None

    def runs(self, plan: Plan, results: "Results") -> list[Trial]:
        """All runs that it needs, as far as they are known by now."""
        return [*self.trials(plan), *(self.then(plan, results) if self.then is not None else ())]


@dataclass(frozen=True)
class Study:
    """A paper: its networks, its figures and tables, and its claims.

    Attributes:
        name: The command: `keskar`.
        title: The paper's title.
        citation: Authors, year, venue.
        networks: Scale -> network -> default number of seeds.
        absent: Scale -> network -> why it is not run at that scale.
        data: Network and scale -> name of the data set.
        artifacts: In the paper's order.
        claims: Declared before anything runs; each gives its record, verdict included, from the results.
    """

    name: str
    title: str
    citation: str
    networks: Mapping[str, Mapping[str, int]]
    absent: Mapping[str, Mapping[str, str]]
    data: Callable[[str, str], str]
    artifacts: tuple[Artifact, ...]
    claims: Callable[[Plan, "Results"], "list[Claim]"]
    notes: Callable[[Plan], list[str]]
