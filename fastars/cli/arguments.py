"""The words that people type, put into those that tyro takes; and errors in one line for what it would refuse.

Numbers may be written as 1e6, 1_000_000 or 1M, a flag stands alone or with a word (`--with-bias`, `--with-bias False`,
`--no-with-bias`), and options of rl-zoo and of other programs stand for ours (`habits`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from fastars._validate import did_you_mean, near_names
from fastars.cli.errors import WrongUseError
from fastars.cli.habits import HINTS, translated
from fastars.cli.options import Option, Options, options_of

_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_SIZES = {"k": 3, "K": 3, "M": 6, "G": 9}
_WHOLE = re.compile(r"([+-]?[\d_.,]+(?:[eE][+-]?\d+)?)([kKMG]?)")
_GROUPS = re.compile(r"[+-]?\d{1,3}(,\d{3})+")  # as the command itself prints large numbers
_MOST_DIGITS = 40  # beyond every limit
_AN_OPTION = re.compile(r"--?[A-Za-z]")
_WITH_NUMBER = re.compile(r"(-[A-Za-z])(\d.*)")  # -n1e6
_EXAMPLES = {
    "ENV": ("the id of an environment", "CartPole-v1"),
    "RUN": ("the folder of a run", "runs/CartPole-v1_1"),
    "FILE": ("a file", "lin_policy_plus.npz"),
}


def put_right(arguments: Sequence[str], commands: Mapping[str, type]) -> list[str]:
    """Return the arguments of the command as tyro takes them.

    Parameters
    ----------
    arguments : sequence of str
        The arguments as the user wrote them.
    commands : mapping of str to type
        The sub-commands, dataclasses with their options.

    Raises
    ------
    WrongUseError
        Naming an unknown sub-command or option with a near one, or a value with what is allowed.
    """
    command, *rest = arguments or [""]
    if command == "help":  # as in `git help add`
        return [*rest[:1], "--help"] if rest[:1] and rest[0] in commands else ["--help"]
    if command in ("-h", "--help") or command.startswith("--tyro-"):  # the second kind writes completions for a shell
        return list(arguments)
    if command not in commands:
        raise WrongUseError(_no_command(command, commands))
    if "-h" in rest or "--help" in rest:
        return [command, "--help"]
    return [command, *_Words(command, commands).put_right(rest)]


def _no_command(command: str, commands: Mapping[str, type]) -> str:
    if not command or command.startswith("-"):
        return f"the first argument must be a command, one of {', '.join(commands)}; fastars --help describes them"
    return f"there is no command {command!r}{did_you_mean(command, commands) or '; it must be one of ' + ', '.join(commands)}"


def whole_number(text: str) -> int | None:
    """Return the integer that a text such as 1e6, 1_000_000, 1,000,000 or 1M stands for; None if it is no whole number."""
    if not (match := _WHOLE.fullmatch(text)):
        return None
    digits, size = match.groups()
    if "," in digits:
        if not _GROUPS.fullmatch(digits):
            return None
        digits = digits.replace(",", "")
    try:
        value = Decimal(digits)
    except InvalidOperation:
        return None
    if value.adjusted() > _MOST_DIGITS:
        return None
    value = value.scaleb(_SIZES.get(size, 0))
    return int(value) if value == value.to_integral_value() else None


class _Words:
    """The arguments of one sub-command, on their way to tyro.

    Parameters
    ----------
    command : str
        Name of the sub-command.
    commands : mapping of str to type
        All sub-commands.
    """

    def __init__(self, command: str, commands: Mapping[str, type]) -> None:
        self._command, self._commands = command, commands
        self._options: Options = options_of(commands[command])
        self._positionals: list[str] = []
        self._words: list[str] = []
        self._flags: dict[str, str] = {}  # the word for each flag, none where it is the default
        self._given: set[str] = set()

    def put_right(self, arguments: Sequence[str]) -> list[str]:
        """Return the words for tyro: positional arguments, then options, then flags."""
        left = list(arguments)
        while left:
            word = left.pop(0)
            if _AN_OPTION.match(word):
                self._take_option(word, left)
            else:
                self._positionals.append(word)
        self._refuse_missing()
        return [*self._positionals, *self._words, *filter(None, self._flags.values())]

    @property
    def _lacks_positional(self) -> bool:
        """True until a positional argument is given, if the sub-command takes one."""
        return self._options.positional is not None and not self._positionals

    def _take_option(self, word: str, left: list[str]) -> None:
        """Take an option, and its values out of the words that are left."""
        option, negated, value = self._found(word)
        if option is None:  # --env of another program, where ours takes the environment without an option
            self._positionals.append(self._values(self._options.positional, word, value, left)[0])
            return
        self._given.add(option.name)
        if option.kind is bool:
            self._take_bool(option, negated, value, left)
            return
        values = self._values(option, word, value, left)
        values = [self._value(option, each) for each in values]
        self._words += [option.name, *values] if option.is_list else [f"{option.name}={values[0]}"]

    def _take_bool(self, option: Option, negated: bool, value: str | None, left: list[str]) -> None:
        if value is None and left and left[0].lower() in _WORDS:
            value = left.pop(0)
        meant = True if value is None else {**_WORDS, "1": True, "0": False}.get(value.lower())
        if meant is None:
            raise WrongUseError(f"{option.name} must be True or False, got {value!r}")
        meant = meant != negated
        if option.is_flag:
            self._flags[option.name] = "" if meant == option.default else option.name if meant else f"--no-{option.name[2:]}"
        else:
            self._words.append(f"{option.name}={meant}")

    def _found(self, word: str) -> tuple[Option | None, bool, str | None]:
        """Return (option, True if the word negates it, value after an equals sign); no option stands for the positional one."""
        name, equals, value = word.partition("=")
        by_name = self._options.by_name
        if (match := _WITH_NUMBER.fullmatch(word)) and match[1] in by_name:
            return by_name[match[1]], False, match[2]
        name = name.replace("_", "-")
        for known, negated in ((name, False), (re.sub("^--no-", "--", name), True), (translated(name, self._options), False)):
            option = by_name.get(known)
            if option is not None and (option.kind is bool or not negated):
                return option, negated, value if equals else None
        positional = self._options.positional
        if positional is not None and name == f"--{positional.name.lower()}" and self._lacks_positional:
            return None, False, value if equals else None
        raise WrongUseError(self._no_option(name))

    def _no_option(self, name: str) -> str:
        """Return the error about an unknown option: another program's, another command's, or a misspelt one."""
        text = f"fastars {self._command} has no option {name}"
        if name in HINTS:
            return f"{text}: {HINTS[name]}"
        names = [option.name[2:] for option in self._options.named]
        names += [f"no-{option.name[2:]}" for option in self._options.named if option.kind is bool]
        wanted = name.lstrip("-")
        near = [each for each in names if f"-{wanted}" in f"-{each}"] if len(wanted) > 1 else []
        near = [wanted] if wanted in near else near
        owners = [command for command, kind in self._commands.items() if name in options_of(kind).by_name]
        near = sorted(near, key=lambda each: not each.startswith(wanted))[:3] or ([] if owners else near_names(wanted, names))
        if near:
            return f"{text}; did you mean {' or '.join(f'--{each}' for each in near)}?"
        if owners:
            return f"{text}; it is one of fastars {' and '.join(owners)}"
        return f"{text}; fastars {self._command} --help lists them"

    def _values(self, option: Option | None, word: str, value: str | None, left: list[str]) -> list[str]:
        """Return the values of an option: the one after its equals sign, or the next words."""
        assert option is not None
        if value is not None and not option.is_list:
            return [value]
        values = [] if value is None else [value]
        while left and not _AN_OPTION.match(left[0]) and (option.is_list or not values):
            if values and self._lacks_positional and not self._suits(option, left[0], values[-1]):
                break
            values.append(left.pop(0))
        if not values and not option.is_list:
            raise WrongUseError(f"{word} needs a value: {_allowed(option)}")
        return values

    def _suits(self, option: Option, word: str, before: str) -> bool:
        """Return True if a word can be the next value of a list; after KEY=VALUE, the next one has that form too."""
        try:
            self._value(option, word)
        except WrongUseError:
            return False
        return option.kind is not str or "=" in word or "=" not in before

    def _value(self, option: Option, text: str) -> str:
        """Return a value as tyro takes it; raise if it is not allowed."""
        if option.choices and text not in option.choices:
            allowed = f"one of {', '.join(option.choices)}"
            raise WrongUseError(f"{option.name} must be {allowed}, got {text!r}{did_you_mean(text, option.choices)}")
        if option.kind is int:
            if (number := whole_number(text)) is None:
                raise WrongUseError(f"{option.name} must be {_allowed(option)}, got {text!r}")
            return str(number)
        if option.kind is float and not _is_number(text):
            raise WrongUseError(f"{option.name} must be {_allowed(option)}, got {text!r}")
        return text

    def _refuse_missing(self) -> None:
        """Raise for a positional argument or an option that is missing, and for words too many."""
        positional, command = self._options.positional, f"fastars {self._command}"
        if self._positionals and (positional is None or (not positional.is_list and len(self._positionals) > 1)):
            extra = self._positionals[1 if positional else 0]
            takes = f"takes one {positional.name}" if positional else "takes options only"
            raise WrongUseError(f"{command} {takes}, got {extra!r} too; fastars {self._command} --help describes them")
        if positional is not None and positional.is_needed and not self._positionals:
            words, example = _EXAMPLES.get(positional.name, ("an argument", "..."))
            raise WrongUseError(f"{command} needs {positional.name}, {words}, such as: {command} {example}")
        for option in self._options.named:
            if option.is_needed and option.name not in self._given:
                raise WrongUseError(f"{command} needs {option.name}, {_allowed(option)}")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _allowed(option: Any) -> str:
    """Describe the values of an option."""
    if option.choices:
        return f"one of {', '.join(option.choices)}"
    return {int: "a whole number, such as 1000000, 1e6 or 1M", float: "a number", Path: "a path"}.get(option.kind, "a text")
