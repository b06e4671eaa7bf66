"""The base of what only FastAPI reads or writes; what a daemon needs without it is a ``Message``."""

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """Immutable; a field nobody knows is an error, so that no option is ever silently ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    def json_text(self) -> str:
        """As JSON, in one line."""
        return self.model_dump_json()
