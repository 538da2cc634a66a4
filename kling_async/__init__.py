"""kling_async: an async-first SDK for the Kling API v1 of useapi.net.

async with AsyncKlingClient() as kling:
    avatar = await kling.avatars.create(image=Path("ada.jpg"), nickname="Ada")
"""

import logging as _logging

from .accounts import Account, AccountRegistry
from .bulk.rows import BulkRow
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
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    SubscriptionError,
    TaskFailedError,
    UnexpectedResponseError,
)
from .limits import Limiter, RateLimit
from .media import Media
from .models.accounts import (
    AccountBalance,
    AccountSession,
    GetAccount,
    ListAccounts,
    ServerAccount,
)
from .models.assets import Asset, UploadAsset
from .models.avatars import (
    Avatar,
    CreateAvatar,
    CreatedAvatar,
    DeleteAvatar,
    DeletedAvatar,
    ImageResource,
    ListAvatars,
)
from .models.requests import Request, Safety
from .models.responses import Meta, Model
from .models.tts import ListVoices, Voice, VoiceEmotion, VoiceList
from .retry import RetryPolicy
from .version import __version__

__all__ = [
    "APIError",
    "Account",
    "AccountBalance",
    "AccountBrokenError",
    "AccountRegistry",
    "AccountRequiredError",
    "AccountSession",
    "Asset",
    "AsyncKlingClient",
    "AuthenticationError",
    "Avatar",
    "AvatarFailedError",
    "BadRequestError",
    "BulkRow",
    "CallContext",
    "Clock",
    "ConfigurationError",
    "ContentModeratedError",
    "CreateAvatar",
    "CreatedAvatar",
    "DeadlineExceededError",
    "DeleteAvatar",
    "DeletedAvatar",
    "GetAccount",
    "GoneError",
    "ImageResource",
    "InsufficientCreditsError",
    "InvalidRequestError",
    "KlingError",
    "LedgerError",
    "Limiter",
    "ListAccounts",
    "ListAvatars",
    "ListVoices",
    "Media",
    "Meta",
    "Model",
    "NotFoundError",
    "NotSentError",
    "OutcomeUnknownError",
    "PermissionDeniedError",
    "RateLimit",
    "RateLimitedError",
    "Request",
    "RetryPolicy",
    "Safety",
    "ServerAccount",
    "ServerError",
    "SubscriptionError",
    "TaskFailedError",
    "UnexpectedResponseError",
    "UploadAsset",
    "Voice",
    "VoiceEmotion",
    "VoiceList",
    "__version__",
]

_logging.getLogger("kling_async").addHandler(_logging.NullHandler())
