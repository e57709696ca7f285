"""The command line's contract: exit codes, one JSON object on stdout, errors on stderr."""

import json
from pathlib import Path

import pytest

from edgecompress import cli
from edgecompress.core import target


def run(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    out, err = capsys.readouterr()
    code = ended.value.code
    assert isinstance(code, int)
    return code, out, err


DEVICES = ["devices", *(f"devices {name}" for name in ("trust", "probe", "versions", "rollback", "unlock"))]
STAGES = ["run", "compress", "compile", "deploy", "profile", "report", "check"]


@pytest.mark.parametrize("command", ["", *STAGES, "targets", "targets list", "targets show", *DEVICES])
def test_every_command_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run([*command.split(), "--help"], capsys)
    assert code == 0
    assert "Example" in out
    assert f"edgecompress {command}" in out


def test_an_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(["compres"], capsys)
    assert code == 2
    assert out == ""
    assert "No such command 'compres'" in err


def test_a_missing_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(["check", "network.onnx"], capsys)
    assert code == 2
    assert "--target" in err


def test_emulator_arguments_with_an_open_quote_are_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(["run", "network.onnx", "-t", "host", "-o", str(tmp_path), "--emulator-args", "-d 'x"], capsys)
    assert code == 2
    assert """error: --emulator-args "-d 'x" cannot be split into words: No closing quotation""" in err


def test_an_unknown_target_names_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(["targets", "show", "mps2-an368"], capsys)
    assert code == 3
    assert "error: no target is called 'mps2-an368'\nhint: did you mean 'mps2-an386'?" in err


def test_an_error_with_json_is_one_object_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(["targets", "show", "nowhere", "--json"], capsys)
    problem = json.loads(out)["error"]
    assert problem["exit_code"] == code == 3
    assert problem["message"] == "no target is called 'nowhere'"


def test_targets_list_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(["targets", "list", "--json"], capsys)
    assert code == 0
    assert err == ""
    assert "mps2-an386" in {target["name"] for target in json.loads(out)["targets"]}


def test_text_in_brackets_is_shown_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile = tmp_path / "board.toml"
    shipped = (target.folder() / "host.toml").read_text()
    profile.write_text(shipped.replace("This machine", "My [bold] board :smile: [/]"))
    code, out, _ = run(["targets", "show", str(profile)], capsys)
    assert code == 0
    assert "My [bold] board :smile: [/]" in out


def test_a_stage_without_the_one_before_it_says_which_to_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(["compile", str(tmp_path / "none"), "-t", "host"], capsys)
    assert code == 3
    assert f"error: {tmp_path}/none/run.json does not exist\nhint: run `edgecompress compress` first" in err


def test_a_folder_that_no_run_wrote_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    code, _, err = run(["compress", "network.onnx", "-o", str(tmp_path)], capsys)
    assert code == 3
    assert f"error: {tmp_path} is not empty and holds no run" in err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_missing_recipe_is_a_config_error_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(["compress", str(tmp_path / "no.toml"), "-o", str(tmp_path / "out")], capsys)
    assert code == 3
    assert f"error: recipe {tmp_path}/no.toml does not exist" in err
    assert not (tmp_path / "out").exists()
