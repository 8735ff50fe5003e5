"""A trial is a value with a fingerprint; here names become objects, and nowhere below."""

import dataclasses
import hashlib
import html
import importlib
import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from nai import datasets
from nai.datasets import BENCHMARKS
from nai.fitting import check_method, check_training
from nai.learn import World
from nai.methods import METHODS, Method
from nai.methods.base import described, told
from nai.models import MODELS, Network
from nai.named import Named as Named
from nai.named import frozen, thawed
from nai.notebook import matrix
from nai.orders import Order
from nai.seeds import Seeds
from nai.selection import Continual, grow_continually
from nai.states import States
from nai.tasks import Benchmark
from nai.training import Training
from nai.tree import Grown, Run, grow

NUMERICS = 1
"""Raised by hand when a change of code changes results; the release number does not count."""

PLACES = ("root",)
"""Benchmark options that say where the data lie, not what they are."""


@dataclass(frozen=True)
class Trial:
    """Everything that a result depends on.

    selection: chooses rate and strength anew for each task, in place of those of training and method.
    """

    benchmark: Named
    model: Named
    method: Method
    training: Training
    order: Order
    seeds: Seeds = Seeds()  # noqa: RUF009  (a frozen value)
    selection: Continual | None = None

    def __post_init__(self) -> None:
        if scenario := scenario_of(self.benchmark):
            check_fit(self, scenario)
        if self.selection:
            self.selection.check(self.method, self.training)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides the result: see `fingerprint`."""
        return fingerprint(self, load(self.benchmark).digest)


def check_fit(trial: Trial, scenario: str) -> None:
    """ValueError: method, training and scenario do not go together."""
    check_training(trial.training, scenario)
    check_method(trial.method, trial.training, scenario)


def scenario_of(benchmark: Named) -> str | None:
    """The scenario that a benchmark of BENCHMARKS is asked for with, or has by default; else None."""
    known = inspect.signature(BENCHMARKS[benchmark.name]).parameters if benchmark.name in BENCHMARKS else {}
    default = known["scenario"].default if "scenario" in known else None
    scenario = dict(benchmark.options).get("scenario", default)
    return scenario if isinstance(scenario, str) else None


def load(benchmark: Named) -> Benchmark:
    """The benchmark's data; the last two are kept."""
    return _load(benchmark)


@lru_cache(maxsize=2)
def _load(benchmark: Named) -> Benchmark:
    options = {k: thawed(v) for k, v in benchmark.options}
    return datasets.benchmark(benchmark.name, **options)


def attribute(name: str) -> Any:
    """What a user's `module:attribute` names, imported from the environment."""
    module, _, path = name.partition(":")
    try:
        return getattr(importlib.import_module(module), path)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{name!r} cannot be imported ({error}): install its package, or start in its folder"
        ) from error


def method_of(settings: Mapping[str, Any]) -> Method:
    """A method from its name (of METHODS, or `module:attribute`) and hyperparameters."""
    method: Method = _built(settings, METHODS, Method, "method")
    if not dataclasses.is_dataclass(method):
        raise ValueError(
            f"method {settings['name']!r} must be a dataclass, since its fields are its hyperparameters: "
            "decorate its class with @dataclass(frozen=True)"
        )
    return method


def network_of(model: Named, benchmark: Benchmark) -> Network:
    """A network for a benchmark's inputs and outputs from its name (of MODELS, or `module:attribute`)."""
    settings = model.settings() | {"features": benchmark.features, "outputs": benchmark.outputs}
    return _built(settings, MODELS, Network, "model")  # type: ignore[no-any-return]


def _built(settings: Mapping[str, Any], known: Mapping[str, type], kind: type, what: str) -> Any:
    name = settings["name"]
    if name not in known and ":" not in name:
        raise ValueError(f"{what} {name!r} is unknown: known are {', '.join(known)}, or module:attribute")
    maker = known[name] if name in known else attribute(name)
    given = {k: v for k, v in settings.items() if k != "name"}
    _check_settings(f"{what} {name}", maker, given)
    built = maker(**given)
    if not isinstance(built, kind):
        raise ValueError(
            f"{what} {name!r} gives a {type(built).__name__}, not a {kind.__module__}.{kind.__name__}"
        )
    return built


