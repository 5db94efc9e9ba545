"""The study file: what is wrong is told in one line that names the key, what was found, and the remedy."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from records import GOOD

from go4align import UserError
from go4align.benchmarks.registry import benchmark_options
from go4align.weighting.registry import hyperparameters
from study.spec.complaints import explain
from study.spec.configuration import Configuration, MethodSection
from study.spec.loading import load_best_file, load_study
from study.spec.run_sections import Resources
from study.spec.search_sections import Scheduler, Search
from study.spec.sections import digest, is_name
from study.spec.study_file import StudyFile
from study.spec.yaml import to_yaml


def write(folder: Path, content: dict[str, Any] | str) -> str:
    path = folder / "study.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return str(path)


def changed(**sections: Any) -> dict[str, Any]:
    return {**GOOD, **sections}


@pytest.mark.parametrize("preset", ["toy", "qm9-demo", "qm9"])
def test_presets_are_valid(preset: str) -> None:
    assert load_study(preset).name == preset


def test_a_good_file_is_read_and_frozen(tmp_path: Path) -> None:
    study = load_study(write(tmp_path, GOOD))
    assert study.seeds.final == [101, 102, 103]
    with pytest.raises(ValueError, match="frozen"):
        study.name = "other"


WRONG = {
    "top-level key": (changed(budgte={"trials": 2}), ["`budgte`", "Did you mean 'budget'?"]),
    "nested key": (changed(budget={"trails": 2}), ["`budget.trails`", "Did you mean 'trials'?"]),
    "misspelt required key": ({("budgt" if k == "budget" else k): v for k, v in GOOD.items()}, ["`budgt`", "'budget'"]),
    "untyped size": (changed(benchmark={"name": "toy", "n_tasks": "abc"}), ["n_tasks", "whole number", "'abc'"]),
    "no test split": (changed(benchmark={"name": "toy", "test_size": 0}), ["test_size", "from 1 to"]),
    "repeated key": ("name: a\nname: b\n", ["'name' stands twice", "line 2"]),
    "training key": (
        changed(training={"epoch": 2, "batch_size": 64, "lr": 0.01}),
        ["`training`", "'epoch'", "Did you mean 'epochs'?"],
    ),
    "method": (changed(methods=["go4aling"]), ["go4aling", "Did you mean 'go4align'?"]),
    "variant of an unknown method": (
        changed(methods=["x"], variants={"x": {"name": "go4aling"}}),
        ["variants.x", "Did you mean 'go4align'?"],
    ),
    "variant with a wrong option": (
        changed(methods=["x"], variants={"x": {"name": "go4align", "smoth": False}}),
        ["Did you mean 'smooth'?"],
    ),
    "variant with a method's name": (changed(variants={"famo": {"name": "ls"}}), ["variants", "'famo'"]),
    "repeated method": (changed(methods=["ls", "ls"]), ["each method once", "ls, ls"]),
    "benchmark": (changed(benchmark={"name": "qm8"}), ["qm8", "Did you mean 'qm9'?"]),
    "benchmark option": (changed(benchmark={"name": "toy", "trainsize": 5}), ["trainsize", "train_size"]),
    "benchmark value": (changed(benchmark={"name": "toy", "train_size": 0}), ["train_size", "from 1 to", "found 0"]),
    "type": (changed(budget={"trials": "many"}), ["`budget.trials`: must be a whole number, found 'many'"]),
    "truth value for a number": (
        changed(budget={"trials": True}),
        ["`budget.trials`: must be a whole number, found true"],
    ),
    "truth value for a training number": (
        changed(training={"epochs": True, "batch_size": 64, "lr": 0.01}),
        ["`training`", "`epochs` must be a whole number from 1 to", "found True"],
    ),
    "text for a number": (changed(resources={"cpus": "1"}), ["resources.cpus", "number", "found '1'"]),
    "fraction for a whole number": (
        changed(training={"epochs": 2.0, "batch_size": 64, "lr": 0.01}),
        ["`epochs`", "found 2.0"],
    ),
    "training option that is missing": (changed(training={"epochs": 2, "lr": 0.01}), ["`training`: `batch_size`"]),
    "training that is no mapping": (changed(training=5), ["`training`: must hold keys and values, found 5"]),
    "budget that is no mapping": (changed(budget=[5]), ["`budget`: must hold keys and values, found [5]"]),
    "variants that are no mapping": (changed(variants=5), ["`variants`: must hold keys and values, found 5"]),
    "schedule": (
        changed(training={"epochs": 2, "batch_size": 64, "lr": 0.01, "schedule": "cosin"}),
        ["`training`", "Unknown schedule 'cosin'. Did you mean 'cosine'?"],
    ),
    "a time for hours": (
        yaml.safe_dump(GOOD).replace("budget:", "budget:\n  hours: 1:30"),
        ["`budget.hours`: must be a number, found '1:30'. Write it in decimal digits"],
    ),
    "a long time for hours": (
        yaml.safe_dump(GOOD).replace("budget:", "budget:\n  hours: 12:00:00"),
        ["`budget.hours`: must be a number, found '12:00:00'."],
    ),
    "underscores in a number": (
        yaml.safe_dump(GOOD).replace("budget:", "budget:\n  max_trials: 1_000"),
        ["`budget.max_trials`: must be a whole number, found '1_000'. Write it in decimal digits"],
    ),
    "negative trials": (changed(budget={"trials": 0}), ["budget.trials", "greater than or equal to 1"]),
    "missing": ({k: v for k, v in GOOD.items() if k != "budget"}, ["`budget`", "required"]),
    "shared seeds": (changed(seeds={"search": 5, "final": [5, 6]}), ["Seeds must differ", "5"]),
    "name with a path": (changed(name="../x"), ["`name`", "../x"]),
    "lr": (changed(training={"epochs": 2, "batch_size": 64, "lr": -1.0}), ["`lr`", "greater than 0", "-1"]),
    "grace": (changed(scheduler={"grace_epochs": 9}), ["grace_epochs", "at most", "found 9"]),
    "startup of what never learns": (
        changed(search={"sampler": "random", "start": "random", "startup": 9}),
        ["`search.startup` has no effect with the sampler 'random'"],
    ),
    "a target that cannot act": (
        changed(budget={"trials": 4, "target": {"min_gain": 0.5}}),
        ["`budget.target.over_trials` must be below `budget.trials` = 4, found 10"],
    ),
    "weights that are fixed twice": (
        changed(fixed_weights=["ls", "ls"]),
        ["`fixed_weights` must name each method once, found ls, ls"],
    ),
    "gpu hours without a GPU": (changed(budget={"trials": 1, "gpu_hours": 1}), ["gpu_hours", "resources.gpus"]),
    "a GPU and a half": (changed(resources={"gpus": 1.5}), ["`resources`", "`gpus` must be 0, a share", "found 1.5"]),
    "too small a share": (changed(resources={"cpus": 1e-9}), ["resources.cpus", "0.0001", "found 1e-09"]),
    "published without numbers": (changed(reference="published"), ["no published STL", "measured"]),
    "not a mapping": ("- a\n- b\n", ["mapping", "list"]),
    "not YAML": ("name: [", ["not valid YAML"]),
    "binary": ("\x00\x01", ["not valid YAML"]),
    "empty": ("", ["mapping"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_gets_one_line_with_file_key_and_remedy(case: str, tmp_path: Path) -> None:
    content, expected = WRONG[case]
    path = write(tmp_path, content)
    with pytest.raises(UserError) as caught:
        load_study(path)
    message = str(caught.value)
    assert "\n" not in message
    assert path in message
    for part in expected:
        assert part in message


def test_a_leading_zero_changes_no_number(tmp_path: Path) -> None:
    text = yaml.safe_dump(changed(training={"epochs": 2, "batch_size": 64, "lr": 0.01}))
    study = load_study(write(tmp_path, text.replace("epochs: 2", "epochs: 010").replace("size: 64", "size: 0100")))
    assert (study.training.epochs, study.training.batch_size) == (10, 100)


def test_a_study_that_mlflow_would_cut_is_refused(tmp_path: Path) -> None:
    variants = {f"beta-{n}": {"name": "go4align", "beta": n * 1e-6} for n in range(300)}
    with pytest.raises(UserError, match=r"must have at most 8,000 characters, .* found 1\d,\d\d\d\. Split"):
        load_study(write(tmp_path, changed(variants=variants)))


NO_NAMES = [
    "", "../x", "a/b", "a'b", 'a" or 1=1', "%", "a\n", ".hidden", "-dash", "tоy", "a" * 65,
    "x.yaml", "a,b", "[b]", "<b>",
]  # fmt: skip


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_is_no_name_is_refused_wherever_one_stands(name: str) -> None:
    assert not is_name(name)
    variant = {"name": "go4align"}
    for section, key in [({"name": name}, "name"), ({"variants": {name: variant}}, "variants")]:
        with pytest.raises(ValueError, match=key) as caught:
            StudyFile.model_validate(changed(**section))
        assert "must be 1 to 64 of the characters" in explain(caught.value, StudyFile)
    with pytest.raises(ValueError, match="label"):
        MethodSection.model_validate({**variant, "label": name})


def test_a_look_alike_is_written_out(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"found 't\\u043ey'"):
        load_study(write(tmp_path, changed(name="tоy")))


@pytest.mark.parametrize("name", ["a", "1e3", "2024-01-01", "a" * 64, "null", "on", "Default", "a.b_c-d"])
def test_any_other_name_is_a_text_in_every_file(name: str, tmp_path: Path) -> None:
    study = load_study(write(tmp_path, to_yaml(changed(name=name, variants={name: {"name": "ls"}}, methods=[name]))))
    assert (study.name, study.method(name).key) == (name, name)


def test_an_unknown_preset_suggests_the_nearest() -> None:
    with pytest.raises(UserError, match="Did you mean 'qm9-demo'"):
        load_study("qm9-dmeo")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(UserError, match="There is no file 'nowhere.yaml'"):
        load_study("nowhere.yaml")


def test_a_configuration_survives_json_with_its_digest() -> None:
    study = StudyFile.model_validate(GOOD)
    configuration = study.configuration("go4align", {"lr": 0.003, "n_groups": "auto", "beta": 1e-7})
    again = Configuration.model_validate_json(configuration.model_dump_json())
    assert again == configuration
    assert digest(again) == digest(configuration)
    assert (configuration.training.lr, configuration.method.options) == (0.003, {"n_groups": "auto", "beta": 1e-7})


def test_a_hyperparameter_of_another_method_is_refused() -> None:
    study = StudyFile.model_validate(GOOD)
    with pytest.raises(ValueError, match="hyperparameter of 'ls'"):
        study.configuration("ls", {"beta": 1e-4})


def test_a_frozen_file_without_configurations_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="configurations"):
        load_best_file(write(tmp_path, {"study": "mine", "reference": {"source": "measured", "val": {}, "test": {}}}))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*GOOD, "x"]), inner, max_size=6),
        max_leaves=12,
    )
)
def test_no_content_gives_anything_but_one_clear_line(tmp_path_factory: pytest.TempPathFactory, content: Any) -> None:
    path = write(
        tmp_path_factory.mktemp("fuzz"), yaml.safe_dump({**GOOD, **content} if isinstance(content, dict) else content)
    )
    try:
        load_study(path)
    except UserError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("method", ["go4align", "famo", "cagrad"])
def test_defaults_that_are_written_out_are_the_same_configuration(method: str) -> None:
    short = StudyFile.model_validate(GOOD).configuration(method)
    benchmark = {"name": "toy", **benchmark_options("toy")}
    variant = {"name": method, **hyperparameters(method)}
    content = changed(benchmark=benchmark, methods=["same"], variants={"same": variant})
    written = StudyFile.model_validate(content).configuration("same")
    assert written != short
    assert written.key == short.key


@pytest.mark.parametrize(
    "change",
    [{"benchmark": {"name": "toy", "train_size": 99}}, {"training": {**GOOD["training"], "epochs": 3}},
     {"method": {"name": "go4align", "beta": 0.5}}, {"method": {"name": "ls"}}],
)  # fmt: skip
def test_what_decides_a_run_is_another_configuration(change: dict[str, Any]) -> None:
    first = StudyFile.model_validate(GOOD).configuration("go4align")
    assert Configuration.model_validate(first.model_dump() | change).key != first.key


LONG = {"epochs": 30, "batch_size": 64, "lr": 0.01}


@pytest.mark.parametrize(
    ("training", "expected"),
    [
        ({"schedule": "stepp"}, ["`training`", "Unknown schedule 'stepp'. Did you mean 'step'?"]),
        ({"schedule": {"name": "step", "evry": 5}}, ["option of the schedule 'step' 'evry'", "Did you mean 'every'?"]),
        ({"schedule": {"name": "cosine", "factor": 0.5}}, ["The schedule 'cosine' has no options, found 'factor'"]),
        ({"schedule": "step"}, ["`schedule.every` must be below `epochs` = 30, found 100", "`schedule: constant`"]),
        ({"selection": "mean_of_last", "patience": 5}, ["`patience` has no effect", "`selection: best`"]),
        ({"selection": {"name": "mean_of_last", "epochs": 31}}, ["`selection.epochs`", "at most `epochs` = 30"]),
        (
            {"selection": {"name": "best", "metric": "maee"}},
            ["Unknown metric for `selection` on the benchmark 'toy' 'maee'", "Did you mean 'mae'?"],
        ),
        ({"optimizer": {"nam": "adam"}}, ["`optimizer` must be a name, or hold `name` and options"]),
        ({"precision": ["bf16"]}, ["Unknown precision"]),
    ],
)
def test_a_wrong_part_of_the_protocol_is_one_line(
    training: dict[str, Any], expected: list[str], tmp_path: Path
) -> None:
    path = write(tmp_path, changed(training=LONG | training))
    with pytest.raises(UserError) as caught:
        load_study(path)
    message = str(caught.value)
    assert "\n" not in message and path in message
    for part in expected:
        assert part in message


def test_what_a_study_file_leaves_out_is_the_benchmarks_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    from go4align.benchmarks.protocol import TrainingProtocol
    from go4align.benchmarks.toy import Toy

    protocol = TrainingProtocol(
        optimizer={"name": "sgd", "momentum": 0.5},
        schedule={"name": "step", "every": 10},
        selection={"name": "mean_of_last", "epochs": 5},
        clip_norm=1,
    )
    monkeypatch.setattr(Toy, "protocol", protocol)
    silent = StudyFile.model_validate(changed(training=LONG)).training
    assert silent.schedule == {"name": "step", "every": 10, "factor": 0.5}
    assert silent.selection == {"name": "mean_of_last", "epochs": 5, "metric": "delta_m"}
    assert (silent.optimizer["name"], silent.clip_norm, silent.patience) == ("sgd", 1.0, None)
    said = StudyFile.model_validate(
        changed(training=LONG | {"schedule": "cosine", "selection": "best", "patience": 3, "clip_norm": None})
    ).training
    assert (said.schedule, said.selection, said.patience, said.clip_norm) == ("cosine", "best", 3, None)
    assert said.optimizer == silent.optimizer


def test_a_protocol_written_in_another_way_is_the_same_configuration() -> None:
    ways = [
        {},
        {"schedule": "cosine", "selection": "best", "optimizer": "adam", "precision": "float32"},
        {"selection": {"name": "best", "metric": "delta_m"}, "optimizer": {"weight_decay": 0, "name": "adam"}},
    ]
    studies = [StudyFile.model_validate(changed(training=LONG | way)) for way in ways]
    assert len({digest(study.configuration("ls")) for study in studies}) == 1
    other = StudyFile.model_validate(changed(training=LONG | {"precision": "bf16"}))
    assert digest(other.configuration("ls")) != digest(studies[0].configuration("ls"))


def test_a_protocol_survives_yaml_and_json(tmp_path: Path) -> None:
    training = LONG | {"schedule": {"name": "one_cycle", "warmup": 0.1}, "selection": {"name": "best", "metric": "mae"}}
    study = load_study(write(tmp_path, changed(training=training)))
    assert load_study(write(tmp_path, to_yaml(study.model_dump(mode="json")))) == study
    configuration = study.configuration("go4align", {"lr": 0.1})
    assert Configuration.model_validate_json(configuration.model_dump_json()) == configuration
    assert (configuration.training.lr, configuration.training.schedule) == (0.1, study.training.schedule)


def test_keys_stay_what_older_stores_have() -> None:
    """References and final runs are found by them; options that came later are left out at their defaults."""
    toy = load_study("toy")
    assert toy.configuration("go4align").key == "b3e1bc589d8eeb3a"
    together = toy.model_copy(update={"training": replace(toy.training, processes=2)})
    assert together.configuration("go4align").key != "b3e1bc589d8eeb3a"


@pytest.mark.parametrize("sampler", ["tpe", "grid"])
def test_a_search_that_an_earlier_version_wrote_is_read(sampler: str) -> None:
    written = {"sampler": sampler, "startup": None, "start": "random", "group": False, "levels": 3}
    assert Search.model_validate(written).startup == 5


def test_a_rung_is_after_a_quarter_of_the_epochs_unless_it_is_said() -> None:
    assert [Scheduler().grace_of(epochs) for epochs in (1, 3, 12, 300)] == [1, 1, 3, 75]
    assert Scheduler(grace_epochs=30).grace_of(300) == 30


def test_final_runs_on_several_gpus_are_several_processes() -> None:
    study = StudyFile.model_validate(GOOD | {"resources": {"cpus": 2}, "final": {"resources": {"gpus": 4}}})
    assert study.final_training.processes == 4
    assert study.resources_of("final") == Resources(cpus=8, gpus=4)
    stored = StudyFile.model_validate_json(study.model_dump_json())
    assert stored.resources_of("final") == Resources(cpus=8, gpus=4)
    assert study.resources_of("search") == Resources(cpus=2)
    two = StudyFile.model_validate(GOOD | {"final": {"training": {"processes": 2}}})
    assert two.resources_of("final") == Resources(cpus=2 * two.resources.cpus)
    with pytest.raises(ValueError, match="`processes` must be as many as the GPUs of a final run, 4, found 2"):
        StudyFile.model_validate(GOOD | {"final": {"resources": {"gpus": 4}, "training": {"processes": 2}}})


def test_fixed_weights_have_a_name_of_their_own() -> None:
    taken = {"ls-fixed": {"name": "static"}}
    with pytest.raises(ValueError, match="adds 'ls-fixed', .* Rename the variant 'ls-fixed'"):
        StudyFile.model_validate(GOOD | {"methods": ["ls", "ls-fixed"], "variants": taken, "fixed_weights": ["ls"]})
    long = "a" * 62
    with pytest.raises(ValueError, match=f"Rename the variant '{long}'"):
        StudyFile.model_validate(
            GOOD | {"methods": [long], "variants": {long: {"name": "uw"}}, "fixed_weights": [long]}
        )
