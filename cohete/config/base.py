"""What every section of the schema is made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.][A-Za-z0-9._-]{0,63}$")]
Unit = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.@:\\-]{0,127}$")]


class Strict(BaseModel):
    """Every section: unknown keys and wrong types are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
