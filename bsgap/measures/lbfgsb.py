"""scipy's L-BFGS-B over a box around 0: the maximiser of Metric 2.1.

scipy's public function loops over the bounds in Python and keeps them as tuples, which for 1.5 million parameters
costs more time than its ten iterations and more memory than its workspace. So where scipy's compiled routine has the
signature known here, it is driven directly; it is the same routine with the same arguments, hence the same iterates.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import fmin_l_bfgs_b
from torch import Tensor

from bsgap.measures.maximum import Best, Function, Maximum

try:
    from scipy.optimize._lbfgsb import setulb
except ImportError:  # moved or renamed: the public function does
    setulb = None

_SIGNATURE = "setulb(m,x,l,u,nbd,f,g,factr,pgtol,wa,iwa,task,lsave,isave,dsave,maxls,ln_task)"
_PAIRS, _LINE_SEARCH = 10, 20  # scipy's defaults: correction pairs, evaluations of one line search
_NEW_ITERATE, _EVALUATE, _CONVERGED = 1, 3, 4  # the routine's task codes

Evaluate = Callable[[np.ndarray, np.ndarray], float]
"""Minus the function at a point `[p]`; minus its gradient is written to the second argument."""


def lbfgsb(function: Function, width: Tensor, iterations: int) -> Maximum:
    """Maximise by scipy's L-BFGS-B (Byrd et al. 1995) from 0 over |y_i| <= width_i, at most `iterations` of it.

    Without stopping tolerances: scipy's defaults would end the run before its first step where no coordinate of the
    gradient exceeds 1e-5, which at a low training loss is everywhere. It works in float64 on the CPU.
    """
    bound = width.double().cpu().numpy()
    best = Best(function, torch.from_numpy(bound))

    def evaluate(point: np.ndarray, gradient: np.ndarray) -> float:
        value, slope = best(torch.from_numpy(point))
        np.negative(slope.cpu().numpy(), out=gradient)
        return -value

    direct = setulb is not None and (setulb.__doc__ or "").strip() == _SIGNATURE
    done, ended = (_direct if direct else _public)(evaluate, bound, iterations)
    messages = {0: "no further rise within the box", 1: "iteration limit", 2: "the line search found no rise"}
    return best.maximum(done, ended == 0, messages[ended])


def _direct(evaluate: Evaluate, bound: np.ndarray, iterations: int) -> tuple[int, int]:
    """Iterations done, and how it ended: 0 converged, 1 at the limit, 2 in a line search without success."""
    n, m = len(bound), _PAIRS
    point, gradient, value = np.zeros(n), np.zeros(n), np.zeros(())
    lower, both_sides = -bound, np.full(n, 2, dtype=np.int32)
    work, marks = np.zeros(2 * m * n + 5 * n + 11 * m * m + 8 * m), np.zeros(3 * n, dtype=np.int32)
    task, line_task = np.zeros(2, dtype=np.int32), np.zeros(2, dtype=np.int32)
    flags, counts, numbers = np.zeros(4, dtype=np.int32), np.zeros(44, dtype=np.int32), np.zeros(29)
    done = 0
    while True:
        setulb(
            m, point, lower, bound, both_sides, value, gradient, 0.0, 0.0, work, marks, task, flags, counts, numbers,
            _LINE_SEARCH, line_task,
        )  # fmt: skip
        if task[0] == _EVALUATE:
            value[()] = evaluate(point, gradient)
        elif task[0] == _NEW_ITERATE:
            done += 1
            if done >= iterations:
                return done, 1
        else:
            return done, 0 if task[0] == _CONVERGED else 2


@dataclass(frozen=True)
class _Pairs:
    """The bounds as the pairs that scipy wants, made when asked for and not kept."""

    bound: np.ndarray

    def __len__(self) -> int:
        return len(self.bound)

    def __iter__(self) -> Iterator[tuple[float, float]]:
        return ((-width, width) for width in self.bound.tolist())


def _public(evaluate: Evaluate, bound: np.ndarray, iterations: int) -> tuple[int, int]:
    def negated(point: np.ndarray) -> tuple[float, np.ndarray]:
        gradient = np.empty_like(bound)
        return evaluate(point, gradient), gradient

    _, _, info = fmin_l_bfgs_b(
        negated, np.zeros_like(bound), bounds=_Pairs(bound), m=_PAIRS, factr=0, pgtol=0,
        maxiter=iterations, maxls=_LINE_SEARCH,
    )  # fmt: skip
    return int(info["nit"]), int(info["warnflag"])