def place_of(device: str) -> torch.device:
    """A device by name: cpu, cuda, cuda:1, or auto (cuda where there is one); ValueError if it is absent."""
    place = torch.device(device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu")
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise ValueError(
            f"device {device} is not here, where torch finds {count} CUDA devices: take cpu or auto"
        )
    return place


def _check_settings(what: str, maker: Callable[..., Any], given: Mapping[str, Any]) -> None:
    wanted = inspect.signature(maker).parameters
    if any(p.kind is p.VAR_KEYWORD for p in wanted.values()):
        return
    for name in given:
        if name not in wanted:
            known = [n for n in wanted if n not in ("features", "outputs")]
            raise ValueError(f"{what} has no setting {name!r}: it has {', '.join(known) or 'none'}")


def world_of(benchmark: Benchmark, model: Named, device: str = "cpu") -> World:
    """Network and data on a device."""
    place = place_of(device)

    def indices(split: str) -> tuple[torch.Tensor, ...]:
        return tuple(torch.tensor(getattr(t, split)).to(place) for t in benchmark.tasks)

    return World(
        net=network_of(model, benchmark),
        source=benchmark.samples(place),
        train=indices("train"),
        valid=indices("valid"),
        test=indices("test"),
        heads=benchmark.heads.to(place),
        scenario=benchmark.scenario,
        digest=_decides(benchmark, model),
    )


def _decides(benchmark: Benchmark, model: Named) -> str:
    """SHA-256 of what decides weights and accuracies beside method, training, order and seeds."""
    known = {"numerics": NUMERICS, "torch": torch.__version__, **_model_revision(model.name)}
    whole = {**known, "benchmark": benchmark.digest, "model": _told(model)}
    return hashlib.sha256(canonical(whole).encode()).hexdigest()


def settings(trial: Trial, digest: str) -> dict[str, Any]:
    """A trial's settings without order and seeds, ready for JSON; digest: of the benchmark's content."""
    place = {k: v for k, v in trial.benchmark.settings().items() if k not in PLACES}
    kinds = {cls: name for name, cls in METHODS.items()}
    kind = type(trial.method)
    name = kinds.get(kind, f"{kind.__module__}:{kind.__qualname__}")
    return {
        "benchmark": place | {"digest": digest},
        "model": _told(trial.model),
        "method": {"name": name, **told(trial.method)},
        "training": _training(trial),
        **({"selection": trial.selection.settings()} if trial.selection else {}),
    }


def _training(trial: Trial) -> dict[str, Any]:
    """Its settings, but for a rate that is not read."""
    fields = trial.training.settings()
    if trial.selection:
        del fields["rate"]
    return fields


def _model_revision(model: str) -> dict[str, int]:
    """The network's own count of changes of results, where there was one."""
    made = attribute(model) if ":" in model else MODELS.get(model)
    number = getattr(made, "revision", 0)
    return {"revision": number} if number else {}


def _method_revision(method: Method) -> dict[str, int]:
    """The method's own count of changes of results, where there was one."""
    return {"method revision": method.revision} if method.revision else {}


def _told(model: Named) -> dict[str, Any]:
    """A model's settings as records name them; those of MODELS with defaults, which decide results as well.

    Without those added later that are at their defaults.
    """
    wanted = inspect.signature(MODELS[model.name]).parameters.values() if model.name in MODELS else ()
    defaults = {p.name: thawed(frozen(p.default)) for p in wanted if p.default is not p.empty}
    added = MODELS[model.name].added if model.name in MODELS else frozenset[str]()
    told = defaults | model.settings()
    return {k: v for k, v in told.items() if k not in added or v != defaults[k]}


def canonical(value: object) -> str:
    """JSON with sorted keys, no spaces and no NaN: equal values, equal text (1.0 is 1)."""
    return json.dumps(_counted(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def fingerprint(trial: Trial, digest: str) -> str:
    """SHA-256 of benchmark content, settings, order, seeds, NUMERICS and the revisions of network and method.

    Not of the seed that drew the order, nor of the release, nor of names and places of data.
    """
    known = settings(trial, digest)
    decides = {
        "numerics": NUMERICS,
        **_model_revision(trial.model.name),
        **_method_revision(trial.method),
        "benchmark": digest,
        **{k: v for k, v in known.items() if k != "benchmark"},
        "order": list(trial.order),
        "seeds": list(trial.seeds),
    }
    return hashlib.sha256(canonical(decides).encode()).hexdigest()


def suggestion_of(settings: Mapping[str, Any]) -> str:
    """Twelve hex digits that all orders and seeds of one setting share."""
    return hashlib.sha256(canonical(settings).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Outcome:
    """A trial and its accuracies: see `nai.tree.Grown`."""

    trial: Trial
    result: Grown

    def _repr_html_(self) -> str:
        """The accuracy matrix on test data, or the error, for a notebook."""
        name = f"{type(self.trial.method).__name__}, order {self.trial.order}"
        if self.result.test is None:
            return f"<p>{html.escape(f'{name}: {self.result.error}')}</p>"
        final = 100 * float(self.result.test[-1].mean())
        said = f"{name}: test accuracy in per cent, {final:.2f} on average at the end"
        return matrix(self.result.test, self.trial.order, said)


def run(trial: Trial, *, benchmark: Benchmark | None = None, device: str = "cpu") -> Outcome:
    """One trial, alone."""
    (outcome,) = run_many([trial], benchmark=benchmark, device=device)
    return outcome


def run_many(
    trials: Sequence[Trial],
    *,
    benchmark: Benchmark | None = None,
    device: str = "cpu",
    width: int | None = None,
    states: States | None = None,
    later: Sequence[Trial] = (),
) -> Iterator[Outcome]:
    """Trials through one order tree, each as soon as it is complete; they may differ in order, seeds and
    late hyperparameters of the method.

    benchmark: data already loaded. device: cpu, cuda, auto. width: lessons of a stack, None for automatic.
    states: where earlier trials left what these go on from, and where what `later` trials will go on from
    is kept (of trials with a selection: from where they go on themselves, after a kill).
    """
    if not trials:
        return
    first = trials[0]
    for trial in (*trials, *later):
        _check_alike(first, trial)
    by_run = {(described(t.method), t.seeds, t.order): t for t in trials}
    runs, coming = ([Run(t.method, t.seeds, t.order) for t in some] for some in (by_run.values(), later))
    world = world_of(benchmark or load(first.benchmark), first.model, device)
    check_fit(first, world.scenario)
    if first.selection:
        results = grow_continually(runs, world, first.training, first.selection, width=width, states=states)
    else:
        results = grow(runs, world, first.training, width=width, states=states, later=coming)
    for result in results:
        yield Outcome(by_run[described(result.method), result.seeds, result.order], result)


def _check_alike(first: Trial, trial: Trial) -> None:
    late = first.method.late
    rest = dataclasses.replace(trial, order=first.order, seeds=first.seeds, method=first.method)
    if rest != first or described(trial.method, late) != described(first.method, late):
        may = ", ".join(["order", "seeds", *sorted(late)])
        raise ValueError(f"run_many takes trials that differ in {may} alone, got {first} and {trial}")


def _counted(value: Any) -> Any:
    """Whole floats as whole numbers, since 1 and 1.0 are equal settings and must have equal texts."""
    if isinstance(value, Mapping):
        return {k: _counted(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return list(map(_counted, value))
    return int(value) if isinstance(value, float) and value.is_integer() else value
