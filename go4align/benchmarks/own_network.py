"""Anyone's own network on any benchmark: `network: package.module:Class`, or a mapping with that name and options."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

from go4align.benchmarks.base import Benchmark
from go4align.errors import UserError


def names_own_network(found: Any) -> bool:
    """Whether an option `network` names a class, `package.module:Class`, and not one of the benchmark's own."""
    name = found.get("name") if isinstance(found, Mapping) else found
    return isinstance(name, str) and ":" in name


def put_network(benchmark: Benchmark, found: Any) -> Benchmark:
    """Let a benchmark build another network.

    Args:
        benchmark: whose losses the network's outputs must fit.
        found: "package.module:Class", or a mapping of that as `name` and options. The class is a `MultiTaskModel`; it
            is called as `Class(benchmark, **options)`.

    Raises:
        UserError: there is no such class, or it does not take those options.
    """
    options = dict(found) if isinstance(found, Mapping) else {"name": found}
    name: str = options.pop("name")
    network = _network(name)
    try:
        inspect.signature(network).bind(benchmark, **options)
    except TypeError as error:
        raise UserError(f"`network` {name} is called with the benchmark and its options: {error}.") from None
    vars(benchmark)["build_model"] = partial(network, benchmark, **options)
    vars(benchmark)["provenance"] = "; ".join(filter(None, [benchmark.provenance, f"{name} {_version(network)}"]))
    return benchmark


def check_network(benchmark: Benchmark) -> None:
    """Run a benchmark's network once forwards and backwards, on two training samples.

    Args:
        benchmark: prepared.

    Raises:
        UserError: it fails, its outputs do not fit the losses or metrics, or a loss does not depend on what it calls
            shared.
    """
    import torch

    whose = f"`network` {benchmark.provenance.rpartition('; ')[2]} does not fit the benchmark '{benchmark.name}'"
    batch: Any = next(iter(benchmark.batches("train", 2))).to(torch.device("cpu"))
    try:
        model = benchmark.build_model()
        losses = benchmark.losses(model.decode(model.encode(batch)), batch)
        shared = model.shared_parameters()
        gradients = [torch.autograd.grad(loss, shared, retain_graph=True, allow_unused=True) for loss in losses]
        with torch.no_grad():
            accumulator = benchmark.accumulator()
            accumulator.update(model.eval()(batch), batch)
            accumulator.compute()
    except Exception as error:  # whatever goes wrong in someone's network
        raise UserError(f"{whose}: {type(error).__name__}: {error}") from None
    if losses.shape != (benchmark.n_tasks,) or not losses.isfinite().all():
        raise UserError(f"{whose}: {benchmark.n_tasks} finite losses are required, found {losses.tolist()}.")
    for task, found in zip(benchmark.task_names, gradients, strict=True):
        if not shared or any(gradient is None for gradient in found):
            raise UserError(
                f"{whose}: the loss of '{task}' must depend on every parameter that `shared_parameters` gives, found "
                f"{sum(gradient is None for gradient in found)} of {len(shared)} that it does not."
            )


def _network(name: str) -> Any:
    from go4align.models.base import MultiTaskModel

    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"`network` must name a class that can be imported, as package.module:Class, found '{name}': {error}. "
            "Install its package wherever trials run, or put its folder on PYTHONPATH."
        ) from None
    if not (inspect.isclass(found) and issubclass(found, MultiTaskModel)):
        raise UserError(
            f"`network` must name a subclass of go4align.MultiTaskModel, found {name}. Derive it from that."
        )
    return found


def _version(network: Any) -> str:
    """Of the distribution that it comes from; of a plain file, what is in it."""
    package = network.__module__.partition(".")[0]
    distributions = packages_distributions().get(package, [])
    if distributions:
        return version(distributions[0])
    source = inspect.getsourcefile(network)
    return hashlib.sha256(Path(source).read_bytes()).hexdigest()[:12] if source else ""
