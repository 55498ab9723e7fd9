"""Help and usage errors in the language of the process. Owns what Typer leaves to be set.

Knows no command: it goes through the tree as it is.
"""

from __future__ import annotations

from typing import Any

from rich.text import Text

from node.cli.language import said
from node.cli.output import message

_PANELS = {
    "ARGUMENTS_PANEL_TITLE": "参数",
    "OPTIONS_PANEL_TITLE": "选项",
    "COMMANDS_PANEL_TITLE": "命令",
    "DEFAULT_STRING": "[默认：{}]",
    "ENVVAR_STRING": "[环境变量：{}]",
    "REQUIRED_LONG_STRING": "[必填]",
}


def translate(command: Any) -> None:  # noqa: ANN401 - Typer keeps its classes to itself
    """Put the help of a command, and of all below it, into the language of the process."""
    from typer import rich_utils

    for name, text in _PANELS.items():
        setattr(rich_utils, name, text)
    utils: Any = rich_utils  # nothing of its public parts has a setting for what follows
    utils.Text = _Folding
    make = utils._make_rich_text  # noqa: SLF001

    def folding(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        text = make(*arguments, **options)
        text.overflow = "fold"
        return text

    utils._make_rich_text = folding  # noqa: SLF001
    _translate(command)


class _Folding(Text):
    """Text whose lines may end within a word: there are no spaces in Chinese."""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, **{"overflow": "fold", **options})


def _translate(command: Any) -> None:  # noqa: ANN401
    for name in ("help", "short_help"):
        text = getattr(command, name, None)
        if text:
            setattr(command, name, said(text))
    if command.epilog:
        command.epilog = command.epilog.replace("Example:", said("Example:"), 1)
    usage = command.get_usage
    command.get_usage = lambda context: usage(context).replace("Usage:", "用法：", 1)
    for parameter in command.params:
        if getattr(parameter, "help", None):
            parameter.help = said(parameter.help)
    helping = command.get_help_option
    command.get_help_option = lambda context: _with_help(helping(context))
    for below in getattr(command, "commands", {}).values():
        _translate(below)


def _with_help(option: Any) -> Any:  # noqa: ANN401
    if option is not None and option.help:
        option.help = said(option.help)
    return option


def tell_usage(error: Any) -> int:  # noqa: ANN401
    """Print an error of the command line; its exit code."""
    if type(error).__name__ == "NoArgsIsHelpError":  # which has printed the help already
        return int(error.exit_code)
    if error.ctx is not None:
        message(error.ctx.get_usage())
    message(f"piaolian: {said(error.format_message())}")
    message("Try --help.")
    return int(error.exit_code)
