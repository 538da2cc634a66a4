"""From a portrait file to a talking video: python talking_video.py [PORTRAIT [TEXT]]."""

import asyncio
import sys

from kling_async import AsyncKlingClient


async def main(portrait: str = "portraits/ada.jpg", text: str = "Hello, I can talk!") -> None:
    async with AsyncKlingClient() as kling:  # USEAPI_TOKEN, KLING_BASE_URL
        avatar = await kling.avatars.create(image=portrait, nickname="Ada")
        voices = await kling.tts.voices()
        task = await kling.avatars.video(
            avatar_id=avatar, text=text, speaker_id=voices[0].speaker_id, render_speech=True
        )
        async for update in kling.tasks.watch(task, deadline_s=900):
            print(update.status_name)
        video = await kling.assets.download(update, "ada.mp4")
        print(f"{video.path}: {video.size_bytes} bytes")


asyncio.run(main(*sys.argv[1:]))
