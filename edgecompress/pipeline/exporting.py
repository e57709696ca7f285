"""A compiled network as a project of sources for another build system."""

from __future__ import annotations

from pathlib import Path

from edgecompress.core import bundle as bundles
from edgecompress.core import files, plugins, target
from edgecompress.core.bundle import Bundle
from edgecompress.core.errors import ConfigError, StorageError
from edgecompress.core.run_folder import Run, Silent
from edgecompress.core.target import Target

STAGE = "export"


def formats() -> tuple[str, ...]:
    """The names of the formats: those of the modules in export/, with dashes."""
    return tuple(name.replace("_", "-") for name in plugins.names(STAGE))


def export(
    source: Path, format_name: str, folder: Path, *, target_name: str | None = None, force: bool = False
) -> tuple[Path, ...]:
    """Write the bundle of a run folder, or a bundle's own folder, as a project; return what was written, sorted.

    `target_name` says what the bundle was compiled for where its folder does not. Raises ConfigError for a format that
    does not exist or does not suit the target, and for a changed bundle; StorageError for a folder that is not empty.
    """
    from edgecompress.export._project import Project

    writer = plugins.find(STAGE, format_name.replace("-", "_"), where="--as")
    _check_free(folder, force=force)
    bundle, chosen = _read(source, target_name)
    bundle.check_whole()
    with files.whole_folder(folder) as draft:
        writer.write(Project(bundle=bundle, target=chosen), draft)
    return tuple(sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file()))


def _check_free(folder: Path, *, force: bool) -> None:
    """Raise StorageError for a folder that is not empty; even `force` replaces nothing but an earlier export."""
    if force or not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    kind = "is not empty" if folder.is_dir() else "is a file"
    raise StorageError(
        f"{folder} {kind}", hint="choose another folder with -o, or replace an earlier export by --force"
    )


def _read(source: Path, target_name: str | None) -> tuple[Bundle, Target]:
    """Read a bundle, and find the profile of its target: as given, of the run that it lies in, or a shipped one."""
    run_folder = source if (source / "run.json").is_file() else source.parent
    bundle = bundles.load(source / "bundle" if run_folder == source else source)
    compiled_for = bundle.manifest.target
    chosen = target.load(target_name) if target_name else _of_run(run_folder, compiled_for)
    if chosen is None and compiled_for not in target.names():
        raise ConfigError(
            f"{bundle.folder} was compiled for {compiled_for}, and no shipped target is called so",
            hint="give its profile with --target PATH.toml",
        )
    chosen = chosen or target.load(compiled_for)
    if chosen.name != compiled_for:
        raise ConfigError(
            f"{bundle.folder} was compiled for {compiled_for}, not for {chosen.name}",
            hint=f"leave --target out, or compile for {chosen.name} first",
        )
    return bundle, chosen


def _of_run(folder: Path, name: str) -> Target | None:
    """The target of the run that a bundle lies in, if that is its own."""
    if not (folder / "run.json").is_file():
        return None
    known = Run.open(folder, Silent()).record.target
    return known if known is not None and known.name == name else None
