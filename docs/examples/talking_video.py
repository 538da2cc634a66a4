"""From a portrait to a talking video: `python talking_video.py PORTRAIT` writes talking.mp4."""

import asyncio
import sys

from kling_async import AsyncKlingClient


async def main(portrait: str) -> None:
    async with AsyncKlingClient() as kling:  # the token from USEAPI_TOKEN
        avatar = await kling.avatars.create(image=portrait, nickname="Ada")
        voices = await kling.tts.voices()
        task = await kling.avatars.video(
            avatar_id=avatar,
            text="Hello! I was a picture a minute ago.",
            speaker_id=voices[0].speaker_id,
        )
        done = await kling.tasks.wait(task, deadline_s=900)
        video = await kling.assets.download(done, "talking.mp4")
        print(f"{video.path}: {video.size_bytes} bytes")


asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "ada.jpg"))
