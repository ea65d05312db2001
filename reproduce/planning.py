"""From a command's options to a plan: what will run here, and what will not and why."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bsgap.errors import MissingData, UsageError
from reproduce import datasets
from reproduce.results import Results, unique
from reproduce.study import SCALES, Artifact, Plan, Study, Trial


def make_plan(
    study: Study,
    scale: str,
    *,
    figures: Sequence[str] = (),
    networks: Sequence[str] = (),
    seeds: int | None = None,
) -> Plan:
    """Check the options against what the study declares.

    Raises:
        UsageError: An unknown scale, figure or network, or a number of seeds below one.
    """
    _known("scale", [scale], SCALES)
    if seeds is not None and seeds < 1:
        raise UsageError(f"--seeds must be at least 1, got {seeds}.")
    offered, absent = study.networks[scale], dict(study.absent.get(scale, {}))
    names = [artifact.name for artifact in study.artifacts]
    chosen_figures = _known("figure", figures, names) or names
    named = {network.lower(): network for network in [*offered, *absent]}
    wanted = [named.get(network.lower(), network) for network in networks]
    _known("network", wanted, list(named.values()))
    for network in wanted:
        if network in absent:
            raise UsageError(f"--network {network} is not run at scale {scale}: {absent[network]}.")
    chosen = [network for network in offered if network in wanted] if wanted else list(offered)
    if wanted:
        absent = {}
    return Plan(
        paper=study.name,
        scale=scale,
        networks=tuple(chosen),
        seeds={network: seeds or offered[network] for network in chosen},
        not_run=absent,
        artifacts=tuple(name for name in names if name in chosen_figures),
    )


def artifacts(study: Study, plan: Plan) -> list[Artifact]:
    """The figures and tables that the plan asks for."""
    return [artifact for artifact in study.artifacts if artifact.name in plan.artifacts]


def trials(study: Study, plan: Plan, results: Results) -> list[Trial]:
    """All runs that the plan's figures and tables need, and those that these start from, each once.

    Where an artifact has runs that follow from others (`Artifact.then`), those that are known by now.
    """
    needed = (trial for artifact in artifacts(study, plan) for trial in artifact.runs(plan, results))
    return unique((each for trial in needed for each in _with_starts(trial)), results)


def _with_starts(trial: Trial) -> Iterator[Trial]:
    if trial.start is not None:
        yield from _with_starts(trial.start[0])
    yield trial


def with_data_at_hand(study: Study, plan: Plan, results: Results) -> Plan:
    """The plan without the networks whose data are missing and of which something is left to train or to measure.

    Raises:
        MissingData: No network is left.
    """
    missing: dict[str, MissingData] = {}
    for network in plan.networks:
        alone = replace(plan, networks=(network,))
        if _wanting(study, alone, results):
            try:
                check_data(study.data(network, plan.scale), results.data_root)
            except MissingData as error:
                missing[network] = error
    left = {network: plan.seeds[network] for network in plan.networks if network not in missing}
    if not left:
        raise next(iter(missing.values()))
    reasons = {network: f"data are missing: {error}" for network, error in missing.items()}
    return replace(plan, networks=tuple(left), seeds=left, not_run={**plan.not_run, **reasons})


def _wanting(study: Study, plan: Plan, results: Results) -> bool:
    """Whether there is something to train or to measure."""
    if any(results.run(trial) is None for trial in trials(study, plan, results)):
        return True
    measures = (measure for artifact in artifacts(study, plan) for measure in artifact.measures(plan, results))
    return any(results.measured(measure) is None for measure in measures)


def check_data(name: str, root: str | None, *, download: bool = False) -> None:
    """Make sure that a data set is at hand, without reading it.

    Raises:
        MissingData: It is not, and could not be downloaded where that was asked for.
    """
    from bsgap.data.files import data_root  # torch takes seconds, and `reproduce list` needs none of it

    datasets.make_sure(name, data_root(root), download=download)


def _known(option: str, given: Sequence[str], allowed: Sequence[str]) -> list[str]:
    for value in given:
        if value not in allowed:
            raise UsageError(f"unknown {option} {value!r}: expected one of {', '.join(allowed)}.")
    return list(given)
