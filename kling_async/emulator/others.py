"""What may a test let others do on the accounts? Make an avatar, begin a job.

The part of `Emulator` that speaks for somebody else; how it is done is in `foreign.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

from .foreign import Foreign
from .tasks import Task
from .world import Avatar, World


class Others:
    """Somebody else on the same accounts, by hand."""

    _world: World
    _foreign: Foreign

    def foreign_avatar(
        self,
        image_url: str,
        *,
        account: str | None = None,
        nickname: str | None = None,
        prompt: str | None = None,
        scene: str | None = None,
        tts_speaker: str | None = None,
        tts_speed: float = 1.0,
        tts_emotion: str = "neutral",
        age_s: float = 0.0,
    ) -> Avatar:
        """An avatar that somebody else makes on an account, without a call that we would see.

        Args:
            image_url: its picture; may well be one of ours.
            account: default: the first one.
            nickname: this and the rest as in a create; what is left out is made up.
            prompt: see `nickname`.
            scene: see `nickname`.
            tts_speaker: see `nickname`.
            tts_speed: see `nickname`.
            tts_emotion: see `nickname`.
            age_s: made so many seconds ago; below 0: to come.
        """
        return self._foreign.avatar(
            self._world,
            account or next(iter(self._world.accounts)),
            image_url,
            nickname=nickname,
            prompt=prompt,
            scene=scene,
            tts_speaker=tts_speaker,
            tts_speed=tts_speed,
            tts_emotion=tts_emotion,
            age_s=age_s,
        )

    def foreign_task(
        self,
        inputs: Mapping[str, str],
        arguments: Mapping[str, str] | None = None,
        *,
        account: str | None = None,
        task_type: str = "avatar_video",
        reply_ref: str | None = None,
        age_s: float = 0.0,
        job_s: float = 2.0,
        tracked: bool = False,
    ) -> Task:
        """A job that somebody else begins on an account, on the vendor's site or by this token.

        Args:
            inputs: names and addresses of the files it is made from.
            arguments: its other values; default none.
            account: default: the first one.
            task_type: the vendor's name of what it does.
            reply_ref: the other's own reference; the scheduler shows it.
            age_s: begun so many seconds ago; below 0: to come.
            job_s: seconds from there to its end.
            tracked: True: by this token, so that it takes a slot and the scheduler lists it.
        """
        return self._foreign.task(
            self._world,
            account or next(iter(self._world.accounts)),
            task_type,
            inputs,
            arguments or {},
            reply_ref=reply_ref,
            age_s=age_s,
            job_s=job_s,
            tracked=tracked,
        )
