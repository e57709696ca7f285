"""report.json: the truth that every other page is made of. report.schema.json describes it."""

from __future__ import annotations

import json

from edgecompress.core.report import Report

FILE_NAME = "report.json"
DRAFT = "https://json-schema.org/draft/2020-12/schema"


def render(report: Report) -> str:
    """Write the report as JSON: keys in the order of the schema, numbers in full, a line break at the end."""
    return json.dumps(report.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def schema() -> str:
    """Write the JSON Schema of report.json; report.schema.json beside this module holds it."""
    described = {"$schema": DRAFT, **Report.model_json_schema(mode="serialization")}
    return json.dumps(described, indent=2, ensure_ascii=False) + "\n"
