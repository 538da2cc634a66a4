"""kling_async: an async-first SDK for the Kling API v1 of useapi.net.

async with AsyncKlingClient() as kling:
    avatar = await kling.avatars.create(image=Path("ada.jpg"), nickname="Ada")
"""

import logging as _logging
import typing as _typing
from importlib import import_module as _import_module

from ._calls.attempt import IntentLog
from ._calls.retry import RetryPolicy
from ._limits.limits import Limiter, RateLimit
from .accounts import Account, AccountRegistry
from .client import AsyncKlingClient
from .clock import Clock
from .errors import (
    AccountBrokenError,
    AccountRequiredError,
    APIError,
    AuthenticationError,
    AvatarFailedError,
    BadRequestError,
    CallContext,
    ConfigurationError,
    ContentModeratedError,
    DeadlineExceededError,
    GoneError,
    InsufficientCreditsError,
    InvalidRequestError,
    KlingError,
    LedgerError,
    LocalFileError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    SubscriptionError,
    TaskFailedError,
    TaskModeratedError,
    TaskNotFoundError,
    UnexpectedResponseError,
)
from .models.media import Media
from .models.operations import MODULES as _MODULES
from .models.requests import Request, Safety
from .models.responses import Meta, Model
from .stats import AccountStats, AttemptEvent, Stats
from .version import __version__

if _typing.TYPE_CHECKING:
    from ._files.downloads import Download
    from ._polling.watched import PollSchedule
    from .bulk.results import BulkResult, BulkRow
    from .models.accounts import (
        AccountBalance,
        AccountSession,
        AddAccount,
        BalancePoints,
        GetAccount,
        ListAccounts,
        RemoveAccount,
        RemovedAccount,
        ServerAccount,
    )
    from .models.assets import (
        Asset,
        DeletedUploads,
        DeleteUploads,
        DownloadLink,
        GeneratedAssets,
        GetDownload,
        Limitation,
        ListGenerated,
        ListUploads,
        UploadAsset,
        UploadedAsset,
    )
    from .models.avatars import (
        Avatar,
        CreateAvatar,
        CreatedAvatar,
        DeleteAvatar,
        DeletedAvatar,
        ImageResource,
        ListAvatars,
    )
    from .models.elements import (
        CreatedElement,
        CreateElement,
        DeletedElement,
        DeleteElement,
        Element,
        ElementList,
        ElementResource,
        ElementTag,
        ElementVoice,
        GetElement,
        ListElements,
        ListElementTags,
        ListElementVoices,
    )
    from .models.images import (
        EnhanceImage,
        Face,
        FaceResource,
        Kolors,
        KolorsElements,
        OmniImage,
        RecognizedFaces,
        RecognizeFaces,
        UpscaleImage,
        VirtualTryOn,
    )
    from .models.omni import OmniVideo
    from .models.scheduler import (
        AccountSlots,
        Availability,
        ForgetTask,
        ForgottenTask,
        GetAvailable,
        ListRunning,
        RunningTask,
    )
    from .models.task_requests import TaskRequest
    from .models.tasks import (
        DeletedTask,
        DeleteTask,
        GetTask,
        HasStatus,
        ListTasks,
        Task,
        TaskArgument,
        TaskInput,
        Work,
        WorkResource,
    )
    from .models.tts import (
        CreateSpeech,
        ListVoices,
        Speech,
        Voice,
        VoiceEmotion,
        VoiceList,
    )
    from .models.video_edits import (
        AddSound,
        CreateMotion,
        Effect,
        EffectVideo,
        ExtendVideo,
        Lipsync,
        ListEffects,
        ListMotions,
        Motion,
        UploadMotion,
    )
    from .models.video_voices import (
        CreateVideoVoice,
        DeletedVideoVoice,
        DeleteVideoVoice,
        ListVideoVoices,
        VideoVoice,
        VideoVoiceList,
    )
    from .models.videos import (
        CreateAvatarVideo,
        ElementsToVideo,
        FramesToVideo,
        Shot,
        Text2Video,
    )
    from .sync.client import KlingClient
    from .webhooks import Received, WebhookReceiver

