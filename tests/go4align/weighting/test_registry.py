"""Names, defaults and messages of the registry."""

import subprocess
import sys

import pytest

import go4align
from go4align import UserError, available_methods, build_weighting, hyperparameters
from go4align.weighting import available_indicators


def test_the_methods_of_the_field_are_there() -> None:
    losses_only = {"go4align", "ls", "si", "rlw", "dwa", "uw", "famo", "stl"}
    gradients = {"mgda", "pcgrad", "cagrad", "imtl_g", "grad_drop", "nash_mtl"}
    assert set(available_methods()) >= losses_only | gradients
    for name in available_methods():
        assert build_weighting(name, n_tasks=2).n_tasks == 2


def test_indicators_are_the_risk_guided_one_and_every_method_that_says_so() -> None:
    without = {"go4align", "stl"}
    assert set(available_indicators()) == {"risk_guided", *available_methods()} - without
    assert not any(build_weighting(name, n_tasks=2).is_indicator for name in without)
    with pytest.raises(UserError, match="Unknown method 'risk_guided'"):
        build_weighting("risk_guided", n_tasks=2)


def test_names_are_listed_without_torch() -> None:
    """The package above the registry, which may import what it likes, is replaced by an empty one."""
    code = (
        "import sys, types; package = types.ModuleType('go4align'); package.__path__ = sys.argv[1:]; "
        "sys.modules['go4align'] = package; from go4align.weighting import available_methods; "
        "print(len(available_methods()), 'torch' in sys.modules, 'numpy' in sys.modules)"
    )
    command = [sys.executable, "-c", code, *go4align.__path__]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert shown.stdout.split() == [str(len(available_methods())), "False", "False"]


def test_hyperparameters_are_known_without_building() -> None:
    assert hyperparameters("famo") == {"weights_lr": 0.025, "weight_decay": 1e-5}
    assert hyperparameters("dwa") == {"temperature": 2.0, "window": 25}
    assert hyperparameters("ls") == {}
    assert hyperparameters("mgda") == {"scale": "tasks", "heads": "weighted", "gramian": "stored"}
    assert (hyperparameters("cagrad")["c"], hyperparameters("cagrad")["heads"]) == (0.4, "sum")
    assert hyperparameters("nash_mtl")["max_norm"] == hyperparameters("grad_drop")["max_norm"] == 1.0
    assert {"n_groups", "beta", "space", "scale", "clustering"} <= set(hyperparameters("go4align"))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("go4algin", {}, "Unknown method 'go4algin'. Did you mean 'go4align'?"),
        ("famo", {"weight_deacy": 1}, "Unknown hyperparameter of 'famo' 'weight_deacy'. Did you mean 'weight_decay'?"),
        ("famo", {"weight_decay": -1}, "`weight_decay` must be a finite number of at least 0, found -1."),
        ("famo", {"weights_lr": "1e-3"}, "Write it in decimal digits (90, 1.5 or 1e-3), without quotes."),
        ("dwa", {"temperature": 0}, "`temperature` must be a finite number greater than 0, found 0."),
        ("dwa", {"window": 0}, "`window` must be a whole number from 1 to 10000 or None (per epoch), found 0."),
        ("stl", {"task": 2}, "`task` must be a whole number from 0 to 1, found 2."),
        ("rlw", {"seed": -1}, "`seed` must be a whole number of at least 0, found -1."),
        ("uw", {"weights_lr": float("nan")}, "`weights_lr` must be a finite number of at least 0, found nan."),
        ("go4align", {"n_groups": 3}, 'must be a whole number from 1 to 2 (the number of tasks), or "auto", found 3.'),
        ("go4align", {"n_groups": "Auto"}, "or \"auto\", found 'Auto'."),
        ("go4align", {"space": "logarithmic"}, "Unknown space 'logarithmic'. Known: linear, log."),
        ("go4align", {"clustering": "kmeans"}, "Unknown clustering 'kmeans'. Did you mean 'kmeans_pytorch'?"),
        ("go4align", {"scale": ["sum"]}, "Unknown scale"),
        ("dwa", {"window": 10**12}, "`window` must be a whole number from 1 to 10000"),
        ("rlw", {"seed": 2**70}, "`seed` must be a whole number"),
        ("cagrad", {"c": -1}, "`c` must be a finite number of at least 0 and at most 1000, found -1."),
        ("cagrad", {"c": 1e300}, "at most 1000, found 1e+300."),
        ("uw", {"weights_lr": 10**400}, "`weights_lr` must be a finite number of at least 0, found 1000"),
        ("go4align", {"smooth": "no"}, "`smooth` must be true or false, found 'no'."),
        ("go4align", {"indicator": ["famo"]}, "Unknown indicator '['famo']'. Did you mean 'famo'?"),
        ("go4align", {"clustering": None}, "Unknown clustering 'None'."),
        ("go4align", {"clustering_options": [1]}, "`clustering_options` must hold keys and values"),
        ("go4align", {"clustering_options": {1: 2}}, "`clustering_options` must hold keys and values"),
        ("go4align", {"clustering_options": {"seed": 1}}, "`seed` is no option of a clustering"),
        ("go4align", {"indicator_options": "c"}, "`indicator_options` must hold keys and values"),
        ("go4align", {"indicator": "famo", "indicator_options": [["c", 1]]}, "`indicator_options` must hold"),
        ("cagrad", {"scale": "official "}, "Unknown scale 'official '. Did you mean 'official'?"),
        ("mgda", {"heads": "weight"}, "Unknown heads 'weight'. Did you mean 'weighted'?"),
        ("mgda", {"gramian": "store"}, "Unknown gramian 'store'. Did you mean 'stored'?"),
        ("nash_mtl", {"update_every": 0}, "`update_every` must be a whole number of at least 1, found 0."),
        ("grad_drop", {"max_norm": None}, "`max_norm` must be a finite number of at least 0, found None."),
        ("ls", {"task_names": ["one"]}, "`task_names` must have 2 entries (one per task), found 1."),
    ],
)
def test_messages_say_what_was_required_and_found(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError) as error:
        build_weighting(name, n_tasks=2, **options)
    assert message in str(error.value)


@pytest.mark.parametrize("n_tasks", [0, -1, 2.0, True, "3"])
def test_n_tasks_must_be_a_positive_whole_number(n_tasks: object) -> None:
    with pytest.raises(UserError, match="`n_tasks` must be a whole number of at least 1, found"):
        build_weighting("ls", n_tasks=n_tasks)  # type: ignore[arg-type]


def test_every_public_name_is_there_and_documented() -> None:
    assert all(getattr(go4align, name).__doc__ for name in go4align.__all__)


def test_import_loads_nothing_heavy() -> None:
    heavy = ["ray", "mlflow", "optuna", "rdkit", "sklearn", "pandas", "torch_geometric", "kmeans_pytorch", "torchjd"]
    code = f"import sys, go4align; print(*(name for name in {heavy} if name in sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == ""
