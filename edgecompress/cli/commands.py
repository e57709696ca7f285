"""The commands: one function each."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import rich_click as click

import edgecompress
from edgecompress.cli.devices import devices_group
from edgecompress.cli.doctor import doctor
from edgecompress.cli.export import export_command
from edgecompress.cli.flash import flash
from edgecompress.cli.keys import ask_passphrase, keys_group
from edgecompress.cli.methods import methods_group
from edgecompress.cli.printing import print_judged, print_report, print_stage
from edgecompress.cli.targets import targets_group
from edgecompress.core.errors import UsageError

if TYPE_CHECKING:
    from edgecompress.core.run_folder import Run
    from edgecompress.core.target import Arithmetic
    from edgecompress.core.values import Optimize

F = TypeVar("F", bound=Callable[..., Any])

source_argument = click.argument("source", type=click.Path(path_type=Path))
run_argument = click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
target_option = click.option(
    "--target", "-t", "target_name", required=True, help="A shipped profile's name, or the path of your own .toml."
)
output_option = click.option(
    "--output", "-o", "folder", required=True, type=click.Path(path_type=Path, file_okay=False), help="The run folder."
)
device_option = click.option(
    "--device",
    help="The device's address: qemu://, local://, ssh://pi@HOST, serial://usb:SERIALNUMBER for a board that runs the "
    "firmware already, gdb://HOST:PORT to flash an emulated board behind a debug server; virtual boards are "
    "loop://rpi4 (by qemu-user, ready in a second) and vm://rpi4 (a whole system); qemu://FOLDER keeps an "
    "emulated board, with its flash, in a folder. [default: the target's]",
)
emulator_option = click.option(
    "--emulator-args",
    default="",
    help="Further arguments for the emulator, in one string: a plugin, a trace. Only for emulated targets.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
optimize_option = click.option(
    "--optimize",
    type=click.Choice(["speed", "size", "ram", "balanced"]),
    default="balanced",
    show_default=True,
    help="What to save: instructions, flash, RAM, or some of each. The outputs stay the same bytes, but for floats on "
    "Linux: speed and balanced use Winograd convolutions, within 1e-3 of ONNX Runtime, unless the target's profile "
    "says exact_float = true.",
)
arithmetic_option = click.option(
    "--arithmetic",
    type=click.Choice(["float", "half"]),
    help="What float networks multiply in. half: weights and products in half precision (Cortex-A76 and newer), where "
    "the outputs stay within 1e-3 of ONNX Runtime; the report gives what was measured. [default: the target's, float]",
)
step_option = click.option(
    "--step",
    "steps",
    multiple=True,
    help="One more compression step, after those of the recipe: a method and its options, as in "
    "'static_int8 ranges=mse'. May be given again; `edgecompress methods list` knows them all.",
)
step_figures_option = click.option(
    "--step-figures/--no-step-figures",
    default=True,
    show_default=True,
    help="Build and measure the network after every step on the device, to show what each step bought and cost.",
)
tune_option = click.option(
    "--tune",
    "tuned",
    is_flag=True,
    help="Measure the most promising ways of each layer on the device first, and take the fastest; kept in the user's "
    "cache. No byte of an int8 network's outputs depends on it.",
)
slot_key_option = click.option(
    "--slot-key",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="KEY.pub",
    help="Build a firmware with slots, which takes further networks over its line when they are signed with the key's "
    "private half, and images of this one for them. `edgecompress keys new` makes a key; docs/slots.md.",
)
repeat_option = click.option(
    "--repeat",
    default=20,
    show_default=True,
    type=click.IntRange(1, 100_000),
    help="Timed inferences; on a real clock at least so many.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(edgecompress.__version__, prog_name="edgecompress")
@click.option("--verbose", "-v", is_flag=True, help="Log what is done, on stderr.")
def group(verbose: bool) -> None:
    """Compress a trained network, compile it for a device, deploy it, and measure it there.

    \b
    Examples:
      edgecompress run examples/wakeword.toml --target mps2-an386 -o runs/wakeword
      edgecompress run network.onnx --target host -o runs/network
      edgecompress check network.onnx --target mps2-an386
    """
    logging.basicConfig(level=logging.DEBUG if verbose else logging.WARNING, format="%(name)s: %(message)s")


@group.command()
@source_argument
@target_option
@output_option
@optimize_option
@arithmetic_option
@tune_option
@device_option
@emulator_option
@repeat_option
@step_option
@step_figures_option
@slot_key_option
@json_option
def run(
    source: Path,
    target_name: str,
    folder: Path,
    optimize: Optimize,
    arithmetic: Arithmetic | None,
    tuned: bool,
    device: str | None,
    emulator_args: str,
    repeat: int,
    steps: tuple[str, ...],
    step_figures: bool,
    slot_key: Path | None,
    as_json: bool,
) -> None:
    """Take SOURCE, a recipe or a model file, through all stages to a report.

    A model file alone is compiled as it is, with seeded test vectors. The same command again goes on where an
    interrupted run stopped, and repeats only what changed.

    \b
    Examples:
      edgecompress run examples/wakeword.toml -t mps2-an386 -o runs/wakeword
      edgecompress run network.onnx -t mps3-an547 -o runs/network --json
      edgecompress run network.onnx -t rpi4 --device vm://rpi4 -o runs/network
      edgecompress run network.onnx -t mps2-an386 -o runs/small --step "weight_only bits=4"
    """
    from edgecompress import pipeline
    from edgecompress.core import recipe, target

    chosen = target.load(target_name).computing_in(arithmetic)
    more_steps = [recipe.step(text) for text in steps]
    choice = _choice(device, emulator_args)
    with _display() as display:
        report = pipeline.run_all(
            source,
            chosen,
            folder,
            display,
            choice,
            repeat,
            optimize,
            more_steps,
            step_figures=step_figures,
            tuned=tuned,
            slot_key=_slot_key(slot_key),
        )
    print_report(report, folder, as_json)


@group.command()
@source_argument
@output_option
@click.option("--target", "-t", "target_name", help="What channel counts are rounded and instructions counted for.")
@step_option
@json_option
def compress(source: Path, folder: Path, target_name: str | None, steps: tuple[str, ...], as_json: bool) -> None:
    """Apply the steps of SOURCE, a recipe, to its model; SOURCE may be a model file with --step. Writes RUN/model.

    \b
    Examples:
      edgecompress compress examples/wakeword.toml -o runs/wakeword
      edgecompress compress network.onnx -o runs/small --step "weight_only bits=4"
    """
    from edgecompress import pipeline
    from edgecompress.core import recipe, target

    chosen = target.load(target_name) if target_name else None
    more_steps = [recipe.step(text) for text in steps]
    with _display() as display:
        done = pipeline.compress(source, folder, display, chosen, more_steps)
    print_stage(done, "compress", folder / "model", as_json)


@group.command("compile")
@run_argument
@target_option
@optimize_option
@arithmetic_option
@tune_option
@device_option
@slot_key_option
@json_option
def compile_command(
    run_folder: Path,
    target_name: str,
    optimize: Optimize,
    arithmetic: Arithmetic | None,
    tuned: bool,
    device: str | None,
    slot_key: Path | None,
    as_json: bool,
) -> None:
    """Compile the compressed network of RUN for a target. Writes RUN/bundle.

    \b
    Examples:
      edgecompress compile runs/wakeword -t mps2-an386
      edgecompress compile runs/pi -t rpi4 --tune --device ssh://pi@raspberrypi.local
      edgecompress compile runs/pi -t rpi5 --arithmetic half
      edgecompress compile runs/wakeword -t mps2-an386 --slot-key wakeword.key.pub
    """
    from edgecompress import pipeline
    from edgecompress.core import target

    chosen = target.load(target_name).computing_in(arithmetic)
    with _display() as display:
        opened = _open(run_folder, display)
        ways = pipeline.tune(opened, chosen, _choice(device, ""), optimize) if tuned else None
        pipeline.compile_network(opened, chosen, optimize, ways, _slot_key(slot_key))
    print_stage(opened, "compile", run_folder / "bundle", as_json)


@group.command()
@run_argument
@device_option
@emulator_option
@click.option("--slot", "into_slot", is_flag=True, help="Into a slot of the firmware that runs there (docs/slots.md).")
@click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False),
    help="For --slot: the private key whose public half the firmware was built with.",
)
@json_option
def deploy(
    run_folder: Path, device: str | None, emulator_args: str, into_slot: bool, key: Path | None, as_json: bool
) -> None:
    """Bring the bundle of RUN onto the device and verify it there. Writes RUN/deployment.json.

    Success means: the device answered with the bundle's build id and reproduced its test vectors byte for byte.
    With --slot, a firmware that runs there already takes the network into the slot that is not in use; the model before
    serves again when the new one fails. The same command again goes on where it was interrupted.

    \b
    Examples:
      edgecompress deploy runs/wakeword
      edgecompress deploy runs/wakeword --device qemu://board
      edgecompress deploy runs/better --slot --key wakeword.key --device qemu://board
      edgecompress deploy runs/better --slot --key wakeword.key --device serial:///dev/ttyACM0
    """
    from edgecompress import pipeline

    if into_slot != (key is not None):
        raise UsageError("--slot and --key belong together", hint="give both: --slot --key KEY")
    with _display() as display:
        opened = _open(run_folder, display)
        if key is None:
            pipeline.deploy(opened, _choice(device, emulator_args))
        else:
            from edgecompress.pipeline import slots

            slots.deploy(opened, _choice(device, emulator_args), key, lambda: ask_passphrase(key))
    print_stage(opened, "deploy", run_folder / "deployment.json", as_json)


@group.command()
@run_argument
@device_option
@emulator_option
@repeat_option
@json_option
def profile(run_folder: Path, device: str | None, emulator_args: str, repeat: int, as_json: bool) -> None:
    """Measure the deployed network of RUN: latency, memory, layers, accuracy. Writes RUN/measurements.json.

    \b
    Example:
      edgecompress profile runs/wakeword --repeat 100
    """
    from edgecompress import pipeline

    with _display() as display:
        opened = _open(run_folder, display)
        pipeline.profile(opened, _choice(device, emulator_args), repeat)
    print_stage(opened, "profile", run_folder / "measurements.json", as_json)


@group.command("report")
@run_argument
@json_option
def report_command(run_folder: Path, as_json: bool) -> None:
    """Write the report of RUN: report.json, report.md, report.html.

    \b
    Example:
      edgecompress report runs/wakeword
    """
    from edgecompress import pipeline

    with _display() as display:
        report = pipeline.report(_open(run_folder, display))
    print_report(report, run_folder, as_json)


@group.command()
@source_argument
@target_option
@optimize_option
@arithmetic_option
@click.option("--slots", is_flag=True, help="In a firmware with slots, and in a slot of it (docs/slots.md).")
@json_option
def check(
    source: Path, target_name: str, optimize: Optimize, arithmetic: Arithmetic | None, slots: bool, as_json: bool
) -> None:
    """Say whether SOURCE, a model file, a recipe or a run folder, fits a target, before anything is built.

    \b
    Example:
      edgecompress check network.onnx -t mps2-an386
    """
    from edgecompress import pipeline
    from edgecompress.core import target

    fit = pipeline.check(source, target.load(target_name).computing_in(arithmetic), optimize, slots=slots)
    if as_json:
        print_judged(fit, fit.raise_if_too_big)
        return
    from edgecompress.cli.tables import print_fit

    print_fit(fit)
    fit.raise_if_too_big()


group.add_command(devices_group)
group.add_command(doctor)
group.add_command(export_command)
group.add_command(flash)
group.add_command(keys_group)
group.add_command(methods_group)
group.add_command(targets_group)


def _display() -> Any:
    from edgecompress.cli.display import Display

    return Display()


def _open(run_folder: Path, display: Any) -> Run:
    from edgecompress.core.run_folder import Run

    return Run.open(run_folder, display)


def _slot_key(path: Path | None) -> Any:
    from edgecompress.core import slot_key

    return None if path is None else slot_key.load(path)


def _choice(device: str | None, emulator_args: str) -> Any:
    import shlex

    from edgecompress.pipeline import DeviceChoice

    try:
        words = shlex.split(emulator_args)
    except ValueError as error:
        raise UsageError(f"--emulator-args {emulator_args!r} cannot be split into words: {error}") from error
    return DeviceChoice(address=device, emulator_args=tuple(words))
