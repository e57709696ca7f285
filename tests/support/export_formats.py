"""What the formats' own documentation asks of their metadata, as checks: the formats' tools are not needed.

library.properties: Arduino, "Library specification" (format 1.5, rev. 2.2), "library.properties file format".
library.json: PlatformIO Core, the documentation's "library.json" page (maximum lengths: platformio-core's own schema).
zephyr/module.yml: Zephyr, "Modules", and METADATA_SCHEMA of scripts/zephyr_module.py.
sample.yaml: Zephyr, "Test Runner (Twister)", and scripts/schemas/twister/testsuite-schema.yaml.
*.pdsc: Open-CMSIS-Pack specification 1.7.32, "Package Description (*.PDSC) Format", and PACK.xsd.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

SEMANTIC_VERSION = r"^\d+\.\d+\.\d+$"
URI = re.compile(r"[a-z][a-z0-9+.-]*:\S+")

PLATFORMIO_LIBRARY: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "version", "description", "keywords"],
    "properties": {
        # letters, digits and dashes, none of them at an end or in a row
        "name": {"type": "string", "maxLength": 50, "pattern": "^[a-zA-Z0-9]+(-[a-zA-Z0-9]+)*$"},
        "version": {"type": "string", "maxLength": 20, "pattern": SEMANTIC_VERSION},
        "description": {"type": "string", "maxLength": 255},
        "keywords": {"type": "array", "items": {"type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$"}},
        "authors": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name"],
                "properties": {
                    "name": {"type": "string"},
                    "email": {"type": "string"},
                    "url": {"type": "string"},
                    "maintainer": {"type": "boolean"},
                },
            },
        },
        "frameworks": {"type": ["string", "array"]},
        "platforms": {"type": ["string", "array"]},
        "headers": {"type": ["string", "array"]},
        "build": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "flags": {"type": ["string", "array"], "items": {"type": "string"}},
                "includeDir": {"type": "string"},
                "srcDir": {"type": "string"},
            },
        },
        "examples": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "base", "files"],
                "properties": {
                    "name": {"type": "string"},
                    "base": {"type": "string"},
                    "files": {"type": "array", "items": {"type": "string"}},
                },
            },
        },
    },
}

ZEPHYR_MODULE: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string"},
        "build": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"cmake": {"type": "string"}, "kconfig": {"type": "string"}},
        },
        "samples": {"type": "array", "items": {"type": "string"}},
    },
}

ZEPHYR_SAMPLE: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["tests"],
    "properties": {
        "sample": {
            "type": "object",
            "additionalProperties": False,
            "required": ["name"],
            "properties": {"name": {"type": "string"}, "description": {"type": "string"}},
        },
        "tests": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "filter": {"type": "string"},
                    "min_ram": {"type": "integer"},
                    "min_flash": {"type": "integer"},
                    "harness": {"enum": ["console"]},
                    "harness_config": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["type", "regex"],
                        "properties": {
                            "type": {"enum": ["one_line", "multi_line"]},
                            "regex": {"type": "array", "items": {"type": "string"}, "minItems": 1},
                        },
                    },
                },
            },
        },
    },
}

ARDUINO_CATEGORIES = {
    "Display",
    "Communication",
    "Signal Input/Output",
    "Sensors",
    "Device Control",
    "Timing",
    "Data Storage",
    "Data Processing",
    "Other",
}
ARDUINO_REQUIRED = {
    "name": r"(?!arduino)[A-Za-z0-9][A-Za-z0-9 _.\-]{0,62}",
    "version": r"\d+\.\d+\.\d+",
    "author": r".+",
    "maintainer": r"(?!arduino).+",
    "sentence": r".+",
    "paragraph": r".*",
    "category": "|".join(ARDUINO_CATEGORIES),
    "url": URI.pattern,
    "architectures": r"\*|[a-z0-9_]+(,[a-z0-9_]+)*",
}
ARDUINO_OPTIONAL = {"includes": r"\S+\.h"}

PACK_REQUIRED = {"vendor", "name", "description", "url", "releases"}
PACK_CHILDREN = PACK_REQUIRED | {"keywords", "conditions", "components", "license", "taxonomy"}
PACK_NAME = re.compile(r"[\-_A-Za-z0-9/]+")
PACK_CLASSES = (2, 32)
"""Letters of Cclass, Cgroup and Csub."""
PACK_CATEGORIES = {"doc", "header", "include", "source", "other"}
PACK_FILE = {"condition", "category", "language", "scope", "attr", "select", "name", "path", "version", "public"}
PACK_FILTERS = {"Dcore", "Tcompiler", "condition"}
PACK_CORES = {f"Cortex-M{core}" for core in ("0", "0+", "1", "3", "4", "7", "23", "33", "35P", "52", "55", "85")}
PACK_COMPILERS = {"GCC", "ARMCC", "IAR", "CLANG"}
PACK_COMPONENT = {"Cvendor", "Cclass", "Cgroup", "Csub", "Cversion", "condition"}


def properties(text: str) -> dict[str, str]:
    """Read library.properties: a line KEY=VALUE a key."""
    return dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))


def arduino_problems(found: dict[str, str]) -> Iterator[str]:
    """Say what is wrong with library.properties."""
    yield from (f"{key} is missing" for key in ARDUINO_REQUIRED if key not in found)
    patterns = ARDUINO_REQUIRED | ARDUINO_OPTIONAL
    yield from (f"{key} is not known" for key in found if key not in patterns)
    yield from (
        f"{key} is {value!r}"
        for key, value in found.items()
        if key in patterns and not re.fullmatch(patterns[key], value)
    )


def pack_problems(path: Path) -> Iterator[str]:
    """Say what is wrong with a .pdsc, its file name and the files that it names."""
    package = ElementTree.parse(path).getroot()
    if package.tag != "package" or not re.fullmatch(r"\d+\.\d+(\.\d+)?", package.get("schemaVersion", "")):
        yield "no package with a schemaVersion"
    children = [child.tag for child in package]
    yield from (f"{tag} is missing" for tag in PACK_REQUIRED - set(children))
    yield from (f"{tag} is not known" for tag in set(children) - PACK_CHILDREN)
    yield from (f"{tag} is there twice" for tag in set(children) if children.count(tag) > 1)
    vendor, name = package.findtext("vendor", ""), package.findtext("name", "")
    yield from (f"{text!r} is no name" for text in (vendor, name) if not PACK_NAME.fullmatch(text))
    if path.name != f"{vendor}.{name}.pdsc":
        yield f"{path.name} is not called {vendor}.{name}.pdsc"
    if not re.match(SEMANTIC_VERSION, package.find("releases/release").attrib["version"]):  # type: ignore[union-attr]
        yield "the newest release has no version"
    conditions = {each.get("id"): each for each in package.iterfind("conditions/condition")}
    for condition in conditions.values():
        yield from _condition_problems(condition, set(conditions))
    for component in package.iterfind("components/component"):
        yield from _component_problems(component, path.parent, set(conditions))


def _condition_problems(condition: ElementTree.Element, known: set[str | None]) -> Iterator[str]:
    for each in condition:
        if each.tag == "description":
            continue
        if each.tag not in {"accept", "require", "deny"} or not set(each.attrib) <= PACK_FILTERS:
            yield f"{each.tag} {each.attrib}"
        yield from (f"core {core}" for core in [each.get("Dcore")] if core and core not in PACK_CORES)
        yield from (f"compiler {name}" for name in [each.get("Tcompiler")] if name and name not in PACK_COMPILERS)
        yield from (f"condition {name}" for name in [each.get("condition")] if name and name not in known)


def _component_problems(component: ElementTree.Element, folder: Path, known: set[str | None]) -> Iterator[str]:
    attributes = component.attrib
    yield from (f"component: {key} is missing" for key in ("Cclass", "Cgroup", "Cversion") if key not in attributes)
    yield from (f"component: {key} is not known" for key in set(attributes) - PACK_COMPONENT)
    least, most = PACK_CLASSES
    for key in ("Cclass", "Cgroup", "Csub"):
        if not least <= len(attributes.get(key, "as many")) <= most:
            yield f"{key} is {attributes[key]!r}"
    if attributes.get("condition") not in known:
        yield f"condition {attributes.get('condition')}"
    if component.find("description") is None:
        yield "component: no description"
    for file in component.iterfind("files/file"):
        if not set(file.attrib) <= PACK_FILE or file.get("category") not in PACK_CATEGORIES:
            yield f"file {file.attrib}"
        if not (folder / file.attrib["name"]).exists():
            yield f"{file.attrib['name']} is not there"
