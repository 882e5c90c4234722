"""The JSON Schema of what is laid over another definition or state, made from that of the whole.

It follows the same rules as :mod:`~statemachines.language.merging` does when it merges them: a mapping that is merged
need not be complete and may take keys away with ``null``, a list may be added to, and what is replaced is as ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define

from statemachines.language.merging import OWN, WAYS, Items, Merged

_PREFIX = "#/definitions/"


@define
class Changes:
    """Adds to ``definitions`` one of each that is merged, named ``…_changes``, with the ``more`` keys it may have."""

    definitions: dict[str, dict[str, Any]]
    more: Mapping[str, Mapping[str, Any]]

    def add(self, name: str, rule: Merged) -> dict[str, Any]:
        """A reference to the changes of the definition ``name``."""
        changed = f"{name}_changes"
        if changed not in self.definitions:
            self.definitions[changed] = {}  # it may refer to itself
            made = self._changed(self.definitions[name], rule)
            if changed in self.more:
                made["properties"] = {**made["properties"], **self.more[changed]}
            self.definitions[changed] = made
        return {"$ref": _PREFIX + changed}

    def _changed(self, schema: Any, rule: Merged | None) -> Any:
        if rule is None:
            return schema
        if isinstance(rule, Items):
            return self._added_to(schema)
        if "$ref" in schema:
            name = schema["$ref"].removeprefix(_PREFIX)
            # Laid over another, any state may include one, so that there is no choice to make.
            return {**schema, **self.add("State" if name == "state" else name, rule)}
        if "anyOf" in schema:
            *short, long = schema["anyOf"]
            return {**schema, "anyOf": [*short, self._changed(long, rule)]}
        kept = {key: part for key, part in schema.items() if key not in ("required", "minProperties")}
        if "properties" in schema:
            kept["properties"] = {
                name: part if name in OWN else _or_null(self._changed(part, rule.keys.get(name, rule.every)))
                for name, part in schema["properties"].items()
            }
        elif isinstance(schema.get("additionalProperties"), dict):
            kept["additionalProperties"] = _or_null(self._changed(schema["additionalProperties"], rule.every))
        return kept

    def _added_to(self, schema: dict[str, Any]) -> dict[str, Any]:
        """A list, or what to put before and after another's items."""
        plain = {key: part for key, part in schema.items() if key != "description"}
        one = [plain["items"]] if "items" in plain else []
        several = {"anyOf": [plain, *one, {"type": "array", "maxItems": 0}]}
        adding = {
            "type": "object",
            "properties": dict.fromkeys(WAYS, several),
            "additionalProperties": False,
            "minProperties": 1,
        }
        told = {"description": schema["description"]} if "description" in schema else {}
        return {"anyOf": [plain, adding], **told}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, or nothing in order to take the key away."""
    told = {"description": schema["description"]} if "description" in schema else {}
    return {"anyOf": [{key: part for key, part in schema.items() if key != "description"}, {"type": "null"}], **told}
