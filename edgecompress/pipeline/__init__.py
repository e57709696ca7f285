"""The order of the stages. The only module that knows it; core/run_folder.py says what each leaves behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from edgecompress.core import files, plugins, recipe
from edgecompress.core.errors import QualityError
from edgecompress.core.run_folder import Deployment, Observer, Profile, Run, Silent
from edgecompress.core.values import Measurements
from edgecompress.pipeline.device_choice import DeviceChoice as DeviceChoice

if TYPE_CHECKING:
    from edgecompress.compile.fit import Fit
    from edgecompress.core.bundle import Bundle
    from edgecompress.core.device import Device
    from edgecompress.core.effects import StepEffect
    from edgecompress.core.recipe import Recipe, Step
    from edgecompress.core.report import Baseline, LimitResult, Report
    from edgecompress.core.slot_key import PublicKey
    from edgecompress.core.target import Target
    from edgecompress.core.values import Data, Model, Optimize
    from edgecompress.deploy._ssh_devices import RemoteBoard
    from edgecompress.pipeline.steps import TargetFacts

DEFAULT_REPEAT = 20
REPORT_FILES = ("report.html", "report.json", "report.md")
"""What the modules of report/ write; a test compares them. They are not asked: their import takes a second."""


NO_CHOICE = DeviceChoice()


def compress(
    source: Path,
    folder: Path,
    observer: Observer,
    chosen: Target | None = None,
    more_steps: Sequence[Step] = (),
    choice: DeviceChoice = NO_CHOICE,
    optimize: Optimize = "balanced",
) -> Run:
    """Load the network and its data, and apply the recipe's steps in order, then `more_steps`. Writes RUN/model/.

    A target that is known by now says what channel counts should be a multiple of, and counts instructions for steps
    that have a budget of them.
    """
    from edgecompress.pipeline import layer_counts

    run = Run.begin(folder, source, observer, more_steps)
    asked = run.record.recipe
    facts = layer_counts.facts(chosen, optimize, lambda target: connect(target, choice), observer.progress)
    inputs = {
        "recipe": asked.model_dump(mode="json", exclude={"limits"}),
        "model": [_hash_if_there(path) for path in asked.model_sources],
        "data": [_hash_if_there(path) for path in asked.data.sources] if asked.data is not None else [],
        "channel_multiple": facts.channel_multiple,
        "counted_on": layer_counts.inputs(asked.steps, chosen, optimize, choice.address, *choice.emulator_args),
        "files": [_hash_if_there(path) for step in asked.steps for path in step.sources(source.resolve().parent)],
    }
    results = ["baseline.onnx", "model.onnx", "steps.json", *(["evaluation.npz"] if asked.data is not None else [])]
    with run.stage("compress", inputs, *(f"model/{name}" for name in results)) as key:
        if key is not None:
            _compress(run, key, facts)
    return run


def measure_steps(run: Run, chosen: Target, choice: DeviceChoice, optimize: Optimize = "balanced") -> None:
    """Build and measure the network as given and after every step but the last. Writes RUN/steps.json."""
    from edgecompress.pipeline import step_costs

    inputs = {
        "model": run.key("compress"),
        "target": chosen.model_dump(mode="json"),
        "optimize": optimize,
        "device": [choice.address, *choice.emulator_args],
    }
    with run.stage("steps", inputs, "steps.json") as key:
        if key is not None:
            run.write("steps.json", step_costs.measure(run, chosen, optimize, lambda: connect(chosen, choice)))


def tune(run: Run, chosen: Target, choice: DeviceChoice, optimize: Optimize = "balanced") -> dict[str, str]:
    """Measure on the device which ways of computing the layers are the fastest. Writes RUN/ways.json."""
    from edgecompress.pipeline import tuning

    inputs = {
        "model": run.key("compress"),
        "target": chosen.model_dump(mode="json"),
        "optimize": optimize,
        "device": [choice.address, *choice.emulator_args],
    }
    with run.stage("tune", inputs, "ways.json") as key:
        if key is not None:
            model, progress = _load(run, "model"), run.observer.progress
            found = tuning.measure(model, chosen, optimize, lambda: connect(chosen, choice), progress)
            run.write("ways.json", found)
    return run.read("ways.json", tuning.Ways, by="compile --tune").ways


def compile_network(
    run: Run,
    chosen: Target,
    optimize: Optimize = "balanced",
    ways: Mapping[str, str] | None = None,
    slot_key: PublicKey | None = None,
) -> Bundle:
    """Compile the network, refusing what does not fit before any compiler runs. Writes RUN/bundle/.

    `ways` are those that `tune` found. With a `slot_key` the firmware has slots, and there are images for them.
    """
    from edgecompress import compile as compiler

    run.choose_target(chosen)
    inputs = {
        "model": run.key("compress"),
        "target": chosen.model_dump(mode="json"),
        "optimize": optimize,
        "ways": dict(ways or {}),
        **({"slot_key": slot_key.fingerprint} if slot_key is not None else {}),
    }
    with run.stage("compile", inputs, "bundle/manifest.json", intact=run.has_whole_bundle) as key:
        if key is not None:
            compiler.build(
                _load(run, "model"),
                chosen,
                run.folder / "bundle",
                samples=run.evaluation(),
                optimize=optimize,
                ways=ways or {},
                slot_key=slot_key,
                progress=run.observer.progress,
            )
    return run.bundle()


def deploy(run: Run, choice: DeviceChoice) -> Deployment:
    """Bring the bundle onto the device and prove that it runs there. Writes RUN/deployment.json."""
    inputs = {"bundle": run.key("compile"), "device": [choice.address, *choice.emulator_args]}
    bundle = run.bundle()
    bundle.check_whole()
    with run.stage("deploy", inputs, "deployment.json") as key:
        if key is not None:
            with connect(run.target, choice) as device:
                device.install(bundle, run.observer.progress)
                deployment = Deployment(
                    device=device.description,
                    emulated=device.emulated,
                    target=bundle.manifest.target,
                    build_id=bundle.manifest.build_id,
                    verified_vectors=bundle.manifest.vectors.count,
                )
            run.write("deployment.json", deployment)
    return run.read("deployment.json", Deployment, by="deploy")


def profile(run: Run, choice: DeviceChoice, repeat: int = DEFAULT_REPEAT) -> Profile:
    """Ask the device every question that measure/ knows. Writes RUN/measurements.json."""
    inputs = {"deployment": run.key("deploy"), "device": [choice.address, *choice.emulator_args], "repeat": repeat}
    bundle = run.bundle()
    bundle.check_whole()
    with run.stage("profile", inputs, "measurements.json") as key:
        if key is not None:
            with connect(run.target, choice) as device:
                _reach(run, device, bundle)
                found = _measure(run, device, repeat)
                result = Profile(
                    device=device.description,
                    emulated=device.emulated,
                    instructions_per_tick=device.instructions_per_tick,
                    measurements=found,
                )
            run.write("measurements.json", result)
    return run.read("measurements.json", Profile, by="profile")


def run_all(
    source: Path,
    chosen: Target,
    folder: Path,
    observer: Observer,
    choice: DeviceChoice,
    repeat: int,
    optimize: Optimize = "balanced",
    more_steps: Sequence[Step] = (),
    step_figures: bool = True,
    tuned: bool = False,
    slot_key: PublicKey | None = None,
) -> Report:
    """All stages in order. What is up to date is kept.

    With `step_figures` every step of the recipe is built and measured, to show what each bought and cost. With `tuned`
    the fastest ways of its layers are measured on the device before the network is compiled. `slot_key` as for
    `compile_network`.
    """
    run = compress(source, folder, observer, chosen, more_steps, choice, optimize)
    if step_figures and run.record.recipe.steps:
        measure_steps(run, chosen, choice, optimize)
    compile_network(run, chosen, optimize, tune(run, chosen, choice, optimize) if tuned else None, slot_key)
    deploy(run, choice)
    profile(run, choice, repeat)
    return report(run)


def report(run: Run) -> Report:
    """Put everything together and write RUN/report.*, one file for each format that report/ knows."""
    inputs = {
        "profile": run.key("profile"),
        "steps": run.has("steps"),
        "limits": run.record.recipe.limits.model_dump(mode="json"),
    }
    with run.stage("report", inputs, *REPORT_FILES) as key:
        if key is not None:
            _write_report(run)
    from edgecompress.core.report import Report

    return run.read("report.json", Report, by="report")


def raise_if_limits_missed(report: Report) -> None:
    """Raise QualityError naming every limit of the recipe that was missed, with its figure."""
    missed = [limit for candidate in report.candidates for limit in candidate.limits if not limit.passed]
    if not missed:
        return
    lines = [f"{limit.metric} is {_found(limit)}, and must be {limit.rule} {limit.limit:,g}" for limit in missed]
    raise QualityError("; ".join(lines), hint="the report says where it comes from; change the steps or the limits")


def _found(limit: LimitResult) -> str:
    if limit.value is None:
        return str(limit.missing)
    return f"{limit.value:,g}" + (f" (VOID: {limit.void})" if limit.void else "")


def check(source: Path, chosen: Target, optimize: Optimize = "balanced", *, slots: bool = False) -> Fit:
    """Say whether a network fits a target, or a firmware with slots and a slot of it, before anything is built.

    `source` is a model file, a recipe (its model as given), or a run folder (its compressed network).
    """
    from edgecompress import compile as compiler

    if source.is_dir():
        run = Run.open(source, Silent())
        run.key("compress")
        return compiler.check(_load(run, "model"), chosen, optimize, slots=slots)
    asked = recipe.load_or_wrap(source)
    return compiler.check(_as_given(asked), chosen, optimize, slots=slots)


def remote_board(address: str) -> RemoteBoard:
    """Return a board at an `ssh://` address, to trust it, look at it, or go back to an older version."""
    from edgecompress.deploy._ssh_devices import RemoteBoard

    return RemoteBoard(address)


def connect(chosen: Target, choice: DeviceChoice) -> Device:
    """Reach the chosen device. It starts nothing before a bundle is installed; leaving its `with` closes it."""
    return choice.connect(chosen)


def _compress(run: Run, key: str, facts: TargetFacts) -> None:
    from edgecompress.core import data as data_source
    from edgecompress.models import onnx_file
    from edgecompress.pipeline import steps
    from edgecompress.pipeline.step_costs import StepEffects

    asked = run.record.recipe
    baseline = _as_given(asked)
    data = data_source.load(asked.data, baseline.inputs) if asked.data is not None else None
    stations = list(steps.apply(run, baseline, data, key, facts))
    with files.whole_folder(run.folder / "model") as draft:
        onnx_file.save(baseline, draft / "baseline.onnx", is_clean=True)
        onnx_file.save(stations[-1][0], draft / "model.onnx", is_clean=stations[-1][0] is baseline)
        effects = StepEffects(effects=tuple(effect for _, effect in stations))
        files.write_whole(draft / "steps.json", effects.model_dump_json(indent=2))
        if data is not None:
            _save_evaluation(data, draft / "evaluation.npz")


def _as_given(asked: Recipe) -> Model:
    """Load the network that a recipe names."""
    from edgecompress import models

    return models.load(asked.model, name=asked.name, shapes=asked.shapes, state=asked.state)


def _load(run: Run, which: str) -> Model:
    """Load the network as it was given (`baseline`) or as it is compiled (`model`)."""
    from edgecompress import models

    return models.load(run.folder / "model" / f"{which}.onnx")


def _save_evaluation(data: Data, path: Path) -> None:
    import numpy as np

    arrays = {f"input:{name}": value for name, value in data.evaluation.inputs.items()}
    if data.evaluation.labels is not None:
        arrays["labels"] = data.evaluation.labels
    np.savez(path, allow_pickle=False, **arrays)


def _reach(run: Run, device: Device, bundle: Bundle) -> None:
    """Bring the bundle onto the device again, or join it where it runs from a slot."""
    if run.read("deployment.json", Deployment, by="deploy").slot is None:
        device.install(bundle, run.observer.progress)
        return
    device.join(run.observer.progress)
    device.adopt(bundle, run.observer.progress)


def _measure(run: Run, device: Device, repeat: int) -> Measurements:
    from edgecompress.core.values import Evidence

    asked = run.record.recipe
    bundle = run.bundle()
    evidence = Evidence(
        model=_load(run, "model"),
        baseline=_load(run, "baseline"),
        evaluation=run.evaluation(),
        note=asked.data.note if asked.data is not None else "",
        repeat=repeat,
        progress=run.observer.progress,
    )
    found = [
        plugins.find("measure", name, where="measure").read(device, bundle, evidence)
        for name in plugins.names("measure")
    ]
    return Measurements(
        metrics=tuple(metric for each in found for metric in each.metrics),
        layers=tuple(layer for each in found for layer in each.layers),
        conditions=tuple(run for each in found for run in each.conditions),
    )


def _write_report(run: Run) -> None:
    from edgecompress.core.report import assemble, candidate

    asked = run.record.recipe
    profiled = run.read("measurements.json", Profile, by="profile")
    manifest = run.bundle().manifest
    report = assemble(
        name=manifest.name,
        created=datetime.now(UTC).replace(microsecond=0),
        target=run.target,
        device=profiled.device,
        emulated=profiled.emulated,
        instructions_per_tick=profiled.instructions_per_tick,
        baseline=_summarise(_load(run, "baseline")),
        candidates=[candidate(manifest, [profiled.measurements], asked.limits, _effects(run, profiled))],
        notes=[asked.data.note] if asked.data is not None else [],
        tools=manifest.tools,
    )
    for name in plugins.names("report"):
        module = plugins.find("report", name, where="report")
        files.write_whole(run.folder / module.FILE_NAME, module.render(report))


def _effects(run: Run, profiled: Profile) -> tuple[StepEffect, ...]:
    """What each step bought and cost, as far as it was measured; nothing for a network that took no step."""
    from edgecompress.core.effects import judge
    from edgecompress.pipeline import step_costs
    from edgecompress.pipeline.step_costs import StepEffects

    measured = "steps.json" if run.has("steps") else "model/steps.json"
    effects = run.read(measured, StepEffects, by="compress").effects
    if len(effects) == 1:
        return ()
    return judge(step_costs.with_last(effects, profiled.measurements.metrics), run.record.recipe.limits)


def _summarise(model: Model) -> Baseline:
    from onnx import numpy_helper

    from edgecompress.core.report import Baseline

    parameters = sum(numpy_helper.to_array(tensor).nbytes for tensor in model.graph.graph.initializer)
    return Baseline(name=model.name, dtype="int8" if model.is_quantized else "float32", parameter_bytes=parameters)


def _hash_if_there(path: Path) -> str | None:
    """The content's hash; a missing file is reported by the stage that reads it."""
    return files.sha256(path) if path.is_file() else None
