"""Figures and tables of the paper modules: tidy pandas frames in, matplotlib figures and booktabs tables out.

Every figure function takes a frame with the named columns (one row an observation, further columns are ignored), a
`Footer` that says where the numbers come from, and returns a `matplotlib.figure.Figure` in the house style. Networks
keep their order of appearance and get one panel each; a network that was not run is named in the footer
(`Footer.not_run`), and never drawn as an empty panel. `method` is "SB" (small batch) or "LB" (large batch), `split`
is "train" or "test"; **accuracies are per cent, losses nats**. Bands are mean ± one standard deviation over `seed`;
on a logarithmic axis both are taken of the logarithm. NaN (a diverged run) is left out and counted in the footer, and
so is what a logarithm cannot show.

| function | columns of `frame` | shows |
|---|---|---|
| `epoch_curves` | network, method, seed, epoch, split, accuracy | Keskar Fig. 2: accuracy by epoch |
| `path_figure` | network, seed, alpha, split, loss, accuracy (`authors`: the same without seed) | Figs 3, 7 |
| `against_batch` | network, batch_size, seed, test_accuracy, sharpness [, reading] | Fig. 4 |
| `warm_start` | network, seed, sb_epoch, sb_accuracy, lb_accuracy, sharpness [, reading] | Fig. 5 |
| `scatter_path` | network, method, seed, epoch, loss, sharpness [, reading] | Fig. 6 |
| `contours` | row, column, batch, step, loss [, seed, diverged] | Golmant Figs 1, 5 |
| `speedups` | panel, series, batch, seed, speedup [, reached, speedup_bound, diverged] | Figs 2 left, 3, 4 |
| `approximation` | batch, seed, error, test_accuracy [, same_batch_error] | Fig. 2 right |
| `costs` | as `speedups`, with cost [, cost_bound] or cost_ratio [, ideal] | examples to the threshold |
| `longer` | series, epochs, seed, steps, test_accuracy [, reached, last_step, diverged] | a longer budget |
| `arm_curves` | panel, arm, seed, epoch or step, value [, diverged] | loss, error, rate of several arms |
| `against_size` | panel, arm, seed, batch, value; `reported`: panel, arm, batch, mean, std | error against batch |
| `diffusion` | panel, batch, seed, step, value; `fits`: panel, batch, slope, intercept, low, high | Hoffer Fig. 2 |
| `bars` | panel, group, arm, seed, value; `reported`: panel, group, arm, value | speed-ups, times |
| `histograms` | panel, arm, low, high, share | Li Fig. 2: how the weights are distributed |
| `lines` | panel, arm, seed, `x`, value | loss along an eigenvector, or between two solutions |
| `against_ratio` | panel, rate, batch, seed, value | Jastrzebski Fig. 1: value against rate / batch |
| `spectra` | panel, arm, seed, eigenvalue, density [, top] | Foret Fig. 3: densities of eigenvalues |
| `landscape_curves` | panel, alpha, split, loss, accuracy [, seed] | Li Fig. 3: along a random direction |
| `landscape_contours` | panel, alpha, beta, loss | Li Fig. 3: level lines over two directions |
| `landscape_surface` | panel, alpha, beta, loss | Li Fig. 1: the same in perspective |
| `points` | seed, those named by `group`, `value` [, `hue`, `panel`] | distance ratio, readings compared |
| `save` | anything: it is written beside the figure | `name.pdf`, `name.png` (300 dpi), `name.csv` |
| `beside` | row, column, seed, value [, group]; `reported`: row, column, mean, std, source [, group] | Table 2 |
| `stacked` | as `beside` and `reading` | Tables 3, 4: one line a reading under the reported one |
| `plain_table` | any; a two-level header gives spanning headings | a frame as it stands |
| `save_table` | a `Table` of the three above | `name.tex` (the tabular alone), `name.csv` |

`reading`, where it is allowed, names how a sharpness was measured ("(a) L-BFGS-B", "(b) sign ascent", ...): one line
style each. `speedups` and `costs` take what `bsgap.analysis.speedup` returns, with `panel` and `series` added; a run
that never reached the threshold is drawn at its bound, and one that diverged as a cross (`reproduce.drawing.bounds`).
"""

from reproduce.drawing.approximation import approximation
from reproduce.drawing.arms import arm_curves
from reproduce.drawing.bars import bars
from reproduce.drawing.batch import against_batch
from reproduce.drawing.comparison import beside, stacked
from reproduce.drawing.contours import contours
from reproduce.drawing.diffusion import diffusion
from reproduce.drawing.epochs import epoch_curves
from reproduce.drawing.footer import Footer
from reproduce.drawing.histograms import histograms
from reproduce.drawing.landscape_contours import landscape_contours
from reproduce.drawing.landscape_curves import landscape_curves
from reproduce.drawing.landscape_surface import landscape_surface
from reproduce.drawing.lines import lines
from reproduce.drawing.longer import longer
from reproduce.drawing.paths import path_figure
from reproduce.drawing.points import points
from reproduce.drawing.ratios import against_ratio
from reproduce.drawing.runs import scatter_path
from reproduce.drawing.saving import save
from reproduce.drawing.sizes import against_size
from reproduce.drawing.spectra import spectra
from reproduce.drawing.speedup import costs, speedups
from reproduce.drawing.style import house_style
from reproduce.drawing.tables import Table, plain_table, save_table
from reproduce.drawing.warm import warm_start

__all__ = [
    "Footer",
    "Table",
    "against_batch",
    "against_ratio",
    "against_size",
    "approximation",
    "arm_curves",
    "bars",
    "beside",
    "contours",
    "costs",
    "diffusion",
    "epoch_curves",
    "histograms",
    "house_style",
    "landscape_contours",
    "landscape_curves",
    "landscape_surface",
    "lines",
    "longer",
    "path_figure",
    "plain_table",
    "points",
    "save",
    "save_table",
    "scatter_path",
    "spectra",
    "speedups",
    "stacked",
    "warm_start",
]
