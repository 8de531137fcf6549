"""The JSON Schema of cohete.yaml, made from the typed schema so that the two cannot differ."""

from __future__ import annotations

import json

from cohete.config.schema import Config


def schema_text() -> str:
    """The schema as indented JSON with a final newline."""
    schema = Config.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "cohete.yaml"
    schema["properties"]["version"] = {
        "description": 'Version of this file, "1.0".',
        "enum": ["1.0", 1.0, 1],
        "default": "1.0",
    }
    return json.dumps(schema, indent=2) + "\n"