__all__ = [
    "APIError",
    "Account",
    "AccountBalance",
    "AccountBrokenError",
    "AccountRegistry",
    "AccountRequiredError",
    "AccountSession",
    "AccountSlots",
    "AccountStats",
    "AddAccount",
    "AddSound",
    "Asset",
    "AsyncKlingClient",
    "AttemptEvent",
    "AuthenticationError",
    "Availability",
    "Avatar",
    "AvatarFailedError",
    "BadRequestError",
    "BalancePoints",
    "BulkResult",
    "BulkRow",
    "CallContext",
    "Clock",
    "ConfigurationError",
    "ContentModeratedError",
    "CreateAvatar",
    "CreateAvatarVideo",
    "CreateElement",
    "CreateMotion",
    "CreateSpeech",
    "CreateVideoVoice",
    "CreatedAvatar",
    "CreatedElement",
    "DeadlineExceededError",
    "DeleteAvatar",
    "DeleteElement",
    "DeleteTask",
    "DeleteUploads",
    "DeleteVideoVoice",
    "DeletedAvatar",
    "DeletedElement",
    "DeletedTask",
    "DeletedUploads",
    "DeletedVideoVoice",
    "Download",
    "DownloadLink",
    "Effect",
    "EffectVideo",
    "Element",
    "ElementList",
    "ElementResource",
    "ElementTag",
    "ElementVoice",
    "ElementsToVideo",
    "EnhanceImage",
    "ExtendVideo",
    "Face",
    "FaceResource",
    "ForgetTask",
    "ForgottenTask",
    "FramesToVideo",
    "GeneratedAssets",
    "GetAccount",
    "GetAvailable",
    "GetDownload",
    "GetElement",
    "GetTask",
    "GoneError",
    "HasStatus",
    "ImageResource",
    "InsufficientCreditsError",
    "IntentLog",
    "InvalidRequestError",
    "KlingClient",
    "KlingError",
    "Kolors",
    "KolorsElements",
    "LedgerError",
    "Limitation",
    "Limiter",
    "Lipsync",
    "ListAccounts",
    "ListAvatars",
    "ListEffects",
    "ListElementTags",
    "ListElementVoices",
    "ListElements",
    "ListGenerated",
    "ListMotions",
    "ListRunning",
    "ListTasks",
    "ListUploads",
    "ListVideoVoices",
    "ListVoices",
    "LocalFileError",
    "Media",
    "Meta",
    "Model",
    "Motion",
    "NotFoundError",
    "NotSentError",
    "OmniImage",
    "OmniVideo",
    "OutcomeUnknownError",
    "PermissionDeniedError",
    "PollSchedule",
    "RateLimit",
    "RateLimitedError",
    "Received",
    "RecognizeFaces",
    "RecognizedFaces",
    "RemoveAccount",
    "RemovedAccount",
    "Request",
    "RetryPolicy",
    "RunningTask",
    "Safety",
    "ServerAccount",
    "ServerError",
    "Shot",
    "Speech",
    "Stats",
    "SubscriptionError",
    "Task",
    "TaskArgument",
    "TaskFailedError",
    "TaskInput",
    "TaskModeratedError",
    "TaskNotFoundError",
    "TaskRequest",
    "Text2Video",
    "UnexpectedResponseError",
    "UploadAsset",
    "UploadMotion",
    "UploadedAsset",
    "UpscaleImage",
    "VideoVoice",
    "VideoVoiceList",
    "VirtualTryOn",
    "Voice",
    "VoiceEmotion",
    "VoiceList",
    "WebhookReceiver",
    "Work",
    "WorkResource",
    "__version__",
]

if not _typing.TYPE_CHECKING:
    # Requests and responses, for the most part. attrs takes half a millisecond to make a class, and
    # these are sixty, so a file is loaded when a name is asked for that it may hold.
    _LATER = (
        *(f"models.{name}" for name in (*_MODULES, "task_requests")),
        *("_files.downloads", "_polling.watched", "webhooks", "bulk.results", "sync.client"),
    )

    def __getattr__(name: str) -> object:
        for module in _LATER if name in __all__ else ():
            value = getattr(_import_module(f".{module}", __name__), name, None)
            if value is not None:
                globals()[name] = value
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


_logging.getLogger("kling_async").addHandler(_logging.NullHandler())
