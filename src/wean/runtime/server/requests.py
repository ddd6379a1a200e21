"""What a client asks for and gets, declared once: as it is checked, and as the page of the interface shows it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .sessions import Refused

_MOST_SHOWN = 200

Seed = Annotated[int, Field(ge=0, lt=2**63)]
Name = Annotated[str, Field(max_length=64)]


class _Strict(BaseModel):
    """Refuses what it does not know, and turns nothing into something else."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Begin(_Strict):
    """A session that begins."""

    seed: Seed | None = Field(None, description="Seeds the draws of a student that acts sampled.")


class Begun(BaseModel):
    """A session that has begun."""

    session: str = Field(description="Its name, for /act.")


class Act(_Strict):
    """One observation or many, each alone or in a session."""

    observation: Any = Field(
        None, description="What the student sees: a number, lists of numbers, or a situation; /student says which."
    )
    observations: list[Any] | None = Field(None, description="Many of them, instead of one.")
    session: Name | None = Field(None, description="The session of the observation, from POST /sessions.")
    sessions: list[Name] | None = Field(None, description="Of many observations the session of each, all different.")
    start: bool = Field(False, description="Whether an episode begins with the observation.")
    starts: list[bool] | None = Field(None, description="Of many observations whether an episode begins with each.")
    seed: Seed | None = Field(None, description="Without a session: seeds the draws of this request.")
    probabilities: bool = Field(False, description="Whether the answer has the probabilities of the actions.")


class Acted(BaseModel):
    """The action for one observation, or the actions for many."""

    action: int | None = Field(None, description="The action's number, of words the place among the choices.")
    name: str | None = Field(None, description="The action's name, where it has one.")
    actions: list[int] | None = Field(None, description="Of many observations the action of each.")
    names: list[str] | None = Field(None, description="Of many observations the name of each action.")
    probabilities: list[Any] | None = Field(None, description="The probability of every action, where asked for.")
    goal: str | None = Field(None, description="Of a student that reads the sub-goal that it pursues; may be empty.")
    goals: list[str] | None = Field(None, description="Of many observations the sub-goal of each.")


class Error(BaseModel):
    """Why a request was refused."""

    error: str = Field(description="One line that names a remedy.")


def read_act(body: bytes) -> Act:
    """Reads the body of a request to act.

    Raises:
        Refused: It is no JSON, or not such an object.
    """
    try:
        return Act.model_validate_json(body)
    except ValidationError as error:
        raise refusal(error.errors(include_url=False, include_context=False, include_input=False)) from None


def refusal(problems: Any) -> Refused:
    """The first problem that pydantic found, in one line."""
    first = problems[0]
    place = ".".join(str(part) for part in first["loc"] if part != "body")
    if first["type"] in ("json_invalid", "json_type"):
        return Refused(400, "the body is no JSON, or too deep; send an object as /docs shows it")
    text = f"{place or 'the body'}: {first['msg']}"
    return Refused(422, f"{' '.join(text.split())[:_MOST_SHOWN]}; /docs shows what there is")
