"""SAM and ASAM: steps along the gradient of a neighbour that has a higher loss, over any base optimizer."""

import inspect
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from bsgap.errors import UsageError
from bsgap.optim.closures import Closure, Request, is_empty, request_of, total
from bsgap.optim.perturbation import ascend_, check_dense, check_radius, perturbed, room_for
from bsgap.optim.second_pass import Draws, second_pass

OPTIONS = ("rho", "adaptive", "eta")
_ASKS_ITSELF = (
    "SAM: {} evaluates its closure itself, so it cannot step with the gradient of the perturbed weights. Give a base"
    " that takes one gradient a step, such as SGD or Adam."
)


class SAM(Optimizer):
    """Sharpness-aware minimisation (Foret et al. 2020, arXiv:2010.01412, algorithm 1).

    A step takes two gradients on the same batch: one at the weights w, which gives the perturbation ε, and one at
    w + ε, with which the base optimizer then steps from w:

        ε = ρ g(w) / ‖g(w)‖₂,    w ← base(w, g(w + ε))

    with the norm over all weights jointly; with `adaptive` it is the ε of ASAM (Kwon et al. 2021, arXiv:2102.11600),
    see `bsgap.optim.perturbation.ascent`. Weight decay is the base's: it acts at w, and not in ε. Where the base
    maximises (`maximize=True`), ε is the opposite, towards the lowest point. The weights come back from ε to the bit.
    With `rho` 0 it is the base optimizer itself, and one gradient a step.

    `step` needs a closure and evaluates it twice; it clears the gradient itself. Under Lightning nothing else is to be
    done where the optimization is automatic; where it is manual, give `step` the closure. The second pass leaves
    BatchNorm's statistics, all other buffers, and metrics alone, and logs nothing (in a loop of one's own, which knows
    no module, BatchNorm's alone); it draws the same random numbers as the first, so dropout has the same mask. The
    hooks `on_before_backward`, `on_after_backward` and `on_before_zero_grad` run for both passes, and metrics that the
    module keeps in a plain list or dict, not as submodules, count a batch twice. Only the gradient of the base's step
    is clipped and shown to `on_before_optimizer_step`, and the loss is that of the first pass. A loss that is not
    finite at the first step is refused; later it trains on as with the base optimizer. Over several devices both passes
    are synchronised: ε is that of the whole batch. Accumulation by Lightning, and a gradient scaler (precision
    16-mixed), are refused: neither lets a gradient be taken twice.

    Which weights ASAM scales: Kwon's code takes T = |w| + η for parameters whose names contain "weight", and T = 1 for
    others. An optimizer knows no names, so here it is tensors of more than one dimension. The two differ for the gains
    of normalisation layers, which there are scaled and here are not. A parameter group may say otherwise of all that
    is in it by its option `scaled`, True or False.

    Parameter groups, state and defaults are the base's, so schedules and callbacks that look at the rate see, and set,
    that of the base. The state dict is the base's with `rho`, `adaptive` and `eta` under `sam`.

    Example:
        >>> import torch
        >>> w = torch.nn.Parameter(torch.tensor([3.0]))
        >>> optimizer = SAM([w], lambda weights: torch.optim.SGD(weights, lr=0.1), rho=0.5)
        >>> def closure():
        ...     loss = w.square().sum()
        ...     loss.backward()
        ...     return loss
        >>> optimizer.step(closure).item()
        9.0
        >>> round(w.item(), 4)  # 3 - 0.1·2·(3 + 0.5)
        2.3

    Args:
        params: Parameters, or groups of them.
        base: Builds the optimizer that takes the steps, from `params`.
        rho: ρ, 0 or more.
        adaptive: Whether ε is that of ASAM.
        eta: η of ASAM, 0 or more; absent means 0.01. Without `adaptive` it has no effect.

    Raises:
        UsageError: An option is out of range, or the base is no optimizer, asks for the gradient itself, or is SAM.
    """

    base: Optimizer
    rho: float
    adaptive: bool
    eta: float | None
    _begun: bool
    _room: list[tuple[Tensor, Tensor]]

    def __init__(
        self,
        params: Iterable[Any],
        base: Callable[[Iterable], Optimizer],
        rho: float = 0.05,
        adaptive: bool = False,
        eta: float | None = None,
    ) -> None:
        check_radius(rho, eta)
        built = base(params) if callable(base) else None
        _check_base(built, base)
        # All that the base has is the base's alone; this gives the rest of what an Optimizer is made of.
        self.__setstate__({"base": built, "rho": rho, "adaptive": adaptive, "eta": eta})
        for group in built.param_groups:
            self._check_group(group)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The base's."""
        return self.base.param_groups

    @param_groups.setter
    def param_groups(self, groups: list[dict[str, Any]]) -> None:
        self.base.param_groups = groups

    @property
    def state(self) -> defaultdict[Tensor, Any]:
        """The base's."""
        return self.base.state

    @state.setter
    def state(self, state: defaultdict[Tensor, Any]) -> None:
        self.base.state = state

    @property
    def defaults(self) -> dict[str, Any]:  # type: ignore[override]
        """The base's."""
        return self.base.defaults

    def step(self, closure: Closure | None = None) -> Any:
        """One step; returns the loss of the first pass.

        Args:
            closure: Computes the loss, calls `backward` on it, and returns it.

        Raises:
            UsageError: There is no closure, it gives no gradient, no weight requires one, it is a part of an
                accumulated batch, or its loss is not finite at the first step.
        """
        if self.rho == 0:
            return self.base.step(closure)
        request = None if closure is None else request_of(closure)
        if request is None or is_empty(request):
            raise UsageError(
                "SAM needs a closure, as it takes two gradients a step: optimizer.step(closure), where closure computes"
                " the loss, calls backward and returns it, also in manual optimisation. Precision 16-mixed has none, as"
                " it scales the gradient: use bf16-mixed or 32-true."
            )
        if _takes_no_gradient(request):
            return self.base.step(closure)
        _check_whole(request)
        self._check_trainable()
        loss = request.finished(lambda: self._gradient(request))
        try:
            self.base.step()
        except TypeError as error:
            if "'NoneType' object is not callable" not in str(error):
                raise
            raise UsageError(_ASKS_ITSELF.format(type(self.base).__name__)) from error
        self._begun = True
        return loss

    def _gradient(self, request: Request) -> Any:
        """Leave the gradient of the descent in `.grad`; return the loss of the first pass."""
        if len(request.shares) == 1:
            return self._share(request.shares[0], request)
        losses = []
        sums: dict[Tensor, Tensor] = {}
        for share in request.shares:
            losses.append(self._share(share, request))
            for weight in self._moved():
                gradient: Any = weight.grad
                sums[weight] = sums[weight].add_(gradient) if weight in sums else gradient.clone()
        for weight, gradient in sums.items():
            weight.grad = gradient
        return total(losses)

    def _share(self, share: Closure, request: Request) -> Any:
        """The gradient of one share at its own perturbation; the loss of its first pass."""
        draws = Draws(weight.device for group in self.param_groups for weight in group["params"])
        self.zero_grad()
        with torch.enable_grad():
            loss = share()
        moved = self._moved()
        if not moved:
            if loss is None and _may_skip(request):  # training_step gave nothing, to skip the batch
                return None
            raise UsageError(
                "SAM: no parameter has a gradient after the closure. Call backward in it, on a loss of the parameters"
                " that the optimizer was given, and let some of them require a gradient."
            )
        self._check_start(loss)
        result = getattr(share, "_result", None)  # Lightning's closure keeps what training_step returned
        room = self._room_for(moved)
        with perturbed(moved, self._ascent(moved, room), room), second_pass(request.module):
            self.zero_grad()
            draws.again()
            with torch.enable_grad():
                share()
        if result is not None:
            share._result = result  # type: ignore[attr-defined]
        return loss

    def _moved(self) -> list[Tensor]:
        return [weight for group in self.param_groups for weight in group["params"] if weight.grad is not None]

    def _ascent(self, moved: list[Tensor], room: list[Tensor]) -> list[Tensor]:
        """ε, in the place of the gradients, which are not needed any more."""
        gradients: list[Any] = [weight.grad for weight in moved]
        check_dense(gradients)
        options: dict[str, Any] = {}
        if self.adaptive:
            stated = {weight: group.get("scaled") for group in self.param_groups for weight in group["params"]}
            scaled = [weight.ndim > 1 if stated[weight] is None else bool(stated[weight]) for weight in moved]
            options = {"eta": 0.01 if self.eta is None else self.eta, "scaled": scaled}
        ascend_(moved, gradients, self.rho, room, **options)
        risen = {weight for group in self.param_groups if group.get("maximize") for weight in group["params"]}
        down = [step for weight, step in zip(moved, gradients, strict=True) if weight in risen]
        if down:  # what is maximised is lowest, not highest, at the neighbour that matters
            torch._foreach_neg_(down)
        return gradients

    def _room_for(self, moved: list[Tensor]) -> list[Tensor]:
        """Where weights are kept while they are perturbed: the same tensors every time, which costs no more memory."""
        kept = self._room
        if len(kept) != len(moved) or any(
            one is not weight or (room.device, room.dtype, room.shape) != (weight.device, weight.dtype, weight.shape)
            for (one, room), weight in zip(kept, moved, strict=True)
        ):
            kept = self._room = list(zip(moved, room_for(moved), strict=True))
        return [room for _, room in kept]

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group to the base.

        Raises:
            UsageError: Its option `scaled` is neither True nor False.
        """
        self._check_group(param_group)
        self.base.add_param_group(param_group)

    def _check_trainable(self) -> None:
        if not any(weight.requires_grad for group in self.param_groups for weight in group["params"]):
            raise UsageError(
                "SAM: no weight of the optimizer requires a gradient, so there is nothing to train. Set"
                " requires_grad=True on some of them, or give the optimizer those that are trained."
            )

    def _check_start(self, loss: Any) -> None:
        """Later a look at the loss would make the processor wait for the device."""
        if not self._begun and isinstance(loss, Tensor) and not loss.isfinite().all():
            raise UsageError(
                f"SAM: the loss is {loss.detach().sum().item()} at the first step, after which no weight would be"
                " finite. Look at the inputs and the targets, or initialise the weights smaller."
            )

    @staticmethod
    def _check_group(group: dict[str, Any]) -> None:
        if group.get("scaled") not in (None, True, False):
            raise UsageError(f"SAM: scaled of a parameter group must be true, false or absent, got {group['scaled']}.")

    def state_dict(self) -> dict[str, Any]:
        """The base's state dict, with this optimizer's options under `sam`."""
        return {**self.base.state_dict(), "sam": {name: getattr(self, name) for name in OPTIONS}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what `state_dict` gave; the state dict of the base alone leaves the options as they are."""
        self.base.load_state_dict({name: value for name, value in state_dict.items() if name != "sam"})
        vars(self).update({name: state_dict["sam"][name] for name in OPTIONS} if "sam" in state_dict else {})
        self._begun = True

    def __getstate__(self) -> dict[str, Any]:
        return {"base": self.base, "_begun": self._begun, **{name: getattr(self, name) for name in OPTIONS}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({"_begun": False, **state, "_room": []})

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={getattr(self, name)}" for name in OPTIONS)
        return f"{type(self).__name__}({options}, base={self.base!r})"


class ASAM(SAM):
    """Adaptive sharpness-aware minimisation (Kwon et al. 2021, arXiv:2102.11600): `SAM` with `adaptive` on.

    The ball is measured in units of the weights' own sizes, so that it does not change where a layer is scaled up and
    the next one down: ρ is therefore about ten times that of SAM.

    Example:
        >>> import functools, torch
        >>> w = torch.nn.Parameter(torch.ones(2, 2))
        >>> optimizer = ASAM([w], functools.partial(torch.optim.SGD, lr=0.1))
        >>> optimizer.adaptive, optimizer.rho, optimizer.eta
        (True, 0.5, 0.01)

    Args:
        params: Parameters, or groups of them.
        base: Builds the optimizer that takes the steps, from `params`.
        rho: ρ, 0 or more; the paper has 0.5 on CIFAR-10 and 1 on CIFAR-100.
        eta: η, 0 or more.

    Raises:
        UsageError: As for `SAM`.
    """

    def __init__(
        self, params: Iterable[Any], base: Callable[[Iterable], Optimizer], rho: float = 0.5, eta: float = 0.01
    ) -> None:
        super().__init__(params, base, rho, adaptive=True, eta=eta)


def _check_base(base: Any, given: Any) -> None:
    """Refuse a base that cannot take a step with the gradient it finds.

    Raises:
        UsageError: `given` builds none, or it asks for the gradient itself, or is SAM.
    """
    if not isinstance(base, Optimizer):
        found = f"one that builds {type(base).__name__}" if callable(given) else type(given).__name__
        raise UsageError(
            f"SAM: base must be a function that builds a torch optimizer from parameters, got {found}. Give for"
            " instance lambda weights: torch.optim.SGD(weights, lr=0.1)."
        )
    name = type(base).__name__
    if isinstance(base, SAM):
        raise UsageError(f"SAM: the base is {name} itself. Give the optimizer that is to take the steps, such as SGD.")
    closure = inspect.signature(base.step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise UsageError(_ASKS_ITSELF.format(name))


def _may_skip(request: Request) -> bool:
    """Whether the closure is Lightning's own, around a training_step that may return None."""
    return bool(getattr(request.module, "automatic_optimization", False))


def _takes_no_gradient(request: Request) -> bool:
    """Whether Lightning passes over the data for something else, as StochasticWeightAveraging does for BatchNorm."""
    trainer = getattr(request.module, "_trainer", None)
    return bool(getattr(getattr(trainer, "fit_loop", None), "_skip_backward", False))


def _check_whole(request: Request) -> None:
    """Refuse a batch that is only a part.

    Raises:
        UsageError: Lightning accumulates.
    """
    trainer = getattr(request.module, "_trainer", None)
    planned = [
        factor
        for callback in getattr(trainer, "callbacks", ())
        for factor in getattr(callback, "scheduling", {}).values()  # of a GradientAccumulationScheduler
    ]
    accumulated = max(getattr(trainer, "accumulate_grad_batches", 1), *planned, 1)
    if accumulated > 1:
        raise UsageError(
            f"SAM: the trainer accumulates {accumulated} batches (accumulate_grad_batches), of which an optimizer can"
            " evaluate only the last again, so the perturbation would come from a part of the batch. Set it to 1 and"
            " use larger batches, or a task of bsgap with micro_batch."
        )
