"""Asks a person at a console: plain text, no colour, no cursor movement, so that a serial line will do."""

from collections.abc import Callable
from typing import BinaryIO

from appliance.judge.words import visible
from appliance.setup.answers import Answers, Host, SoFar
from appliance.setup.questions import Question, answered
from appliance.setup.telling import numbered, wrapped

LINE_BYTES = 4096
"""What a terminal takes as one line (termios(3)), and more than any answer has."""


class Left(Exception):
    """The person has gone: end of input."""


class Console:
    """One conversation."""

    def __init__(self, lines: BinaryIO, say: Callable[[str, bool], None]) -> None:
        """`say` writes a text; the truth value is whether the line ends."""
        self._lines = lines
        self._say = say

    def say(self, text: str = "") -> None:
        for line in text.split("\n"):
            self._say(visible(line), True)

    def ask(self, question: Question, so: SoFar) -> Answers:
        """Ask until the answer can be taken. Raises Left."""
        default = question.default(so)
        self.say(f"\n{question.why}")
        while True:
            typed = self._line(f"{question.asks} [{default}]: " if default else f"{question.asks}: ")
            if typed == "?":
                self.say(question.explains)
                continue
            try:
                taken = answered(question, typed or default, so)
            except ValueError as fault:
                self.say(wrapped(str(fault)))
                continue
            if question.key == "hosts":
                self._tell(taken.hosts)
            return taken

    def _tell(self, hosts: tuple[Host, ...]) -> None:
        for line in numbered(hosts):
            self.say(line)

    def agrees(self, question: str) -> bool:
        """Yes or no; an empty line is yes. Raises Left."""
        self.say()
        while True:
            word = self._line(f"{question} [Y/n]: ").lower()
            if word in ("", "y", "yes"):
                return True
            if word in ("n", "no"):
                return False
            self.say("  y or n")

    def _line(self, prompt: str) -> str:
        """What was typed, without spaces around it. Raises Left."""
        self._say(visible(prompt), False)
        typed = self._lines.readline(LINE_BYTES)
        if not typed:
            raise Left
        return typed.decode("utf-8", "replace").strip()
