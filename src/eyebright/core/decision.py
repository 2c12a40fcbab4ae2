"""Everything after the logits. It travels with the model, is applied here only, and so survives every export."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eyebright.core.arrays import Logits, Probabilities, softmax
from eyebright.core.errors import ModelError
from eyebright.core.files import write_text


class Decision(BaseModel):
    """How logits become an answer. ``temperature`` divides the logits before the softmax (Guo et al. 2017, section 4.2)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = Field(default=1, alias="schema", serialization_alias="schema", ge=1, le=1)
    temperature: float = Field(default=1.0, gt=0.0, lt=1000.0, allow_inf_nan=False)
    fitted_on: str = Field(default="nothing", description="which predictions the temperature comes from, in words")
    n: int = Field(default=0, ge=0, description="how many pictures it was fitted on")

    def probabilities(self, logits: Logits) -> Probabilities:
        """Calibrated class probabilities, rows summing to one."""
        return softmax(logits, self.temperature)


def save_decision(decision: Decision, path: Path) -> None:
    """Writes ``decision.json``."""
    write_text(path, decision.model_dump_json(by_alias=True, indent=2) + "\n")


def load_decision(path: Path) -> Decision:
    """Reads ``decision.json``. Raises ``ModelError`` where it is missing or not of this kind."""
    try:
        return Decision.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}. The bundle is not whole; copy or train it again.") from None
    except ValidationError as error:
        raise ModelError(f"{path} is not a decision this version understands: {error.errors()[0]['msg']}.") from None
