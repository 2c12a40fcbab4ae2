"""What a run tells while it is made: events go on to the listener and the log, choices and epochs are kept for the report."""

from eyebright.core.events import Choice, Epoch, Event, Note, OnEvent
from eyebright.core.report import ChoiceMade, CurvePoint


class Story:
    """Hands every event on, and remembers what the report will want."""

    def __init__(self, *listeners: OnEvent) -> None:
        self._listeners = listeners
        self.choices: dict[str, ChoiceMade] = {}
        self.notes: list[str] = []
        self.curves: list[CurvePoint] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Choice):
            self.choices[event.name] = ChoiceMade(name=event.name, value=event.value, reason=event.reason)
        elif isinstance(event, Note):
            self.notes.append(event.text)
        elif isinstance(event, Epoch):
            self.curves.append(CurvePoint(stage=event.stage, epoch=event.epoch, metrics=event.metrics))
        for listener in self._listeners:
            listener(event)

    def listen(self, listener: OnEvent) -> None:
        """Adds a listener, which first hears the choices and notes so far."""
        for choice in self.choices.values():
            listener(Choice(choice.name, choice.value, choice.reason))
        for text in self.notes:
            listener(Note(text))
        self._listeners = (*self._listeners, listener)

    def choose(self, name: str, value: str, reason: str) -> None:
        """Tells, and keeps, an automatic choice."""
        self(Choice(name, value, reason))
