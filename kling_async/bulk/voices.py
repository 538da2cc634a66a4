"""Is what the rows name at the server? Voices, emotions and avatars; asked by a dry run."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence

from ..models.tts import Voice, VoiceList
from .preflight import Checked, VoiceUse
from .problems import InputProblem, StrPath


def check_voices(
    checked: Checked, voices_of: Mapping[str | None, VoiceList], path: StrPath
) -> list[InputProblem]:
    """The voices and emotions that are asked for and not there, each at its first line.

    Args:
        checked: the input's `check_input`.
        voices_of: account -> its voices, None for rows without an account. What an account that
            is not among them can speak with is unknown, so nothing is said of its rows.
        path: the input file, as it shall be named.
    """
    voices = {account: {v.speaker_id: v for v in listed} for account, listed in voices_of.items()}
    problems = list[InputProblem]()
    absent = set[tuple[str | None, str]]()
    for use, line in checked.speakers.items():
        there = voices.get(use.account)
        if there is None or (use.account, use.speaker) in absent:
            continue
        voice = there.get(use.speaker)
        if voice is None:
            absent.add((use.account, use.speaker))
            text = _no_such_voice(use, list(there))
            problems.append(InputProblem(str(path), line, use.column, text))
        elif use.emotion is not None and voice.speaks(use.emotion) is False:
            text = f"is {use.emotion!r}; the voice {use.speaker!r} can do {_emotions(voice)}"
            problems.append(InputProblem(str(path), line, use.emotion_column, text))
    return problems


def check_avatars(
    checked: Checked, ids_of: Mapping[str | None, Collection[str]], path: StrPath
) -> list[InputProblem]:
    """The avatars that rows name as there already and that are not, each at its first line.

    Args:
        checked: the input's `check_input`.
        ids_of: account -> the ids of its avatars and of the templates.
        path: the input file, as it shall be named.
    """
    problems = list[InputProblem]()
    for (account, avatar_id), line in checked.given.items():
        there = ids_of.get(account)
        if there is not None and avatar_id not in there:
            whose = (
                "there is no such avatar" if account is None else f"{account} has no such avatar"
            )
            text = f"is {avatar_id}; {whose}; `kling-async avatars list` lists them"
            problems.append(InputProblem(str(path), line, "avatar_id", text))
    return problems


def _no_such_voice(use: VoiceUse, there: Sequence[str]) -> str:
    whose = "there is no such voice" if use.account is None else f"{use.account} has no such voice"
    close = difflib.get_close_matches(use.speaker, there, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"is {use.speaker!r}; {whose}; {hint}`kling-async tts voices` lists them"


def _emotions(voice: Voice) -> str:
    can = [one.key for one in voice.emotions if one.enable is not False]
    return ", ".join(can) or "none: leave it out"
