"""Exports are built and run: by make and cmake under QEMU and here, the others as far as a compiler alone goes.

The network is a float one, so that a fused multiply-add anywhere would change its bytes.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import export_networks
import jsonschema
import pytest
import yaml
from export_formats import (
    PLATFORMIO_LIBRARY,
    ZEPHYR_MODULE,
    ZEPHYR_SAMPLE,
    arduino_problems,
    pack_problems,
    properties,
)
from export_networks import IDENTIFIER, NAME

from edgecompress.core import recipe, target
from edgecompress.core.bundle import Bundle
from edgecompress.core.errors import ConfigError, EdgecompressError, StorageError
from edgecompress.core.run_folder import RunRecord
from edgecompress.pipeline import exporting

CPU = target.load("mps2-an386").toolchain.cpu_flags
PASSED = f"PASS {NAME}: 3 vectors, 60 bytes of outputs as compiled\n"
MICROCONTROLLERS_ONLY = ("arduino", "cmsis-pack", "platformio", "zephyr")
ANY_COMPILER = ("-Wall", "-Wextra", "-Werror")
"""No flag that a network needs: where a format cannot pass any, the sources must do without."""

ARDUINO_STUB = """\
#pragma once
struct Port {
    void begin(unsigned long);
    void print(const char *);
    explicit operator bool() const;
};
extern Port Serial;
void setup();
void loop();
"""
PRINTK_STUB = "int printk(const char *format, ...);\n"

Export = Callable[[str], Path]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return export_networks.compiled("mps2-an386", tmp_path_factory.mktemp("bundles") / "small")


@pytest.fixture(scope="module")
def linux_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return export_networks.compiled("host", tmp_path_factory.mktemp("bundles") / "linux", name="linux", seed=1)


@pytest.fixture
def exported(bundle: Bundle, tmp_path: Path) -> Export:
    def write(name: str) -> Path:
        exporting.export(bundle.folder, name, tmp_path / name)
        return tmp_path / name

    return write


def run(*words: str | Path, folder: Path, fails: bool = False) -> str:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def compile_all(folder: Path, compiler: str, *flags: str | Path, files: list[Path]) -> list[Path]:
    objects = [folder / f"{path.name}.o" for path in files]
    for path, built in zip(files, objects, strict=True):
        run(f"arm-none-eabi-{compiler}", *CPU, *ANY_COMPILER, *flags, "-c", path, "-o", built, folder=folder)
    return objects


def fused_instructions(objects: list[Path]) -> int:
    text = "".join(run("arm-none-eabi-objdump", "-d", built, folder=built.parent) for built in objects)
    return len(re.findall(r"\tvfn?m[as]\.", text))


def test_make_builds_an_example_that_passes_under_qemu_and_here(exported: Export) -> None:
    folder = exported("make")

    assert run("make", "-s", "check", folder=folder) == PASSED
    assert run("make", "-s", "check-host", folder=folder) == PASSED
    assert run("make", "-s", "clean", folder=folder) == ""
    assert not (folder / "build").exists()


def test_cmake_builds_an_example_that_passes_under_qemu_and_here(exported: Export) -> None:
    folder = exported("cmake")
    tools = Path(sys.executable).parent

    for where, *flags in (("device", "-DCMAKE_TOOLCHAIN_FILE=toolchain.cmake"), ("here",)):
        run(tools / "cmake", "-B", where, *flags, folder=folder)
        run(tools / "cmake", "--build", where, folder=folder)
        tested = run(tools / "ctest", "--test-dir", where, "--verbose", "--no-tests=error", folder=folder)
        assert PASSED in tested.replace("1: PASS", "PASS")
        assert ("qemu-system-arm" in tested) == (where == "device")


def test_the_example_names_the_byte_that_differs(exported: Export) -> None:
    folder = exported("make")
    vectors = folder / "example" / f"{IDENTIFIER}_vectors.c"
    text = vectors.read_text()
    start = text.index("{", text.index("_vector_outputs"))
    numbers = list(re.finditer(r"\d+", text[start:]))
    wrong = numbers[20 + 7]  # vector 1 of 20 bytes
    byte = int(wrong[0])
    vectors.write_text(text[: start + wrong.start()] + str(byte ^ 1) + text[start + wrong.end() :])

    failed = f"FAIL {NAME}: vector 1, output scores, byte 7: {byte:#04x} instead of {byte ^ 1:#04x}\n"

    assert run("make", "-s", "check-host", folder=folder, fails=True) == failed
    assert run("make", "-s", "check", folder=folder, fails=True) == failed


def test_a_linux_network_and_a_microcontrollers_fit_into_one_program(
    exported: Export, linux_bundle: Bundle, tmp_path: Path
) -> None:
    folders = [exported("make"), tmp_path / "linux"]
    exporting.export(linux_bundle.folder, "make", folders[1])
    (tmp_path / "main.c").write_text(
        f'#include <stdio.h>\n#include "linux_check.h"\n#include "{IDENTIFIER}_check.h"\n'
        "static void print_text(const char *text) { fputs(text, stdout); }\n"
        f"int main(void) {{ return !(linux_check(print_text) && {IDENTIFIER}_check(print_text)); }}\n"
    )
    libraries = []
    for folder, name in zip(folders, (IDENTIFIER, "linux"), strict=True):
        run("make", "-s", "host", folder=folder)
        checks = [folder / "example" / f"{name}_{file}.c" for file in ("check", "vectors")]
        libraries += [f"-I{folder}/example", f"-I{folder}/include", *checks, folder / "build/host" / f"lib{name}.a"]

    run("gcc", "main.c", *libraries, "-lm", "-o", "both", folder=tmp_path)

    assert run(tmp_path / "both", folder=tmp_path) == f"{PASSED.replace(NAME, 'linux')}{PASSED}"


def test_a_linux_network_is_built_by_cmake_and_spreads_its_layers(linux_bundle: Bundle, tmp_path: Path) -> None:
    exporting.export(linux_bundle.folder, "cmake", tmp_path / "cmake")
    tools = Path(sys.executable).parent
    run(tools / "cmake", "-B", "build", folder=tmp_path / "cmake")
    run(tools / "cmake", "--build", "build", folder=tmp_path / "cmake")

    assert run(tmp_path / "cmake" / "build" / "linux_example", folder=tmp_path) == PASSED.replace(NAME, "linux")
    splits = "void linux_use_splitter(linux_splitter splitter);" in (tmp_path / "cmake/include/linux.h").read_text()
    assert splits == ("edgert_split" in (linux_bundle.folder / "src" / "model.c").read_text())


def test_arduino_sources_need_no_flags_and_the_sketch_is_cpp(exported: Export, tmp_path: Path) -> None:
    folder = exported("arduino")
    (tmp_path / "Arduino.h").write_text(ARDUINO_STUB)
    sketch = f"{IDENTIFIER}_example"
    example = folder / "examples" / sketch
    include = f"-I{folder}/src"

    objects = compile_all(tmp_path, "gcc", "-O3", "-ffp-contract=fast", files=sorted((folder / "src").glob("*.c")))
    compile_all(tmp_path, "gcc", "-Os", include, files=sorted(example.glob("*.c")))
    compile_all(tmp_path, "g++", include, "-include", "Arduino.h", "-x", "c++", files=[example / f"{sketch}.ino"])

    assert fused_instructions(objects) == 0
    found = properties((folder / "library.properties").read_text())
    assert list(arduino_problems(found)) == []
    assert (found["name"], found["includes"]) == (IDENTIFIER, f"{IDENTIFIER}.h")
    assert (folder / "src" / found["includes"]).is_file()


def test_without_their_guard_the_sources_would_be_fused(exported: Export, tmp_path: Path) -> None:
    model = exported("arduino") / "src" / f"{IDENTIFIER}_model.c"
    model.write_text(model.read_text().replace("#pragma GCC optimize", "// "))

    objects = compile_all(tmp_path, "gcc", "-O3", "-ffp-contract=fast", files=[model])

    assert fused_instructions(objects) > 0


def test_a_zephyr_module_and_its_sample_compile_and_their_metadata_are_right(exported: Export, tmp_path: Path) -> None:
    folder = exported("zephyr")
    (tmp_path / "stubs" / "zephyr" / "sys").mkdir(parents=True)
    (tmp_path / "stubs" / "zephyr" / "sys" / "printk.h").write_text(PRINTK_STUB)
    sample = folder / "samples" / IDENTIFIER
    flags = re.search(r"compile_options\((.*)\)", (folder / "CMakeLists.txt").read_text())
    assert flags is not None
    includes = (f"-I{folder}/include", f"-I{tmp_path}/stubs")

    sources = [folder / name for name in re.findall(r"src/\S+\.c", (folder / "CMakeLists.txt").read_text())]
    compile_all(tmp_path, "gcc", *flags[1].split(), *includes, files=sources)
    main = (sample / "CMakeLists.txt").read_text()
    compile_all(tmp_path, "gcc", *includes, files=[sample / name for name in re.findall(r"src/\S+\.c", main)])

    module = yaml.safe_load((folder / "zephyr" / "module.yml").read_text())
    jsonschema.validate(module, ZEPHYR_MODULE)
    assert (folder / module["build"]["cmake"] / "CMakeLists.txt").is_file()
    assert (folder / module["build"]["kconfig"]).is_file()
    described = yaml.safe_load((sample / "sample.yaml").read_text())
    jsonschema.validate(described, ZEPHYR_SAMPLE)
    regex = described["tests"][f"edgecompress.{IDENTIFIER}.vectors"]["harness_config"]["regex"][0]
    assert re.search(regex, PASSED)
    symbol = f"EDGECOMPRESS_{IDENTIFIER.upper()}"
    assert f"config {symbol}\n" in (folder / "Kconfig").read_text()
    assert f"if(CONFIG_{symbol})" in (folder / "CMakeLists.txt").read_text()
    assert f"CONFIG_{symbol}=y" in (sample / "prj.conf").read_text()


def test_a_platformio_example_passes_here_and_compiles_as_a_sketch(exported: Export, tmp_path: Path) -> None:
    folder = exported("platformio")
    manifest = json.loads((folder / "library.json").read_text())
    jsonschema.validate(manifest, PLATFORMIO_LIBRARY)
    example = manifest["examples"][0]
    files = [folder / example["base"] / name for name in example["files"]]
    include = f"-I{folder}/{manifest['build']['includeDir']}"
    objects = []
    for path in [*files, *sorted((folder / manifest["build"]["srcDir"]).glob("*.c"))]:
        compiler = "g++" if path.suffix == ".cpp" else "gcc"
        objects.append(tmp_path / f"{path.name}.o")
        run(compiler, *manifest["build"]["flags"], include, "-c", path, "-o", objects[-1], folder=tmp_path)
    run("g++", *objects, "-lm", "-o", "native", folder=tmp_path)

    assert run(tmp_path / "native", folder=tmp_path) == PASSED
    (tmp_path / "Arduino.h").write_text(ARDUINO_STUB)
    compile_all(tmp_path, "g++", "-DARDUINO=10800", include, f"-I{tmp_path}", files=files[:1])
    assert (
        "lib_deps =\n    network_2_wake_word_x=symlink://../.." in (files[0].parents[1] / "platformio.ini").read_text()
    )


def test_a_cmsis_pack_holds_what_its_description_names(exported: Export, tmp_path: Path) -> None:
    folder = exported("cmsis-pack")
    description = folder / f"edgecompress.{IDENTIFIER}.pdsc"
    pack = folder / f"edgecompress.{IDENTIFIER}.1.0.0.pack"

    assert list(pack_problems(description)) == []
    with zipfile.ZipFile(pack) as archive:
        assert archive.testzip() is None
        inside = {name: archive.read(name) for name in archive.namelist()}
    outside = contents(folder)
    del outside[pack.name]
    assert inside == outside
    named = set(re.findall(r'name="([^"]+\.[ch])"', description.read_text()))
    private = {f"src/{IDENTIFIER}_{file}" for file in ("model.h", "weights.h")}
    assert named | private == {name for name in inside if name.endswith((".c", ".h"))}
    network = sorted((folder / "src").glob("*.c"))
    compile_all(tmp_path, "gcc", "-O2", f"-I{folder}/include", f"-I{folder}/src", files=network)
    sources = [*network, *sorted((folder / "example").glob("*.c"))]
    includes = [f"-I{folder}/{each}" for each in ("include", "src", "example")]
    run("gcc", "-O1", *includes, *sources, "-lm", "-o", "native", folder=tmp_path)
    assert run(tmp_path / "native", folder=tmp_path) == PASSED


@pytest.mark.parametrize("name", exporting.formats())
def test_the_same_bundle_gives_the_same_bytes(name: str, bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(bundle.folder, tmp_path / "elsewhere")
    for source, folder in ((bundle.folder, "first"), (tmp_path / "elsewhere", "second")):
        exporting.export(source, name, tmp_path / folder)

    first, second = contents(tmp_path / "first"), contents(tmp_path / "second")
    assert first == second


@pytest.mark.parametrize("name", MICROCONTROLLERS_ONLY)
def test_a_linux_network_is_refused_by_what_is_for_microcontrollers(
    name: str, linux_bundle: Bundle, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        exporting.export(linux_bundle.folder, name, tmp_path / "out")

    assert caught.value.message == f"linux was compiled for host, which runs Linux; {name} is for microcontrollers"
    assert caught.value.hint == "export it --as cmake or --as make, or compile it for a microcontroller"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_kept(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")

    with pytest.raises(StorageError) as caught:
        exporting.export(bundle.folder, "make", tmp_path / "mine")
    assert caught.value.message == f"{tmp_path / 'mine'} is not empty"
    assert caught.value.hint == "choose another folder with -o, or replace an earlier export by --force"
    (tmp_path / "mine" / "README.md").write_text("# My thesis\n")
    with pytest.raises(StorageError, match="mine is no earlier export and is not replaced"):
        exporting.export(bundle.folder, "make", tmp_path / "mine", force=True)
    assert {path.name for path in tmp_path.rglob("*")} == {"mine", "thesis.txt", "README.md"}


def test_force_replaces_an_earlier_export_whole(bundle: Bundle, tmp_path: Path) -> None:
    exporting.export(bundle.folder, "make", tmp_path / "out")
    (tmp_path / "out" / "src" / "left.c").write_text("")

    written = exporting.export(bundle.folder, "cmake", tmp_path / "out", force=True)

    assert Path("CMakeLists.txt") in written
    assert not {Path("Makefile"), Path("src/left.c")} & set(written)


def test_a_project_appears_whole_or_not_at_all(bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(bundle.folder, tmp_path / "bundle")
    (tmp_path / "bundle" / "src" / "weights.h").unlink()
    known = {name: digest for name, digest in bundle.manifest.files.items() if name != "src/weights.h"}
    manifest = bundle.manifest.model_copy(update={"files": known})
    (tmp_path / "bundle" / "manifest.json").write_text(manifest.model_dump_json())

    with pytest.raises(ConfigError) as caught:
        exporting.export(tmp_path / "bundle", "make", tmp_path / "out")

    assert caught.value.message == f"{tmp_path / 'bundle' / 'src' / 'weights.h'} does not exist"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize("source", [".", "bundle"])
def test_a_runs_bundle_is_for_the_runs_own_target(source: str, bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(bundle.folder, tmp_path / "run" / "bundle")
    own = target.load("mps2-an386").model_copy(update={"name": "my-board", "cpu": "mine"})
    manifest = bundle.manifest.model_copy(update={"target": "my-board"})
    (tmp_path / "run" / "bundle" / "manifest.json").write_text(manifest.model_dump_json())
    asked = recipe.load_or_wrap(bundle.folder.with_suffix(".onnx"))
    record = RunRecord(source="network.onnx", recipe=asked, target=own)
    (tmp_path / "run" / "run.json").write_text(record.model_dump_json())

    exporting.export(tmp_path / "run" / source, "cmake", tmp_path / "out")

    assert "# Builds for my-board (mine)." in (tmp_path / "out" / "toolchain.cmake").read_text()


def test_a_folder_without_a_bundle_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        exporting.export(tmp_path, "make", tmp_path / "out")

    assert (caught.value.message, caught.value.hint) == (
        f"{tmp_path} holds no bundle",
        "run `edgecompress compile` first",
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": "my-board"}, "was compiled for my-board, and no shipped target is called so"),
        ({"target": "microbit"}, None),
    ],
)
def test_the_target_is_the_bundles_own(
    change: dict[str, str], message: str | None, bundle: Bundle, tmp_path: Path
) -> None:
    shutil.copytree(bundle.folder, tmp_path / "bundle")
    manifest = bundle.manifest.model_copy(update=change)
    (tmp_path / "bundle" / "manifest.json").write_text(manifest.model_dump_json())

    if message is None:
        exporting.export(tmp_path / "bundle", "make", tmp_path / "out")
        assert "mcpu=cortex-m0" in (tmp_path / "out" / "Makefile").read_text()
        return
    with pytest.raises(ConfigError, match=message):
        exporting.export(tmp_path / "bundle", "make", tmp_path / "out")
    profile = (target.folder() / "mps2-an386.toml").read_text()
    (tmp_path / "my-board.toml").write_text(profile)
    exporting.export(tmp_path / "bundle", "make", tmp_path / "out", target_name=str(tmp_path / "my-board.toml"))


def test_another_target_than_the_bundles_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        exporting.export(bundle.folder, "make", tmp_path / "out", target_name="microbit")

    assert caught.value.message == f"{bundle.folder} was compiled for mps2-an386, not for microbit"


def test_a_changed_bundle_and_an_unknown_format_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(bundle.folder, tmp_path / "bundle")
    (tmp_path / "bundle" / "src" / "model.c").write_text("int broken;\n")

    with pytest.raises(EdgecompressError, match=r"model\.c changed since the bundle was compiled"):
        exporting.export(tmp_path / "bundle", "make", tmp_path / "out")
    with pytest.raises(ConfigError) as caught:
        exporting.export(bundle.folder, "cmakes", tmp_path / "out")
    assert caught.value.message == "--as: no export module is called 'cmakes'"
    assert not (tmp_path / "out").exists()


def test_the_command_exports_a_runs_bundle(
    edgecompress: Callable[..., subprocess.CompletedProcess[str]], bundle: Bundle, tmp_path: Path
) -> None:
    done = edgecompress("export", bundle.folder, "--as", "cmake", "-o", tmp_path / "out", "--json")

    printed = json.loads(done.stdout)
    assert (printed["format"], printed["folder"]) == ("cmake", str(tmp_path / "out"))
    assert printed["files"] == sorted(printed["files"])
    assert all((tmp_path / "out" / name).is_file() for name in printed["files"])
    refused = edgecompress("export", bundle.folder, "--as", "cmake", "-o", tmp_path / "out", code=1)
    assert "is not empty" in refused.stderr
