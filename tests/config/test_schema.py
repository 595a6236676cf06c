"""What a workflow may say: every section, every rule across sections, and how a mistake is named."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from rivergrad.config.load import (
    description,
    dump_resolved,
    input_files,
    load_workflow,
    nearest_key,
    require_files,
)
from rivergrad.config.schema import Workflow
from rivergrad.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / "workflows").glob("*.yaml"))

FILES: dict[str, Any] = {
    "name": "basin",
    "network": {"path": "n.csv"},
    "runoff": {"path": "r.nc"},
    "observations": {"path": "o.nc"},
    "time": {"routing_step": "1h", "train": ["2000-01-01", "2002-12-31"]},
}
WORLD: dict[str, Any] = {
    "name": "planet",
    "world": {"spec": {"start": "2001-01-01", "years": 4, "forcing_step": "1D"}},
    "time": {"routing_step": "3h", "train": ["2001-01-01", "2002-12-31"]},
}


@pytest.fixture(autouse=True)
def _at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # profiles are relative to the current directory


def write(folder: Path, data: dict[str, Any]) -> Path:
    path = folder / "w.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def changed(data: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """A deep copy with one dotted key set, or removed where the value is `...`."""
    result: dict[str, Any] = json.loads(json.dumps(data))
    names = key.split(".")
    below = result
    for name in names[:-1]:
        below = below.setdefault(name, {})
    if value is ...:
        del below[names[-1]]
    else:
        below[names[-1]] = value
    return result


def mistake(folder: Path, data: dict[str, Any], overrides: list[str] | None = None) -> str:
    """The message that loading ends with; it has to be one or two lines."""
    with pytest.raises(InputError) as caught:
        load_workflow(write(folder, data), overrides or [])
    assert 1 <= len(str(caught.value).splitlines()) <= 2
    return str(caught.value).replace(f"{folder}/", "")


def test_shipped_workflows_are_all_there() -> None:
    assert {path.stem for path in WORKFLOWS} >= {"demo", "juniata", "delaware", "global_ddm30"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_shipped_workflow_is_valid_without_its_files_and_round_trips(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIVERGRAD_DATA", "/nowhere/at all")
    workflow = load_workflow(path)
    assert workflow.name == path.stem
    for file in input_files(workflow).values():
        assert file.is_relative_to("/nowhere/at all")
    text = dump_resolved(workflow)
    copy = tmp_path / "config.yaml"
    copy.write_text(text)
    monkeypatch.chdir(tmp_path)  # a resolved workflow needs no profile, so it loads from anywhere
    monkeypatch.delenv("RIVERGRAD_DATA")
    assert load_workflow(copy) == workflow
    assert dump_resolved(load_workflow(copy)) == text


def test_every_default_round_trips(tmp_path: Path) -> None:
    for data in (FILES, WORLD):
        workflow = load_workflow(write(tmp_path, data))
        copy = tmp_path / "copy.yaml"
        copy.write_text(dump_resolved(workflow))
        assert load_workflow(copy) == workflow
        assert hash(load_workflow(copy)) == hash(workflow)


def test_values_are_si(tmp_path: Path) -> None:
    workflow = load_workflow(
        write(tmp_path, WORLD), ["time.warmup=60d", "estimate.window=12h", "compute.memory_budget=1.5GB"]
    )
    assert workflow.time.routing_step == 10800.0
    assert workflow.time.warmup == 60 * 86400.0
    assert workflow.estimate.window == 12 * 3600.0
    assert workflow.compute.memory_budget == 1_500_000_000
    assert workflow.time.train == (date(2001, 1, 1), date(2002, 12, 31))
    assert workflow.output == Path("runs/planet")
    assert workflow.world is not None
    assert workflow.world.spec.step == 86400.0


def test_workflow_is_frozen(tmp_path: Path) -> None:
    workflow = load_workflow(write(tmp_path, WORLD))
    with pytest.raises(ValidationError, match="frozen"):
        workflow.seed = 3


def test_last_fifth_of_train_is_for_validation(tmp_path: Path) -> None:
    time = load_workflow(write(tmp_path, changed(FILES, "time.train", ["2000-01-01", "2002-09-26"]))).time
    assert time.validation is None  # of 1000 days
    assert time.fit_period == (date(2000, 1, 1), date(2002, 3, 10))
    assert time.validation_period == (date(2002, 3, 11), date(2002, 9, 26))
    days = [(end - start).days + 1 for start, end in (time.fit_period, time.validation_period)]
    assert days == [800, 200]


def test_validation_of_its_own_leaves_train_whole(tmp_path: Path) -> None:
    data = changed(FILES, "time.validation", ["2003-01-01", "2003-12-31"])
    time = load_workflow(write(tmp_path, data)).time
    assert time.fit_period == time.train
    assert time.validation_period == (date(2003, 1, 1), date(2003, 12, 31))


def test_gauge_names_keep_their_zeros(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(yaml.safe_dump(FILES) + "gauges: {holdout_ids: [01567000, 1567000, '00012']}\n")
    assert load_workflow(path).gauges.holdout_ids == ("01567000", "1567000", "00012")


def test_set_wins_and_the_last_one_counts(tmp_path: Path) -> None:
    path = write(tmp_path, changed(FILES, "estimate.steps", 3))
    workflow = load_workflow(
        path, ["estimate.steps=4", "estimate.steps=5", "estimate.learning_rate=1e-3", "runoff.grid=true"]
    )
    assert workflow.estimate.steps == 5
    assert workflow.estimate.learning_rate == 1e-3
    assert workflow.runoff is not None
    assert workflow.runoff.grid is True
    assert workflow.network is not None


def test_loss_is_a_name_or_weights_by_name(tmp_path: Path) -> None:
    for loss, expected in (("kge", "kge"), ({"log_nse": 1, "nse": 0.7}, (("log_nse", 1.0), ("nse", 0.7)))):
        workflow = load_workflow(write(tmp_path, changed(FILES, "estimate.loss", loss)))
        assert workflow.estimate.loss == expected
        copy = tmp_path / "copy.yaml"
        copy.write_text(dump_resolved(workflow))
        assert yaml.safe_load(copy.read_text())["estimate"]["loss"] == loss
        assert load_workflow(copy) == workflow
        assert hash(load_workflow(copy)) == hash(workflow)
    workflow = load_workflow(write(tmp_path, FILES), ["estimate.loss.timing=1", "estimate.loss.nse=0.5"])
    assert workflow.estimate.loss == (("timing", 1.0), ("nse", 0.5))


def test_set_can_swap_observations_for_a_twin(tmp_path: Path) -> None:
    workflow = load_workflow(write(tmp_path, FILES), ["observations=null", "twin.noise=0.2"])
    assert workflow.observations is None
    assert workflow.twin is not None
    assert workflow.twin.noise == 0.2
    assert workflow.twin.gauge_fraction == 0.02


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("estimate.stepz=3", "--set estimate.stepz=3: unknown key; did you mean estimate.steps?"),
        ("routing_step=1h", "--set routing_step=1h: unknown key; did you mean time.routing_step?"),
        ("tim.warmup=2d", "--set tim.warmup=2d: tim: unknown key; did you mean time?"),
        ("zzz=1", "--set zzz=1: unknown key"),
        ("estimate.steps", "--set estimate.steps: expected key=value, such as estimate.steps=50"),
        ("name.x=3", "--set name.x=3: name is 'basin'; expected a section with keys"),
        ("estimate.steps=[", "--set estimate.steps=[: found '['; expected a YAML value"),
        ("estimate.steps='5'", "--set estimate.steps='5': found '5'; expected an integer"),
        ("estimate.steps=true", "--set estimate.steps=true: found True; expected an integer"),
        ("estimate.steps=1.5", "--set estimate.steps=1.5: found 1.5; expected an integer"),
        ("estimate.steps=0", "--set estimate.steps=0: found 0; expected a value greater than 0"),
        ("estimate=null", "--set estimate=null: found nothing; expected a section with keys"),
        (
            "estimate.learning_rate=.nan",
            "--set estimate.learning_rate=.nan: found nan; expected a finite number",
        ),
        (
            "gauges.holdout=1.5",
            "--set gauges.holdout=1.5: found 1.5; expected a value less than or equal to 1",
        ),
        (
            "compute.dtype=float16",
            "--set compute.dtype=float16: found 'float16'; expected 'float32' or 'float64'",
        ),
        (
            "estimate.loss=nsee",
            "--set estimate.loss=nsee: not known; expected one of nse, nnse, kge, log_nse, huber, "
            "student_t, timing, or an import path package.module:Object; did you mean nse?",
        ),
        ("estimate.loss={kge: 0}", "found weight 0 of kge; expected a number above 0"),
        ("estimate.loss={}", "found no term; expected names with weights such as {nse: 0.7, log_nse: 0.3}"),
        ("estimate.loss=[nse]", "found ['nse']; expected the name of a loss, or names with weights"),
        ("estimate.student_t_nu=0", "found 0; expected a value greater than 0"),
        ("runoff.grid=1", "--set runoff.grid=1: found 1; expected auto, true or false"),
        ("report.discharge=1", "--set report.discharge=1: found 1; expected true or false"),
        ("network.path=3", "--set network.path=3: found 3; expected a path"),
        (
            "time.routing_step=900",
            "--set time.routing_step=900: found 900; expected a duration such as 900s, 15min, 3h or 1d",
        ),
        (
            "time.routing_step=0h",
            "--set time.routing_step=0h: found 0s; expected a duration longer than 0s",
        ),
        (
            "time.train=[1980, 1981-01-01]",
            "--set time.train=[1980, 1981-01-01]: time.train[0]: found 1980; "
            "expected a date such as 1980-10-01",
        ),
        (
            "time.train=[2001-02-29, 2002-01-01]",
            "--set time.train=[2001-02-29, 2002-01-01]: time.train[0]: found '2001-02-29'; "
            "expected a date such as 1980-10-01",
        ),
        (
            "time.train=[2002-01-01, 2001-01-01]",
            "--set time.train=[2002-01-01, 2001-01-01]: found 2002-01-01 .. 2001-01-01; "
            "expected the first day, then the last day",
        ),
        (
            "name=a/b",
            "--set name=a/b: found 'a/b'; expected the run's name: letters, digits, dots, dashes",
        ),
        (
            "parameters.celerity.bounds=[2, 1]",
            "--set parameters.celerity.bounds=[2, 1]: found [2.0, 1.0]; "
            "expected [lower, upper] with lower < upper",
        ),
        (
            "parameters.celerity.initial=9",
            "--set parameters.celerity.initial=9: parameters.celerity: found initial 9.0 with bounds "
            "[0.05, 5.0]; expected an initial value between them",
        ),
        (
            "compute.profile=nix.yaml",
            "is not a file; expected a profile: a path, or one of cuda, local, mpi, serial, slurm",
        ),
        (
            "output=${RIVERGRAD_TEST_UNSET}/x",
            "output: the environment variable RIVERGRAD_TEST_UNSET is not set",
        ),
        ("scheme.convention=rapid", None),
    ],
)
def test_override_mistakes(tmp_path: Path, override: str, expected: str | None) -> None:
    if expected is None:
        assert load_workflow(write(tmp_path, FILES), [override]).scheme.convention == "rapid"
    else:
        assert expected in mistake(tmp_path, FILES, [override])


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("estimate.stepz", 3, "w.yaml: estimate.stepz: unknown key; did you mean estimate.steps?"),
        ("parameters.celerity.boundz", 3, "did you mean parameters.celerity.bounds?"),
        ("observation", {"path": "o.nc"}, "did you mean observations?"),
        ("time.train", ..., "w.yaml: time.train: missing; expected the days the estimate is made from"),
        ("network", ..., "w.yaml: found runoff, observations without network; expected world, or network"),
        (
            "observations",
            ...,
            "w.yaml: found neither observations nor twin; expected one of observations, twin",
        ),
        ("twin", {}, "w.yaml: found observations and twin; expected one of observations, twin"),
        ("world", {"spec": {}}, "expected world alone, or files alone"),
        (
            "time.test",
            ["2002-12-31", "2003-01-05"],
            "w.yaml: time: found train 2000-01-01..2002-12-31 and test 2002-12-31..2003-01-05 with days in",
        ),
        ("time.train", ["2000-01-01", "2000-01-04"], "found 4 days in train; expected 5 or more"),
        (
            "estimate.window",
            "9000d",
            "w.yaml: found estimate.window 9000d and 877d of time.train outside validation",
        ),
        (
            "scheme",
            {"name": "hayami", "convention": "rapid"},
            "w.yaml: scheme: found convention rapid with hayami",
        ),
        (
            "partition",
            {"spread": True, "shallow": True},
            "w.yaml: partition: found spread and shallow; expected one of them",
        ),
        ("scheme.name", "muskingham", "did you mean muskingum?"),
        (
            "parameters.spreading",
            {"initial": 0.2, "bounds": [0.0, 0.7]},
            "found parameters.spreading.bounds up to 0.7; expected muskingum's x within 0..0.5",
        ),
        ("compute", {"kind": "serial", "workers": 2}, "found kind serial with 2 workers; expected workers 0"),
        ("compute", {"ucx": "auto"}, "w.yaml: compute.ucx: "),
    ],
)
def test_mistakes(tmp_path: Path, key: str, value: Any, expected: str) -> None:
    assert expected in mistake(tmp_path, changed(FILES, key, value))


def test_spreading_needs_a_scheme_that_has_it(tmp_path: Path) -> None:
    data = changed(FILES, "parameters.spreading", {"initial": 0.2, "bounds": [0.0, 0.5]})
    assert load_workflow(write(tmp_path, data)).parameters.spreading is not None
    data = changed(data, "scheme.name", "pure_lag")
    assert "found parameters.spreading with scheme pure_lag" in mistake(tmp_path, data)


def test_unknown_keys_are_named_before_what_they_caused(tmp_path: Path) -> None:
    data = changed(changed(FILES, "time.train", ...), "time.trian", ["2000-01-01", "2001-01-01"])
    assert mistake(tmp_path, data) == "w.yaml: time.trian: unknown key; did you mean time.train? (and 1 more)"


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        (
            "time.routing_step",
            "5h",
            "found world.spec.forcing_step 1d and time.routing_step 5h; expected the first",
        ),
        ("time.routing_step", "2d", "found world.spec.forcing_step 1d and time.routing_step 2d"),
        (
            "time.train",
            ["2000-12-31", "2002-12-31"],
            "found time.train 2000-12-31..2002-12-31 and a world from 2001-01-01 to 2004-12-31",
        ),
        (
            "time.test",
            ["2004-01-01", "2005-01-01"],
            "found time.test 2004-01-01..2005-01-01 and a world from",
        ),
        (
            "world.spec.reachs",
            300,
            "w.yaml: world.spec.reachs: unknown key; did you mean world.spec.reaches?",
        ),
        ("world.spec.years", "four", "w.yaml: world.spec.years: found 'four'; expected a valid number"),
    ],
)
def test_mistakes_in_worlds(tmp_path: Path, key: str, value: Any, expected: str) -> None:
    assert expected in mistake(tmp_path, changed(WORLD, key, value))


def test_days_are_inclusive_to_the_last_one_of_the_world(tmp_path: Path) -> None:
    data = changed(WORLD, "time.test", ["2004-01-01", "2004-12-31"])  # 4 x 365.25 days end with that day
    assert load_workflow(write(tmp_path, data)).time.test == (date(2004, 1, 1), date(2004, 12, 31))


def test_profile_is_merged_and_the_workflow_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "p.yaml").write_text("kind: local\nworkers: 3\ndtype: float64\nmemory_budget: 1GB\n")
    monkeypatch.chdir(tmp_path)
    data = changed(FILES, "compute", {"profile": "p.yaml", "workers": 5})
    compute = load_workflow(write(tmp_path, data)).compute
    assert (compute.kind, compute.workers, compute.dtype, compute.memory_budget) == (
        "local",
        5,
        "float64",
        10**9,
    )
    assert compute.profile is None  # resolved: nothing refers to the file any more
    assert load_workflow(write(tmp_path, data), ["compute.workers=0"]).compute.workers == 0


def test_paths_in_a_profile_are_relative_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It belongs to a cluster; those of a workflow and of `--set` are relative to the current directory."""
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "p.yaml").write_text(
        "tls: {ca: certs/ca.pem, cert: ../cert.pem, key: /etc/key.pem}\n"
        "slurm: {template: job.j2, partition: long, memory: 2GB}\n"
    )
    monkeypatch.chdir(tmp_path)
    for profile in ("ours/p.yaml", str(tmp_path / "ours/p.yaml")):
        data = changed(FILES, "compute", {"profile": profile, "slurm": {"memory": "1GB"}})
        compute, folder = load_workflow(write(tmp_path, data)).compute, Path(profile).parent
        assert compute.tls.model_dump() == {
            "ca": folder / "certs/ca.pem",
            "cert": folder / "../cert.pem",
            "key": Path("/etc/key.pem"),
        }
        slurm = compute.slurm
        assert (slurm.template, slurm.partition, slurm.memory) == (folder / "job.j2", "long", 10**9)
    compute = load_workflow(
        write(tmp_path, data), ["compute.slurm.template=own.j2", "compute.tls.ca=ca.pem"]
    ).compute
    assert (compute.slurm.template, compute.tls.ca) == (Path("own.j2"), Path("ca.pem"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("wokers: 3\n", "p.yaml: wokers: unknown key; did you mean workers?"),
        ("workers: -1\n", "p.yaml: workers: found -1; expected a value greater than or equal to 0"),
        ("profile: q.yaml\n", "p.yaml: profile: a profile cannot refer to another one"),
        ("", "p.yaml: found nothing; expected 'key: value' lines"),
    ],
)
def test_mistakes_in_a_profile_name_the_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: str
) -> None:
    (tmp_path / "p.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert mistake(tmp_path, changed(FILES, "compute", {"profile": "p.yaml"})).startswith(expected)


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_profiles_say_what_each_value_means(path: Path, tmp_path: Path) -> None:
    data = changed(FILES, "compute", {"profile": str(path)})
    assert load_workflow(write(tmp_path, data)).compute.kind == path.stem
    lines = [line.strip() for line in path.read_text().splitlines()]
    values = [i for i, line in enumerate(lines) if line and not line.startswith("#")]
    assert {lines[i].partition(":")[0] for i in values} >= {
        *("kind", "workers", "threads_per_worker", "engine", "dtype", "device", "memory_budget")
    }
    assert all(lines[i - 1].startswith("# ") and lines[i - 1].endswith(".") for i in values)


def test_profile_of_the_command_line_says_which_cluster(tmp_path: Path) -> None:
    """And not how it computes; what `--set` says of that wins over both."""
    data = changed(FILES, "compute", {"kind": "serial", "dtype": "float64", "threads_per_worker": 2})
    profile = "compute.profile=configs/local.yaml"
    compute = load_workflow(write(tmp_path, data), [profile]).compute
    assert (compute.kind, compute.workers, compute.dtype, compute.threads_per_worker) == (
        "local",
        2,
        "float64",
        2,
    )
    assert load_workflow(write(tmp_path, data), [profile, "compute.workers=3"]).compute.workers == 3


def test_what_a_cluster_is_opened_with(tmp_path: Path) -> None:
    keys = {
        "kind": "slurm",
        "workers": 3,
        "tls": {"ca": "a", "cert": "b", "key": "c"},
        "performance_report": True,
    }
    options = load_workflow(write(tmp_path, changed(FILES, "compute", keys))).compute.cluster(tmp_path)
    assert (options.kind, options.workers, options.interface) == ("slurm", 3, "lo")
    assert (options.port, options.dashboard, options.report) == (0, False, tmp_path / "dask-report.html")
    assert options.tls is not None
    assert (options.tls.key, options.queue["time"], options.logs) == (Path("c"), 3600.0, tmp_path / "workers")
    assert "expected the number of jobs" in mistake(tmp_path, changed(FILES, "compute", {"kind": "slurm"}))


def test_the_configuration_of_an_earlier_run_is_still_read(tmp_path: Path) -> None:
    """It names keys that are gone; in a workflow of the user's own they are a mistake."""
    data = changed(FILES, "compute", {"ucx": "auto", "dtype": "float64"})
    path = write(tmp_path, data).rename(tmp_path / "config.yaml")
    with pytest.raises(InputError, match=r"config\.yaml: compute\.ucx: unknown key"):
        load_workflow(path)
    (tmp_path / "run.json").write_text("{}")
    assert load_workflow(path).compute.dtype == "float64"


def test_environment_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIVERGRAD_TEST", "/somewhere")
    data = changed(FILES, "network.path", "${RIVERGRAD_TEST}/${RIVERGRAD_TEST}/$HOME/n.csv")
    network = load_workflow(write(tmp_path, data)).network
    assert network is not None
    assert str(network.path) == "/somewhere//somewhere/$HOME/n.csv".replace("//", "/")


@pytest.mark.parametrize("value", [None, ""], ids=["unset", "empty"])
def test_a_data_folder_that_is_not_named_is_an_error_that_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    """No folder of whoever wrote the package stands in for the reader's, in a folder `workflows` neither."""
    monkeypatch.delenv("RIVERGRAD_DATA", raising=False)
    if value is not None:
        monkeypatch.setenv("RIVERGRAD_DATA", value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shared" / "data").mkdir(parents=True)
    folder = tmp_path / "project" / "workflows"
    folder.mkdir(parents=True)
    path = write(folder, changed(FILES, "network.path", "${RIVERGRAD_DATA}/n.csv"))
    with pytest.raises(InputError) as caught:
        load_workflow(path)
    said = str(caught.value)
    assert said.startswith(
        f"{path}: network.path: the environment variable RIVERGRAD_DATA is not set; expected "
    )
    assert "the folder of your data in it (export RIVERGRAD_DATA=" in said


def test_missing_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    workflow = load_workflow(write(tmp_path, FILES))
    (tmp_path / "n.csv").touch()
    with pytest.raises(
        InputError, match=r"runoff.path: r.nc is not there \(nor is o.nc of observations.path\)"
    ):
        require_files(workflow, "w.yaml")
    (tmp_path / "r.nc").touch()
    (tmp_path / "o.nc").touch()
    require_files(workflow, "w.yaml")
    require_files(load_workflow(write(tmp_path, WORLD)), "w.yaml")


def test_no_such_workflow(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nix\.yaml: no such file"):
        load_workflow(tmp_path / "nix.yaml")


def test_a_text_that_would_be_expanded_again_is_not_dumped(tmp_path: Path) -> None:
    workflow = load_workflow(write(tmp_path, FILES)).model_copy(update={"output": Path("${HOME}/x")})
    with pytest.raises(InputError, match="output: found"):
        dump_resolved(workflow)


def test_every_field_has_a_sentence() -> None:
    def check(model: type[BaseModel], prefix: str) -> int:
        count = 0
        for name, field in model.model_fields.items():
            text = field.description
            assert text, f"{prefix}{name} has no description"
            assert text.endswith("."), f"{prefix}{name}: {text!r} is no sentence"
            count += 1
            for kind in (field.annotation, *getattr(field.annotation, "__args__", ())):
                if isinstance(kind, type) and issubclass(kind, BaseModel):
                    count += check(kind, f"{prefix}{name}.")
        return count

    assert check(Workflow, "") > 60


def test_json_schema_is_closed_and_describes() -> None:
    schema = json.loads(json.dumps(Workflow.model_json_schema()))
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["name", "time"]
    step = schema["$defs"]["TimeSection"]["properties"]["routing_step"]
    assert step["type"] == "string"
    assert "multiple" in step["description"]
    assert schema["$defs"]["WorldSpec"]["additionalProperties"] is False


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("estimate.stepz", "estimate.steps"),
        ("estimate.learningrate", "estimate.learning_rate"),
        ("workers", "compute.workers"),
        ("estimate.workers", "compute.workers"),
        ("gauge", "gauges"),
        ("qqqqq", None),
    ],
)
def test_nearest_key(key: str, nearest: str | None) -> None:
    assert nearest_key(key) == nearest


def test_description_of_a_key() -> None:
    assert description("estimate.learning_rate") == "adam's learning rate"
    assert description("estimate.nothing") is None


def test_the_share_of_gauges_held_out_stands_once(tmp_path: Path) -> None:
    data = changed(WORLD, "gauges.holdout", 0.3)
    workflow = load_workflow(write(tmp_path, data))
    assert workflow.world is not None
    assert workflow.world.spec.holdout_fraction == 0.3
    text = mistake(tmp_path, changed(data, "world.spec.holdout_fraction", 0.1))
    assert "holdout_fraction 0.1 and gauges.holdout 0.3" in text


@pytest.mark.parametrize("method", ["lbfgs", "L-BFGS", "newton"])
def test_a_method_that_is_no_longer_there(tmp_path: Path, method: str) -> None:
    said = mistake(tmp_path, changed(FILES, "estimate.method", method))
    assert said.startswith("w.yaml: estimate.method")
    assert "\n" not in said
    if method == "lbfgs":
        assert said == (
            "w.yaml: estimate.method: found lbfgs, which rivergrad no longer has; expected gauss_newton, "
            "which is as exact in fewer steps, or adam, which takes any loss"
        )


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("estimate", "windows_per_step", 10**8),
        ("estimate", "uniform_grid", 10**8),
        ("estimate", "steps", 10**12),
        ("compute", "workers", 10**8),
        ("gauges", "folds", 10**8),
        ("partition", "parts", 10**12),
    ],
)
def test_counts_are_bounded_before_anything_is_made_of_them(
    tmp_path: Path, section: str, key: str, value: int
) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(yaml.safe_dump({**FILES, section: {key: value}}))
    with pytest.raises(InputError, match=f"{section}.{key}"):
        load_workflow(path)


@pytest.mark.parametrize(
    ("given", "found"), [("auto", "auto"), ("no", "no"), (False, "no"), ("run", "run"), ("12h", 43200.0)]
)
def test_how_long_amounts_accumulate(tmp_path: Path, given: object, found: object) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(
        yaml.safe_dump({**FILES, "runoff": {"path": "r.nc", "accumulated": given, "stamp": "end"}})
    )
    loaded = load_workflow(path).runoff
    assert loaded is not None
    assert loaded.accumulated == found
    assert loaded.stamp == "end"
    for bad in ("0h", "12", "yes", True, 3):
        path.write_text(yaml.safe_dump({**FILES, "runoff": {"path": "r.nc", "accumulated": bad}}))
        with pytest.raises(InputError, match=r"runoff\.accumulated"):
            load_workflow(path)
